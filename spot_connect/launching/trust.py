"""Is this server the machine we mean? Host keys, pinned per instance id.

The pin belongs to the id and not to the address, because EC2 gives addresses to the next customer.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

from spot_connect.aws import instances
from spot_connect.core.errors import AwsError, DeadlinePassed, HostKeyChanged
from spot_connect.core.models import Instance
from spot_connect.core.reporting import Reporter
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.launching.realm import Realm
from spot_connect.ssh.host_keys import HostKey, fingerprints_in_console, host_keys_in_console

_FIRST_BOOT_SECONDS = 3.0


def pinned(realm: Realm, instance: Instance) -> tuple[HostKey, ...]:
    """The host keys that this computer has accepted for the instance."""
    return tuple(HostKey(algorithm, blob) for algorithm, blob in realm.pins.read(instance.id))


def verifier(realm: Realm, instance: Instance, reporter: Reporter, *, fresh: bool) -> Callable[[HostKey], None]:
    """A check that accepts the instance's own host key and raises for any other.

    A key seen for the first time is compared with what the instance printed on its console, which AWS tells us
    over its own authenticated channel. Where the console is still empty the key is accepted with a warning and
    compared at the next connection.

    Args:
        fresh: the machine has just booted, so its console is worth a short wait.

    Raises:
        HostKeyChanged: (from the check) the key is not the instance's.
    """

    def verify(key: HostKey) -> None:
        known = pinned(realm, instance)
        if known and key not in known:
            raise _changed(realm, instance, key, f"it was {known[0].fingerprint} before")
        if known and realm.pins.is_verified(instance.id):
            return
        told = _told_by_console(realm, instance, seconds=_FIRST_BOOT_SECONDS if fresh else 0)
        if told and key.fingerprint not in told:
            raise _changed(realm, instance, key, "the instance's console shows another")
        if not told and not known:
            reporter.warn(
                f"the host key {key.fingerprint} of {instance.name} is accepted on first sight: "
                "its console is still empty; it is compared at the next connection"
            )
        if told or not known:
            realm.pins.pin(instance.id, key.algorithm, key.blob, verified=bool(told))

    return verify


def _told_by_console(realm: Realm, instance: Instance, seconds: float) -> frozenset[str]:
    cloud = realm.cloud(instance.region)

    def look() -> Seen[frozenset[str]]:
        console = instances.console(cloud, instance.id)
        told = fingerprints_in_console(console.text)
        told |= {key.fingerprint for key in host_keys_in_console(console.text)}
        # A console that lags by minutes is not worth the wait.
        return Seen(told if told or not console.is_live else None, "the console shows no host key")

    try:
        return wait_for("host key on the console", look, seconds=seconds, every=1.0)
    except (DeadlinePassed, AwsError):
        # Without the console there is nothing to compare with; the caller says so.
        return frozenset()


def _changed(realm: Realm, instance: Instance, key: HostKey, said: str) -> HostKeyChanged:
    return HostKeyChanged(
        f"refused to connect to {instance.name} ({instance.id})",
        f"the server shows the host key {key.fingerprint}, but {said}",
        "Somebody may be listening in. If you replaced the key yourself, run "
        f"`ssh-keygen -R {instance.id} -f {shlex.quote(str(realm.pins.path))}`.",
    )
