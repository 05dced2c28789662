"""Spot interruptions: a notice that the instance and its spot request tell, and the end at its deadline."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

from spot_connect.core.errors import LocalCloudError
from spot_connect.local.machines import INTERRUPTED
from spot_connect.local.patches import spot

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

log = logging.getLogger("spot_connect.local")
NOTICE_SECONDS = 120.0
_LIVE = ("pending", "running")
_LONGEST_WAIT = 3600.0
Body = dict[str, Any]


class Interruptions:
    """Takes instances away when their time has come; it comes back to them after a restart of the daemon."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name="interruptions", daemon=True)

    def start(self) -> None:
        """Begin to take instances away."""
        self._thread.start()

    def close(self) -> None:
        """Take none away any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def wake(self) -> None:
        """The cloud's clock was put forward."""
        with self._changed:
            self._changed.notify_all()

    def interrupt(self, instance: Any, body: Body) -> Body:
        """Give the notice, and end the instance after ``in`` seconds; of two notices the earlier deadline holds.

        Raises:
            LocalCloudError: it is no spot instance that runs.
        """
        machine = _spot_machine(instance)
        deadline = self._cloud.now() + float(body.get("in", NOTICE_SECONDS))
        with self._changed:
            machine.interrupted_at = min(deadline, machine.interrupted_at or deadline)
            self._changed.notify_all()
        request = instance.ec2_backend.spot_instance_requests.get(instance.spot_instance_request_id)
        if request is not None:
            # AWS: at the moment of the notice, while the instance still runs (EC2 User Guide, "Spot request status").
            spot.set_status(self._cloud, request, INTERRUPTED.request_status, INTERRUPTED.request_message)
        log.info("%s will be interrupted", instance.id)
        self._cloud.on_change()
        return {"deadline": _stamp(machine.interrupted_at)}

    def rebalance(self, instance: Any, _: Body) -> Body:
        """Tell the instance that it is at an elevated risk; nothing else happens.

        Raises:
            LocalCloudError: it is no spot instance that runs.
        """
        machine = _spot_machine(instance)
        machine.rebalance_at = machine.rebalance_at or self._cloud.now()
        self._cloud.on_change()
        return {"noticed": _stamp(machine.rebalance_at)}

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                self._changed.wait(self._seconds_to_next())
                for instance in self._due():
                    log.info("%s is interrupted", instance.id)
                    self._cloud.machines.end(instance, INTERRUPTED)
                    self._cloud.on_change()

    def _noticed(self) -> list[Any]:
        return [one for one in self._cloud.machines.all() if one.state in _LIVE and one.machine.interrupted_at]

    def _due(self) -> list[Any]:
        return [one for one in self._noticed() if one.machine.interrupted_at <= self._cloud.now()]

    def _seconds_to_next(self) -> float:
        next_one = min((one.machine.interrupted_at for one in self._noticed()), default=float("inf"))
        return max(0.0, min(_LONGEST_WAIT, next_one - self._cloud.now()))


def notices(instance: Any) -> Mapping[str, str]:
    """What the metadata service tells at the three places where EC2 announces an interruption; empty before."""
    machine = instance.machine
    end = _stamp(machine.interrupted_at) if machine.interrupted_at else ""
    risk = _stamp(machine.rebalance_at) if machine.rebalance_at else ""
    return {
        "spot/instance-action": json.dumps({"action": "terminate", "time": end}) if end else "",
        "spot/termination-time": end,
        "events/recommendations/rebalance": json.dumps({"noticeTime": risk}) if risk else "",
    }


def _spot_machine(instance: Any) -> Any:
    if instance.lifecycle != "spot":
        raise LocalCloudError(f"cannot interrupt {instance.id}", "it is not a spot instance")
    if instance.state not in _LIVE:
        raise LocalCloudError(f"cannot interrupt {instance.id}", f"it is {instance.state}")
    return instance.machine


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
