"""What `spot_connect doctor` has found: one finding for each thing it has looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from spot_connect.core.errors import SpotConnectError
from spot_connect.core.masking import masked
from spot_connect.core.untrusted import printable

_LOOKS = "looks for the cause."
_ENCODED = "Encoded authorization failure message"


class State(str, Enum):
    """How something is. ``UNKNOWN`` could not be looked at, which tells nothing about it."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


_ORDER = (State.OK, State.UNKNOWN, State.WARNING, State.FAULT)


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing is, what that means, and what mends it; the texts are one line each, fit to show.

    ``details`` are the same facts for programs: numbers, texts, lists and mappings of them.

    Example:
        >>> Finding("clock", State.OK, "this computer's clock agrees with AWS's").mend
        ''
    """

    check: str
    state: State
    says: str
    mend: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "says", printable(masked(self.says)))
        object.__setattr__(self, "mend", printable(masked(self.mend)))


def worst(states: Iterable[State]) -> State:
    """The state that matters most.

    Example:
        >>> str(worst([State.OK, State.WARNING, State.UNKNOWN]))
        'warning'
    """
    return max(states, key=_ORDER.index, default=State.OK)


def of_error(check: str, state: State, error: SpotConnectError) -> Finding:
    """What an error means for the thing that was looked at.

    Example:
        >>> of_error("own address", State.FAULT, SpotConnectError("cannot ask", "no route", "Try again.")).says
        'cannot ask: no route'
    """
    said, _, _ = error.said.partition(_ENCODED)
    text = f"{error.what}: {said.strip()}" if said.strip() else error.what
    return Finding(check, state, text, without_doctor(error.advice))


def see_doctor(advice: str, *, local: bool = False) -> str:
    """``advice`` with what to run next where it did not help.

    Example:
        >>> see_doctor("Log in anew.", local=True)
        'Log in anew. `spot_connect --local doctor` looks for the cause.'
    """
    return f"{advice} {_line(local=local)}".strip()


def without_doctor(advice: str) -> str:
    """``advice`` without that: who reads it has run it.

    Example:
        >>> without_doctor(see_doctor("Log in anew."))
        'Log in anew.'
    """
    return advice.removesuffix(_line(local=False)).removesuffix(_line(local=True)).strip()


def _line(*, local: bool) -> str:
    return f"`spot_connect {'--local ' if local else ''}doctor` {_LOOKS}"
