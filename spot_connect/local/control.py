"""The control interface: what only the daemon's owner, or a machine about itself, may ask.

The owner shows the secret key as a bearer token, a machine its own token in a header of its own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from spot_connect.core.errors import LocalCloudError
from spot_connect.local import mounting
from spot_connect.local.machines import FROM_INSIDE
from spot_connect.local.replies import json_reply

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud
    from spot_connect.local.state import Saver

MACHINE_TOKEN = "X-Spot-Connect-Token"  # noqa: S105 - the name of a header
Body = dict[str, Any]


class Control:
    """Answers below ``/_spot_connect/``."""

    def __init__(self, cloud: Cloud, saver: Saver, stop: Callable[[], None]) -> None:
        self._cloud = cloud
        self._saver = saver
        self._stop = stop
        self._owner: dict[tuple[str, str], Callable[[Body], Body]] = {
            ("GET", "status"): self._status,
            ("POST", "shutdown"): self._shutdown,
            ("POST", "reset"): self._reset,
            ("POST", "save"): self._save,
            ("POST", "boot-seconds"): self._boot_seconds,
            ("POST", "efs-seconds"): self._efs_seconds,
            ("POST", "clock"): self._clock,
            ("POST", "faults"): self._plan_fault,
            ("GET", "faults"): lambda _: cloud.faults.tell(),
            ("DELETE", "faults"): lambda _: cloud.faults.clear(),
        }
        self._machine: dict[tuple[str, str], Callable[[Any, Body], Body]] = {
            ("POST", "shutdown"): self._shutdown_from_inside,
            ("POST", "mount"): partial(mounting.mount, cloud),
            ("POST", "umount"): partial(mounting.unmount, cloud),
        }
        self._about: dict[tuple[str, str], Callable[[Any, Body], Body]] = {
            ("GET", "log"): self._log,
            ("GET", "metadata"): lambda instance, _: {"address": cloud.machines.metadata_address(instance)},
            ("POST", "drop-lines"): self._drop_lines,
            ("POST", "interrupt"): cloud.interruptions.interrupt,
            ("POST", "rebalance"): cloud.interruptions.rebalance,
        }

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        path = request.path.removeprefix("/_spot_connect/")
        token = request.headers.get(MACHINE_TOKEN) or request.headers.get("Authorization", "").removeprefix("Bearer ")
        is_owner = secrets.compare_digest(token.encode(), self._cloud.settings.secret_key.encode())
        body = request.get_json(silent=True) or {}
        room, _, rest = path.partition("/")
        if room == "instances":
            return self._about_an_instance(request.method, rest, body, token, is_owner=is_owner)
        if not is_owner:
            return _denied()
        answer = self._owner.get((request.method, path))
        return _reply(lambda: answer(body)) if answer else _unknown()

    def _about_an_instance(self, method: str, path: str, body: Body, token: str, *, is_owner: bool) -> Response:
        instance_id, _, verb = path.partition("/")
        instance = self._cloud.machines.find(instance_id)
        if instance is None:
            return _unknown() if is_owner else _denied()
        is_itself = secrets.compare_digest(token.encode(), instance.machine.token.encode())
        if not (is_owner or is_itself):
            return _denied()
        answer = self._machine.get((method, verb)) or (self._about.get((method, verb)) if is_owner else None)
        return _reply(lambda: answer(instance, body)) if answer else _unknown()

    def _status(self, _: Body) -> Body:
        return {
            "pid": os.getpid(),
            "level": level_name(self._cloud.boxes),
            "description": self._cloud.boxes.description,
            "started": self._cloud.started,
            "boot_seconds": self._cloud.boot_seconds,
            "instances": self._cloud.count(),
            "notes": [*self._cloud.notes, *self._cloud.restored],
        }

    def _shutdown(self, _: Body) -> Body:
        self._stop()
        return {}

    def _reset(self, _: Body) -> Body:
        self._cloud.faults.clear()
        self._saver.forget()
        self._cloud.restored.clear()
        return {}

    def _save(self, _: Body) -> Body:
        self._saver.save()
        return {}

    def _boot_seconds(self, body: Body) -> Body:
        self._cloud.boot_seconds = float(body["seconds"])
        return {}

    def _efs_seconds(self, body: Body) -> Body:
        self._cloud.file_system_seconds = float(body["seconds"])
        return {}

    def _clock(self, body: Body) -> Body:
        self._cloud.ahead += float(body["forward"])
        self._cloud.interruptions.wake()
        return {"now": self._cloud.now()}

    def _plan_fault(self, body: Body) -> Body:
        # One that came in the middle of a launch would leave half of it.
        with self._cloud.launching:
            return self._cloud.faults.plan(body)

    def _log(self, instance: Any, _: Body) -> Body:
        return {"log": self._cloud.boxes.log(instance.id)}

    def _drop_lines(self, instance: Any, _: Body) -> Body:
        return {"dropped": self._cloud.boxes.drop_lines(instance.id)}

    def _shutdown_from_inside(self, instance: Any, body: Body) -> Body:
        terminates = instance.instance_initiated_shutdown_behavior == "terminate" or instance.spot_type == "one-time"
        action = body.get("action", "poweroff")
        if action == "reboot":
            self._cloud.machines.reboot(instance)
        elif action == "halt":
            self._cloud.machines.halt(instance)
        elif terminates:
            self._cloud.machines.end(instance, FROM_INSIDE)
        elif instance.state == "running":
            instance.stop()
            instance.state_reason.code, instance.state_reason.message = FROM_INSIDE.code, FROM_INSIDE.message
        return {}


def level_name(boxes: Any) -> str:
    """The isolation level in one word."""
    return str(getattr(boxes.level, "value", boxes.level))


def _reply(answer: Callable[[], Body]) -> Response:
    try:
        return json_reply(answer())
    except LocalCloudError as error:
        return json_reply({"message": f"{error.what}: {error.said}"}, 409)


def _denied() -> Response:
    return json_reply({"message": "this needs the token of the local cloud or of the machine itself"}, 403)


def _unknown() -> Response:
    return json_reply({"message": "there is no such thing here"}, 404)
