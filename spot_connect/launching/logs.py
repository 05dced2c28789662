"""What an instance has printed: at its first boot, over SSH or as EC2 tells it."""

from __future__ import annotations

from collections.abc import Callable

from spot_connect.aws import instances
from spot_connect.core.errors import (
    AwsObjectMissing,
    InstanceNotFound,
    KeyMissing,
    ScriptFailed,
    SshError,
    SshRefused,
    SshUnreachable,
    TagRefused,
)
from spot_connect.core.models import LIVE_STATES, Instance
from spot_connect.core.names import is_instance_id
from spot_connect.core.reporting import Reporter
from spot_connect.core.requests import LaunchRequest
from spot_connect.launching import finding
from spot_connect.launching.connecting import open_line
from spot_connect.launching.realm import Realm, typed
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from spot_connect.store.keys import KeyFiles

CLOUD_INIT_LOG = "/var/log/cloud-init-output.log"
# Some images let only root and the group of administrators read it.
_READ = "$([ -r {log} ] || echo sudo -n) {read} {log}"
_UNREACHED = (SshUnreachable, SshRefused, AwsObjectMissing, KeyMissing, TagRefused)


def show_cloud_init(
    realm: Realm,
    name: str,
    region: str,
    files: KeyFiles,
    reporter: Reporter,
    *,
    show: Callable[[bytes], None],
    follow: bool = False,
) -> None:
    """Hand what user data and cloud-init printed at the first boot to ``show``.

    It is read over SSH; where that cannot be reached, EC2's own copy of the console is shown instead, which has more
    in it and may be some minutes old.

    Args:
        realm: AWS, or the local cloud.
        name: of a live instance, or an id.
        region: where to look; empty for wherever it is.
        files: where private keys are.
        reporter: hears of progress.
        show: gets the bytes as they arrive.
        follow: go on as the log grows, until interrupted or the instance ends.

    Raises:
        InstanceNotFound: nothing runs under that name.
        SshError: neither SSH nor EC2 can tell.
        ScriptFailed: the instance has no such log.
    """
    instance = _found(realm, name, region, reporter)
    if instance.state not in LIVE_STATES:
        reporter.note(f"{instance.name} is {instance.state}; this is the console as EC2 keeps it:")
        show(_console(realm, instance))
        return
    try:
        connection = open_line(realm, instance, LaunchRequest(instance.name, region=region), files, reporter)
    except _UNREACHED as error:
        reporter.warn(f"{error.what}: {error.said}. This is the console as EC2 keeps it:")
        show(_console(realm, instance))
        return
    with connection:
        _over_ssh(connection, instance, show, follow=follow)


def _found(realm: Realm, name: str, region: str, reporter: Reporter) -> Instance:
    """The machine of that name; by its id also one that has ended, whose console EC2 keeps for a while."""
    regions = finding.likely_regions(realm, name, region, "")
    if is_instance_id(name):
        found = instances.by_id(realm.cloud(regions[0]), name)
    else:
        found = finding.by_name(realm, name, regions, reporter, everywhere=not region)
    if found is None:
        raise InstanceNotFound(
            f"cannot show what {name} printed",
            f"there is no such instance in {regions[0] if region or is_instance_id(name) else 'any Region'}",
            f"See `{typed(realm, 'list')}`; -reg names another Region.",
        )
    return found


def _over_ssh(connection: Connection, instance: Instance, show: Callable[[bytes], None], *, follow: bool) -> None:
    command = _READ.format(log=CLOUD_INIT_LOG, read="tail -n +1 -F" if follow else "cat")
    finished = run(connection, command, on_stdout=show, capture=False)
    if finished.exit_status:
        raise ScriptFailed(
            f"cannot read {CLOUD_INIT_LOG} on {instance.name}",
            finished.exit_status,
            advice="Its image may not have cloud-init.",
        )


def _console(realm: Realm, instance: Instance) -> bytes:
    text = instances.console(realm.cloud(instance.region), instance.id).text
    if not text:
        raise SshError(
            f"cannot show what {instance.name} printed",
            "it cannot be reached over SSH and EC2 has no console output",
            "EC2 keeps it from some minutes after the start on.",
        )
    return text.encode()
