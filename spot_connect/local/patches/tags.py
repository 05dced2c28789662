"""Reading the tags of one resource, and writing them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.tags import TagBackend
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

from spot_connect.local.patches import errors
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud


_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no answer of EC2 could hold: https://www.w3.org/TR/xml/#charsets."""


def create_tags(_: Cloud, original: Any, backend: Any, resource_ids: list[str], tags: dict[str, str]) -> bool:
    """Refuses what no later answer could tell."""
    for key, value in tags.items():
        if _NO_XML.search(f"{key}{value or ''}"):
            raise errors.refusal("InvalidParameterValue", "Tag keys and values may not contain control characters.")
    written: bool = original(backend, resource_ids, tags)
    return written


def get_tags(_: Cloud, __: Any, resource: Any) -> list[dict[str, str]]:
    """The tags, looked up by id instead of matched against every tag of the Region."""
    found = resource.ec2_backend.tags.get(resource.id) if resource.id else None
    if not found:
        return []
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(resource.id), "")
    return [
        {"resource_id": resource.id, "key": key, "value": value, "resource_type": kind}
        for key, value in list(found.items())
    ]


PATCHES = (
    Patch(TaggedEC2Resource, "get_tags", get_tags, "answers fast however many resources there are"),
    Patch(TagBackend, "create_tags", create_tags, "answers in XML, which holds no control characters"),
)
