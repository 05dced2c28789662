"""From a name to an open SSH line: find the machine or launch it, wait for it, trust it, log in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from spot_connect.aws import instances
from spot_connect.core.booting import boot_seconds
from spot_connect.core.endings import why_it_ended
from spot_connect.core.errors import (
    AwsError,
    DeadlinePassed,
    InstanceNotFound,
    RunInterrupted,
    SpotConnectError,
    SshError,
    SshLost,
    SshRefused,
    SshUnreachable,
    StateError,
    TagRefused,
    UsageError,
)
from spot_connect.core.models import LIVE_STATES, Address, Instance
from spot_connect.core.names import SUCCESSOR_TAG, is_instance_id
from spot_connect.core.reporting import Reporter
from spot_connect.core.requests import LaunchRequest
from spot_connect.core.ssh_config import SshAlias
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.launching import doors, ending, finding, running_on, trust
from spot_connect.launching.launch import launch
from spot_connect.launching.realm import Realm, typed
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.readiness import wait_for_login, wait_until_ready, warm_up
from spot_connect.store.keys import KeyFiles

_DEFAULT_USER = "ec2-user"
_ADDRESS_SECONDS = 180.0
_LAUNCH_SECONDS = 300.0
_RECONNECT_SECONDS = 20.0
_FIRST_LOGIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Reached:
    """A machine and the line to it; ``launched`` when this call made it."""

    instance: Instance
    connection: Connection
    launched: bool


def reach(realm: Realm, request: LaunchRequest, files: KeyFiles, reporter: Reporter) -> Reached:
    """The machine called ``request.name``: the one that runs, or a new one if a profile was given.

    An instance id instead of a name means that running machine; none can be launched under it.

    Raises:
        UsageError: a machine is to be launched under an instance id.
        InstanceNotFound: nothing runs under that name and no profile was given.
    """
    if is_instance_id(request.name):
        if request.profile is not None:
            raise UsageError(
                f"cannot launch {request.name}",
                "that is an instance id",
                "Give a name of your own, or leave -p out to connect to the instance of that id.",
            )
        return reach_id(realm, request, files, reporter)
    if request.profile is not None:
        return _launch_or_open(realm, request, files, reporter)
    found = _find(realm, request, reporter, everywhere=True)
    if found is None:
        raise _absent(realm, request)
    return _opened(realm, found, request, files, reporter)


def last_of(realm: Realm, request: LaunchRequest) -> Instance | None:
    """The machine of that name that ended last, as long as EC2 remembers it: an hour or so."""
    for region in finding.likely_regions(realm, request.name, request.region, ""):
        found = instances.ended(realm.cloud(region), request.name)
        if found:
            return found
    return None


def _absent(realm: Realm, request: LaunchRequest) -> SpotConnectError:
    """Why nothing runs under that name, as far as AWS still knows."""
    what = f"cannot connect to {request.name}"
    launch_it = f"Launch it with a profile: {typed(realm, '-n', request.name, '-p', 't3.micro')}"
    last = last_of(realm, request)
    if last is None:
        return InstanceNotFound(what, "no instance of that name runs in any Region", launch_it)
    why = why_it_ended(last)
    if not why.interrupted:
        return InstanceNotFound(what, f"{last.id} has ended: {why.words}", launch_it)
    go_on = f"{typed(realm, 'resume', request.name)} goes on with its last run on another machine"
    return RunInterrupted(what, f"{last.id} has ended: {why.words}", f"{go_on}. {launch_it}")


def reach_id(realm: Realm, request: LaunchRequest, files: KeyFiles, reporter: Reporter) -> Reached:
    """The running machine whose id is ``request.name``; never launches."""
    found = finding.by_id(realm, request.name, request.region)
    return _opened(realm, found, request, files, reporter)


def open_line(
    realm: Realm,
    instance: Instance,
    request: LaunchRequest,
    files: KeyFiles,
    reporter: Reporter,
    *,
    fresh: bool = False,
) -> Connection:
    """A logged-in SSH connection to the machine, its door open to our address of today; OpenSSH knows it by name.

    Raises:
        TagRefused: somebody has written into a tag of the machine what does not belong there.
        SshError: it cannot be reached.
    """
    require_fitting_tags(realm, instance, f"connect to {instance.name}")
    connection = _line(realm, instance, request, files, reporter, fresh=fresh)
    try:
        realm.aliases.keep(_alias(realm, instance, connection))
    except StateError as error:
        reporter.warn(str(error))
    return connection


def require_fitting_tags(realm: Realm, instance: Instance, what: str) -> None:
    """Refuse to do ``what`` with a machine whose tags are not what they may be.

    Raises:
        TagRefused: one of them is not.
    """
    if instance.refused:
        how = typed(realm, "terminate", instance.id)
        raise TagRefused(
            f"cannot {what} ({instance.id})",
            "; ".join(instance.refused),
            f"Somebody who may tag instances of this account has written it. Correct it in the EC2 console, or: {how}",
        )


def _line(
    realm: Realm, instance: Instance, request: LaunchRequest, files: KeyFiles, reporter: Reporter, *, fresh: bool
) -> Connection:
    key = doors.key_file(files, instance, request.key_pair)
    check = trust.HostKeyCheck(realm, instance, reporter, fresh=fresh)
    with running_on.told(realm, instance):
        check.await_console()
        address = _address(realm, instance)
        connection = _connection(realm, instance, address, request, key, check)
        left = boot_seconds(instance.type) if fresh else _left_to_boot(instance)
        if not fresh and _answers(realm, instance, connection, request, reporter, boots=left > 0):
            return connection
        warm_up()
        slowly = f", which takes {instance.type} up to 20 minutes" if left > _LAUNCH_SECONDS else ""
        with reporter.step(f"waiting for {instance.name} at {address}{slowly}"):
            wait_until_ready(
                address,
                seconds=max(left, _RECONNECT_SECONDS),
                alive=lambda: _must_live(realm, instance),
                for_login=connection,
            )
            wait_for_login(connection, seconds=_FIRST_LOGIN_SECONDS if left else 0)
    return connection


def _left_to_boot(instance: Instance) -> float:
    """How long the machine may still be booting, whoever launched it; 0 when it should be up.

    EC2 calls it running as soon as it has a host, whatever its clock and ours say.
    """
    whole = boot_seconds(instance.type)
    if instance.state == "pending":
        return whole
    age = (datetime.now(timezone.utc) - instance.launched).total_seconds()
    return min(whole, max(0.0, whole - age))


def _alias(realm: Realm, instance: Instance, connection: Connection) -> SshAlias:
    return SshAlias(
        name=instance.name,
        instance_id=instance.id,
        host=connection.address.host,
        port=connection.address.port,
        username=connection.username,
        key=connection.key_file,
        known_hosts=realm.pins.path,
    )


def _answers(
    realm: Realm,
    instance: Instance,
    connection: Connection,
    request: LaunchRequest,
    reporter: Reporter,
    *,
    boots: bool,
) -> bool:
    """Whether the machine lets us in at once; its door is opened to our address meanwhile.

    One that boots may have no key of ours yet.

    A closed door drops packets, and TCP sends its first one again after a second: by then the door is open.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        door = pool.submit(doors.refresh, realm, instance, request.firewall, reporter)
        try:
            connection.open()
        except (SshUnreachable, SshRefused, SshLost) as error:
            if not (boots or isinstance(error, SshUnreachable)):
                raise
            door.result()
            return False
    try:
        door.result()
    except AwsError as error:
        # We are in already; who may not look at the rules can still work.
        reporter.warn(f"the security group of {instance.name} was not brought up to date: {error.said}")
    return True


