"""Is this server the machine we mean? Host keys, pinned per instance id.

The pin belongs to the id and not to the address, because EC2 gives addresses to the next customer.
"""

from __future__ import annotations

import shlex
import threading
from dataclasses import dataclass

from spot_connect.aws import instances
from spot_connect.core.booting import boot_seconds
from spot_connect.core.errors import (
    AwsError,
    AwsUnreachable,
    DeadlinePassed,
    HostKeyChanged,
    HostKeyUnknown,
    SpotConnectError,
    Throttled,
)
from spot_connect.core.models import Instance
from spot_connect.core.reporting import Reporter
from spot_connect.core.waiting import SYSTEM_CLOCK, Seen, wait_for
from spot_connect.launching.realm import Realm
from spot_connect.ssh.doubt import Doubt
from spot_connect.ssh.host_keys import HostKey, fingerprints_in_console, host_keys_in_console

_FIRST_BOOT_SECONDS = 3.0
_STRICT_SECONDS = 900.0
"""User data runs before cloud-init prints the keys, and EC2 shows the console of old types minutes later."""
_LATER_SECONDS = 1800.0
_LATER_EVERY = 10.0
_PASSING = (Throttled, AwsUnreachable)
_NOT_YET = "its console shows no host key yet"


def pinned(realm: Realm, instance: Instance) -> tuple[HostKey, ...]:
    """The host keys that this computer has accepted for the instance."""
    return tuple(HostKey(algorithm, blob) for algorithm, blob in realm.pins.read(instance.id))


