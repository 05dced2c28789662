"""What the cloud remembers from one daemon to the next."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from spot_connect.core.errors import LocalCloudError, StateError
from spot_connect.local import saved

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

log = logging.getLogger("spot_connect.local")
QUIET_SECONDS = 0.5
_TRIES = 5
_SERVICES = ("ec2", "efs", "iam", "s3")


class Saver:
    """Saves the cloud half a second after it changed.

    A save takes all of it at one moment, so calls that change something wait for it, and it for them.
    """

    def __init__(self, cloud: Cloud, path: Path) -> None:
        self._cloud = cloud
        self._path = path
        self._turn = Condition()
        self._changing = 0
        self._saving = False
        self._dirty = Event()
        self._closed = Event()
        cloud.on_change = self._dirty.set
        self._thread = Thread(target=self._run, name="saver", daemon=True)

    def start(self) -> None:
        """Begin to save."""
        self._thread.start()

    def close(self) -> None:
        """Save for the last time."""
        self._closed.set()
        self._dirty.set()
        self._thread.join()
        self.save()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """While something in the cloud may change."""
        with self._turn:
            self._turn.wait_for(lambda: not self._saving)
            self._changing += 1
        try:
            yield
        finally:
            with self._turn:
                self._changing -= 1
                self._turn.notify_all()
            self._dirty.set()

    def save(self) -> float:
        """Save now; how long it took."""
        began = monotonic()
        with self._alone():
            picture = _dump(self._cloud)
        saved.write(self._path, picture)
        return monotonic() - began

    def forget(self) -> None:
        """End every machine and empty the cloud."""
        with self._alone():
            self._cloud.machines.forget_all()
            for name in _SERVICES:
                _backends(name).clear()
            self._cloud.boxes.file_systems.clear()
        self._path.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._turn:
            self._turn.wait_for(lambda: not self._saving)
            self._saving = True
            self._turn.wait_for(lambda: not self._changing)
        try:
            yield
        finally:
            with self._turn:
                self._saving = False
                self._turn.notify_all()

    def _run(self) -> None:
        pause = QUIET_SECONDS
        while not self._closed.is_set():
            self._dirty.wait()
            if self._closed.wait(pause):
                return
            self._dirty.clear()
            try:
                # A big cloud must not spend its life saving itself.
                pause = max(QUIET_SECONDS, 10 * self.save())
            except (OSError, RuntimeError, TypeError, AttributeError, pickle.PickleError):
                log.exception("cannot save the cloud")
                self._dirty.set()


def restore(cloud: Cloud, path: Path) -> list[str]:
    """Bring back what was saved; sentences for the user about what came of it.

    Raises:
        LocalCloudError, StateError: another user could have written it.
    """
    if not os.path.lexists(path):
        return []
    try:
        picture = saved.read(path)
    except (LocalCloudError, StateError):
        raise
    except Exception as error:
        log.exception("cannot read %s", path)
        why = str(error) if isinstance(error, saved.Strange) else type(error).__name__
        return [f"The saved cloud could not be read and was discarded: {why}."]
    if isinstance(picture, str):
        return [picture]
    for name, accounts in picture["backends"].items():
        for account, regions in accounts.items():
            _backends(name)[account].update(regions)
    cloud.addresses.next = picture["next_address"]
    cloud.ahead = picture["ahead"]
    return _boot_again(cloud)


def _boot_again(cloud: Cloud) -> list[str]:
    instances = [
        instance
        for backend in cloud.backends()
        for reservation in backend.reservations.values()
        for instance in reservation.instances
    ]
    count = cloud.machines.restore(instances)
    return [f"{count} instance{'s' * (count != 1)} of the last time started again; files in /home are kept."] * bool(
        count
    )


def _dump(cloud: Cloud) -> bytes:
    """The cloud as bytes. The machines go on meanwhile, so a mapping may change under the pickler's hands."""
    for _ in range(_TRIES):
        try:
            return pickle.dumps(_picture(cloud), pickle.HIGHEST_PROTOCOL)
        except RuntimeError:
            log.info("the cloud changed while it was saved; once more")
    return pickle.dumps(_picture(cloud), pickle.HIGHEST_PROTOCOL)


def _picture(cloud: Cloud) -> dict[str, Any]:
    backends = {name: {account: dict(regions) for account, regions in _backends(name).items()} for name in _SERVICES}
    return {"backends": backends, "next_address": cloud.addresses.next, "ahead": cloud.ahead}


def _backends(name: str) -> Any:
    from moto.backends import get_backend

    find: Any = get_backend
    return find(name)