def _find(realm: Realm, request: LaunchRequest, reporter: Reporter, *, everywhere: bool) -> Instance | None:
    likely = realm.region_of(request.profile) if request.profile and not request.region else ""
    regions = finding.likely_regions(realm, request.name, request.region, likely)
    return finding.by_name(realm, request.name, regions, reporter, everywhere=everywhere and not request.region)


def _launch_or_open(realm: Realm, request: LaunchRequest, files: KeyFiles, reporter: Reporter) -> Reached:
    def waiting(_: str) -> None:
        reporter.note(f"another terminal is launching {request.name}; waiting for it")

    made: list[Instance] = []
    try:
        with realm.state.lock(f"launch-{request.name}", wait_seconds=_LAUNCH_SECONDS, on_wait=waiting):
            found = _find(realm, request, reporter, everywhere=False)
            if found is None:
                launch(realm, request, files, reporter, hear=made.append)
                realm.hints.remember(request.name, made[0].region)
        if found is not None:
            return _opened(realm, found, request, files, reporter)
        return _open_new(realm, made[0], request, files, reporter)
    except KeyboardInterrupt:
        if made:
            ending.terminate(realm, made)
            reporter.note(f"interrupted: {request.name} ({made[0].id}) was terminated again")
        raise


def _opened(realm: Realm, found: Instance, request: LaunchRequest, files: KeyFiles, reporter: Reporter) -> Reached:
    if request.launch_only:
        settings = ", ".join(request.launch_only)
        reporter.note(f"{request.name} runs already; ignoring what only a launch can set: {settings}")
    connection = open_line(realm, found, request, files, reporter)
    return Reached(_up_to_date(realm, found), connection, launched=False)


