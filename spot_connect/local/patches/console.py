"""What the machine's console shows."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2.responses.general import General

from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_KEPT = 64 * 1024
# A machine that is still printing them has not come to the end mark.
_HOST_KEYS = re.compile(
    r"-----BEGIN SSH HOST KEY FINGERPRINTS-----.*?(?:-----END SSH HOST KEY KEYS-----\n|\Z)", re.DOTALL
)


def get_console_output(cloud: Cloud, _: Any, response: Any) -> ActionResult:
    """The last 64 KiB of the console; no output while there is none, and no host keys while they were ordered late."""
    instance = response.ec2_backend.get_instance(response._get_param("InstanceId"))
    result: dict[str, Any] = {"InstanceId": instance.id, "Timestamp": datetime.now(timezone.utc)}
    text = cloud.boxes.log(instance.id) if instance.state != "terminated" else ""
    if cloud.now() < instance.machine.began + cloud.faults.host_key_seconds():
        text = _HOST_KEYS.sub("", text)
    if text:
        result["Output"] = Base64EncodedString.from_raw_string(text[-_KEPT:])
    return ActionResult(result)


PATCHES = (Patch(General, "get_console_output", get_console_output, "shows the console of that instance"),)