class HostKeyCheck:
    """Accepts the instance's own host key and raises for any other.

    A key seen for the first time is compared with what the instance printed on its console, which AWS tells us
    over its own authenticated channel. Where the console shows no key yet, the server's is accepted with a warning,
    and compared in the background as soon as the console has it: if it is another, all lines to the server are
    dropped by ``doubt``. The process need not stay for that; the next connection compares as well.

    Args:
        fresh: the machine has just booted, so its console is worth a short wait.

    Where the realm is strict, no key is accepted before the console shows it; :meth:`await_console` waits for that.

    Raises:
        HostKeyChanged: (when called) the key is not the instance's.
        HostKeyUnknown: (when called) it is strict and nothing tells whose the key is.
    """

    def __init__(self, realm: Realm, instance: Instance, reporter: Reporter, *, fresh: bool) -> None:
        self.doubt = Doubt()
        self._realm = realm
        self._instance = instance
        self._reporter = reporter
        self._fresh = fresh
        self._strict = realm.strict_host_key
        self._lock = threading.Lock()
        self._is_watching = False

    def await_console(self) -> None:
        """Wait until the console shows the instance's host keys, and pin them; only if it is strict.

        It comes before the connection, as a server waits for a login two minutes and no longer.

        Raises:
            HostKeyUnknown: it did not show any in time, or nobody may look at it.
        """
        if not self._strict or self._is_verified():
            return
        name = self._instance.name
        with self._reporter.step(f"waiting for the console of {name} to show its host key"):
            try:
                seconds = max(_STRICT_SECONDS, boot_seconds(self._instance.type))
                told = wait_for("host key on the console", self._look_patiently, seconds=seconds, every=2.0)
            except (DeadlinePassed, AwsError) as error:
                raise self._unknown(error.said) from error
        self._pin(told)

    def __call__(self, key: HostKey) -> None:
        """Check the key that the server shows."""
        self.doubt.check()
        known = pinned(self._realm, self._instance)
        if known and key not in known:
            raise self._changed(key, f"it was {known[0].fingerprint} before")
        if known and self._realm.pins.is_verified(self._instance.id):
            return
        if known and self._is_watching:
            return
        told, why = self._told_soon()
        if told:
            self._judge(key, told)
            return
        if self._strict:
            raise self._unknown(why)
        if not known:
            self._reporter.warn(
                f"the host key {key.fingerprint} of {self._instance.name} is accepted on first sight: {why}; it is "
                "compared as soon as that shows it, or at the next connection (--strict-host-key True waits instead)"
            )
            self._realm.pins.pin(self._instance.id, key.algorithm, key.blob, verified=False)
        self._watch(key)

    def _is_verified(self) -> bool:
        return self._realm.pins.is_verified(self._instance.id)

    def _told_soon(self) -> tuple[_Told | None, str]:
        """What the console tells now, or within seconds of the first boot; else why there is nothing."""
        seconds = _FIRST_BOOT_SECONDS if self._fresh else 0
        try:
            told = wait_for("host key on the console", self._look_briefly, seconds=seconds, every=1.0)
        except DeadlinePassed:
            return None, _NOT_YET
        except AwsError as error:
            return None, f"its console cannot be read ({error.said})"
        return (told, "") if told.prints else (None, _NOT_YET)

    def _look(self) -> tuple[_Told, bool]:
        console = instances.console(self._realm.cloud(self._instance.region), self._instance.id)
        return _told(console.text), console.is_live

    def _look_briefly(self) -> Seen[_Told]:
        told, is_live = self._look()
        # A console that lags by minutes is not worth the wait.
        return Seen(told if told.prints or not is_live else None)

    def _look_patiently(self) -> Seen[_Told]:
        try:
            told, _ = self._look()
        except _PASSING as error:
            return Seen(None, error.said)
        return Seen(told if told.prints else None, _NOT_YET)

    def _watch(self, key: HostKey) -> None:
        """Compare the key later; a process that is done does not wait for that."""
        with self._lock:
            if self._is_watching:
                return
            self._is_watching = True
        threading.Thread(target=self._compare_later, args=(key,), daemon=True, name="host-key").start()

    def _compare_later(self, key: HostKey) -> None:
        SYSTEM_CLOCK.sleep(_LATER_EVERY)
        try:
            told = wait_for("host key on the console", self._look_patiently, seconds=_LATER_SECONDS, every=_LATER_EVERY)
            self._judge(key, told)
        except HostKeyChanged as error:
            changed = _suspect(self._instance, error)
            if not self.doubt.confirm(changed):
                self._reporter.warn(str(changed))
        except SpotConnectError:
            # It stays as it was said to be: accepted on first sight, and compared at the next connection.
            return
        finally:
            self._is_watching = False

    def _judge(self, key: HostKey, told: _Told) -> None:
        """Pin the key if the console shows it.

        Raises:
            HostKeyChanged: it shows others, which are pinned instead, so that OpenSSH does not take this one either.
        """
        if key.fingerprint in told.prints:
            self._realm.pins.pin(self._instance.id, key.algorithm, key.blob, verified=True)
            return
        self._realm.pins.forget(self._instance.id)
        self._pin(told)
        raise self._changed(key, "the instance's console shows another")

    def _pin(self, told: _Told) -> None:
        for key in told.keys:
            self._realm.pins.pin(self._instance.id, key.algorithm, key.blob, verified=True)

    def _changed(self, key: HostKey, said: str) -> HostKeyChanged:
        return HostKeyChanged(
            f"refused to connect to {self._instance.name} ({self._instance.id})",
            f"the server shows the host key {key.fingerprint}, but {said}",
            "Somebody may be listening in. If you replaced the key yourself, run "
            f"`ssh-keygen -R {self._instance.id} -f {shlex.quote(str(self._realm.pins.path))}`.",
        )

    def _unknown(self, why: str) -> HostKeyUnknown:
        return HostKeyUnknown(
            f"refused to connect to {self._instance.name} ({self._instance.id})",
            f"nothing tells whether its host key is the right one: {why}",
            "Look at its console in EC2 (Actions, Monitor, Get system log), try again later, or leave "
            "--strict-host-key out to accept the key on first sight and have it compared later.",
        )


@dataclass(frozen=True, slots=True)
class _Told:
    prints: frozenset[str]
    keys: tuple[HostKey, ...]


def _told(text: str) -> _Told:
    keys = host_keys_in_console(text)
    return _Told(fingerprints_in_console(text) | {key.fingerprint for key in keys}, keys)


def _suspect(instance: Instance, error: HostKeyChanged) -> HostKeyChanged:
    """The same for a line that was in use."""
    return HostKeyChanged(
        f"the line to {instance.name} ({instance.id}) was dropped",
        error.said,
        "Somebody may have listened in: what was sent over it may be known to others, and what came may be forged. "
        "Change the passwords and keys that were among it, and connect again: the right key is asked for now.",
    )
