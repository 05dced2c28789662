"""Where moto is changed, and how."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud


@dataclass(frozen=True, slots=True)
class Patch:
    """``owner.name`` is replaced by ``body``, which gets the cloud, the original and the call's arguments.

    ``aws`` says what AWS does and moto does not; the contract test of the patch says it again.
    """

    owner: Any
    name: str
    body: Callable[..., Any]
    aws: str

    def install(self, cloud: Cloud) -> None:
        """Change moto for the rest of this process."""
        original = getattr(self.owner, self.name, None)
        if isinstance(original, property):
            setattr(self.owner, self.name, property(functools.partial(_read, self.body, cloud, original)))
        else:
            patched = _wrap(self.body, cloud, original)
            # Saved resources hold methods by name.
            patched.__name__ = self.name
            setattr(self.owner, self.name, patched)


def _wrap(body: Callable[..., Any], cloud: Cloud, original: Any) -> Callable[..., Any]:
    # moto finds actions by looking for plain functions, so this must be one.
    def patched(*args: Any, **kwargs: Any) -> Any:
        return body(cloud, original, *args, **kwargs)

    return patched


def _read(body: Callable[..., Any], cloud: Cloud, original: property, owner: Any) -> Any:
    return body(cloud, original, owner)