def _open_new(realm: Realm, made: Instance, request: LaunchRequest, files: KeyFiles, reporter: Reporter) -> Reached:
    try:
        chosen = settled(realm, made, reporter)
        if chosen.id != made.id:
            reporter.note(f"another computer launched {request.name} first; using its {chosen.id}")
            ending.terminate(realm, [made])
        connection = open_line(realm, chosen, request, files, reporter, fresh=chosen.id == made.id)
        return Reached(_up_to_date(realm, chosen), connection, launched=chosen.id == made.id)
    except (InstanceNotFound, SshError, DeadlinePassed):
        raise
    except SpotConnectError:
        how = typed(realm, "terminate", request.name)
        reporter.warn(f"{request.name} ({made.id}) is still running; `{how}` ends it")
        raise


def settled(realm: Realm, made: Instance, reporter: Reporter) -> Instance:
    """The machine of that name once it has an address: ours, or an older one if two computers raced.

    One that AWS is taking away is no rival.
    """
    cloud = realm.cloud(made.region)

    def look() -> Seen[Instance]:
        rivals = [one for one in instances.named(cloud, made.name) if SUCCESSOR_TAG not in one.tags]
        first = rivals[0] if rivals else made
        if not rivals:
            _must_live(realm, made)
        return Seen(first if first.address else None, f"it is {first.state}")

    with reporter.step(f"starting {made.name} ({made.id}) in {made.zone}"), running_on.told(realm, made):
        return wait_for(f"address for {made.name}", look, seconds=_ADDRESS_SECONDS, every=0.5)


def _up_to_date(realm: Realm, reached: Instance) -> Instance:
    """A machine that answers, as EC2 tells it now: it was pending when it was looked for."""
    if reached.state != "pending":
        return reached
    try:
        return instances.by_id(realm.cloud(reached.region), reached.id) or reached
    except AwsError:
        return reached


def _must_live(realm: Realm, instance: Instance) -> None:
    now = instances.by_id(realm.cloud(instance.region), instance.id)
    if now is not None and now.state not in LIVE_STATES:
        raise InstanceNotFound(
            f"cannot connect to {instance.name}",
            f"it is {now.state} ({now.state_reason or 'no reason given'})",
            "Launch it again with the same command and -p.",
        )


def _address(realm: Realm, instance: Instance) -> Address:
    if instance.address:
        return instance.address
    if instance.state == "pending":
        return _waited_address(realm, instance)
    raise SshUnreachable(
        f"cannot connect to {instance.name}",
        f"it is {instance.state} and has no public address",
        "Start it, or give it a public address, in the EC2 console.",
    )


def _waited_address(realm: Realm, instance: Instance) -> Address:
    cloud = realm.cloud(instance.region)

    def look() -> Seen[Address]:
        now = instances.by_id(cloud, instance.id)
        return Seen(now.address if now else None, f"it is {now.state if now else 'not to be seen'}")

    return wait_for(f"address for {instance.name}", look, seconds=_ADDRESS_SECONDS, every=0.5)


def _connection(
    realm: Realm, instance: Instance, address: Address, request: LaunchRequest, key: Path, check: trust.HostKeyCheck
) -> Connection:
    profile_user = request.profile.username if request.profile else ""
    return Connection(
        address,
        request.username or instance.username or profile_user or _DEFAULT_USER,
        key,
        verify=check,
        known=trust.pinned(realm, instance),
        doubt=check.doubt,
    )
