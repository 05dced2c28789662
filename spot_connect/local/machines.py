"""The machines behind the instances: one box for each instance that runs.

Whoever wants an instance to change sets its state and calls ``settle``; a few permanent threads bring
the boxes in line. They are permanent because the kernel ends a box with the thread that started it.
"""

from __future__ import annotations

import base64
import logging
import secrets
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hmac import compare_digest
from threading import Lock
from typing import TYPE_CHECKING, Any

from spot_connect.core import untrusted
from spot_connect.core.errors import LocalCloudError
from spot_connect.core.models import Address
from spot_connect.core.names import LOGIN_TAG, SSH_TAG
from spot_connect.local import routes
from spot_connect.local.images import login_name

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

log = logging.getLogger("spot_connect.local")
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
KEPT_SECONDS = 3600
_STARTERS = 4
_STABLE_SECONDS = 10


@dataclass(slots=True)
class Machine:
    """What the local cloud knows of an instance beyond EC2's own record. It is saved with the instance."""

    login: str
    host: str
    port: int
    authorized_key: str
    token: str
    """What the machine shows when it asks something of the daemon."""
    secret: str
    """Where its metadata is: whoever knows the place may ask there, as every process of the machine may."""
    began: float = 0.0
    boot_seconds: float = 0.0
    booted_before: bool = False
    ended: float = 0.0
    interrupted_at: float = 0.0
    """The deadline of the interruption notice; 0 before one is given."""
    rebalance_at: float = 0.0
    """When a rebalance was recommended; 0 before."""
    mounts: dict[str, str] = field(default_factory=dict)
    """By mount point: the id of a file system, and the path in it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why an instance ends, in EC2's words."""

    code: str
    message: str
    request_status: str
    request_message: str


BY_USER = Ending(
    "Client.UserInitiatedShutdown",
    "Client.UserInitiatedShutdown: User initiated shutdown",
    "instance-terminated-by-user",
    "Your Spot Instance was terminated by the user.",
)
FROM_INSIDE = Ending(
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
    "instance-terminated-by-user",
    "Your Spot Instance was terminated by the user.",
)
INTERRUPTED = Ending(
    "Server.SpotInstanceTermination",
    "Server.SpotInstanceTermination: Spot instance termination",
    "instance-terminated-no-capacity",
    "Your Spot Instance is terminated because there is no Spot capacity available.",
)
FAILED = Ending(
    "Server.InternalError",
    "Server.InternalError: Internal error on launch",
    "instance-terminated-by-service",
    "Your Spot Instance could not be started.",
)


class Machines:
    """Brings boxes in line with instances."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._crew = ThreadPoolExecutor(_STARTERS, thread_name_prefix="machines")
        self._turns: defaultdict[str, Lock] = defaultdict(Lock)
        self._state = Lock()
        self._instances: dict[str, Any] = {}
        self._up: set[str] = set()
        self._rebooting: set[str] = set()
        self._halting: set[str] = set()

    def all(self) -> list[Any]:
        """Every instance, the ended ones of the last hour too."""
        return list(self._instances.values())

    def find(self, instance_id: str) -> Any | None:
        """The instance with that id."""
        return self._instances.get(instance_id)

    def of_secret(self, secret: str) -> Any | None:
        """The instance whose metadata is at that place."""
        wanted = secret.encode(errors="surrogateescape")
        return next((one for one in self.all() if compare_digest(one.machine.secret.encode(), wanted)), None)

    def adopt(self, instance: Any) -> None:
        """Give a new instance its address and its box."""
        address = self._place_of(instance)
        pair = instance.ec2_backend.key_pairs.get(instance.key_name)
        instance.machine = Machine(
            login=_login(instance),
            host=address.host,
            port=address.port,
            authorized_key=pair.public_key if pair else "",
            token=secrets.token_urlsafe(24),
            secret=secrets.token_urlsafe(24),
        )
        self._advertise(instance)
        self.keep(instance)
        self.settle(instance)

    def keep(self, instance: Any) -> None:
        """Know the instance, which has its machine already."""
        self._instances[instance.id] = instance

    def readdress(self, instance: Any) -> None:
        """A stopped instance comes back elsewhere, as in EC2."""
        address = self._place_of(instance)
        instance.machine.host, instance.machine.port = address.host, address.port
        self._advertise(instance)

    def mount(self, instance: Any, source: str, target: str) -> None:
        """Mount ``source``, a file system's id and a path in it, until the instance ends or boots again.

        Raises:
            LocalCloudError: it cannot be done.
        """
        file_system_id, _, path = source.partition("/")
        boxes = self._cloud.boxes
        boxes.mount(instance.id, boxes.file_systems.directory(file_system_id) / path, target)
        instance.machine.mounts[target] = source
        self._cloud.on_change()

    def unmount(self, instance: Any, target: str, *, lazy: bool) -> None:
        """Undo ``mount``.

        Raises:
            LocalCloudError: it cannot be done.
        """
        self._cloud.boxes.unmount(instance.id, target, lazy=lazy)
        instance.machine.mounts.pop(target, None)
        self._cloud.on_change()

    def settle(self, instance: Any) -> None:
        """Bring the instance's box in line with its state, soon."""
        self._crew.submit(self._settle, instance)

    def reboot(self, instance: Any) -> None:
        """End everything in the box and start it again."""
        self._rebooting.add(instance.id)
        self.settle(instance)

    def halt(self, instance: Any) -> None:
        """End everything in the box, which stays on, as a halted machine does in EC2."""
        self._halting.add(instance.id)
        self.settle(instance)

    def end(self, instance: Any, ending: Ending) -> None:
        """Terminate the instance for that reason; nothing when it has ended."""
        if instance.state in ("shutting-down", "terminated"):
            return
        instance.ending = ending
        instance.terminate()

    def forget_ended(self, backend: Any) -> None:
        """Drop the instances of a Region that ended more than an hour ago."""
        oldest = self._cloud.now() - KEPT_SECONDS
        for key, reservation in list(backend.reservations.items()):
            gone = [one for one in reservation.instances if one.machine and 0 < one.machine.ended < oldest]
            if not gone:
                continue
            reservation.instances = [one for one in reservation.instances if one not in gone]
            for instance in gone:
                self._instances.pop(instance.id, None)
            if not reservation.instances:
                backend.reservations.pop(key, None)

    def forget_all(self) -> None:
        """End every box and forget every instance."""
        ids = list(self._instances)
        self._instances.clear()
        list(self._crew.map(self._remove, ids))

    def restore(self, instances: Iterable[Any]) -> int:
        """Boot again what was running when the instances were saved; how many those are."""
        count = 0
        for instance in instances:
            self.keep(instance)
            count += instance.state in ("pending", "running")
            self.settle(instance)
        return count

    def close(self) -> None:
        """Start and stop nothing any more."""
        self._crew.shutdown(wait=True, cancel_futures=True)

    def fell(self, instance_id: str) -> None:
        """The box ended by itself: boot it again, as EC2 recovers an instance, but not over and over."""
        instance = self.find(instance_id)
        if instance is None or instance.state != "running":
            return
        log.warning("the machine of %s ended by itself", instance_id)
        self._up.discard(instance_id)
        if self._cloud.now() - instance.machine.began > _STABLE_SECONDS:
            self.settle(instance)

    def _settle(self, instance: Any) -> None:
        with self._turns[instance.id]:
            while self._instances.get(instance.id) is instance and self._step(instance):
                self._cloud.on_change()

    def _step(self, instance: Any) -> bool:
        """Do the next thing; whether there may be more."""
        state = instance.state
        if instance.id in self._rebooting:
            self._rebooting.discard(instance.id)
            self._halt(instance)
        elif instance.id in self._halting:
            self._halting.discard(instance.id)
            self._cloud.boxes.stop(instance.id)
        elif state in ("pending", "running") and instance.id not in self._up:
            self._boot(instance)
        elif state == "pending":
            self._move(instance, "pending", "running")
        elif state == "stopping":
            self._halt(instance)
            self._move(instance, "stopping", "stopped")
        elif state == "shutting-down":
            self._remove(instance.id)
            routes.lose(instance)
            self._move(instance, "shutting-down", "terminated")
        else:
            return False
        return True

    def _boot(self, instance: Any) -> None:
        machine = instance.machine
        machine.began = self._cloud.now()
        machine.boot_seconds = self._cloud.faults.boot_seconds(self._cloud.boot_seconds)
        try:
            box = self._cloud.boxes.start(self._spec(instance))
        except Exception:
            # Whatever broke, the instance must not stay pending for ever.
            log.exception("cannot start %s", instance.id)
            self.end(instance, FAILED)
            return
        if (box.host, box.port) != (machine.host, machine.port):
            machine.host, machine.port = box.host, box.port
            self._advertise(instance)
        machine.booted_before = True
        self._mount_again(instance)
        self._up.add(instance.id)
        log.info("%s listens on %s:%s", instance.id, machine.host, machine.port)

    def _halt(self, instance: Any) -> None:
        self._cloud.boxes.stop(instance.id)
        self._up.discard(instance.id)
        # As on EC2: what is not in /etc/fstab does not come back after a boot.
        instance.machine.mounts.clear()

    def _mount_again(self, instance: Any) -> None:
        """What was mounted when the daemon ended, which no instance is to notice."""
        for target, source in list(instance.machine.mounts.items()):
            try:
                self.mount(instance, source, target)
            except LocalCloudError:
                log.exception("%s has lost its mount at %s", instance.id, target)
                instance.machine.mounts.pop(target, None)

    def _remove(self, instance_id: str) -> None:
        self._cloud.boxes.stop(instance_id)
        self._cloud.boxes.discard(instance_id)
        self._up.discard(instance_id)
        self._turns.pop(instance_id, None)

    def _move(self, instance: Any, before: str, after: str) -> None:
        """Change the state unless somebody changed it meanwhile."""
        with self._state:
            if instance.state == before:
                set_state(instance, after)
        if after == "terminated":
            instance.machine.ended = self._cloud.now()

    def _place_of(self, instance: Any) -> Address:
        """Where its machine listens: at the public address, if packets come in there, or else where nobody looks."""
        addresses = self._cloud.addresses
        return addresses.with_port(instance.public_ip if routes.leads_out(instance) else addresses.take())

    def _advertise(self, instance: Any) -> None:
        """Tell where SSH is to be tried. At the public address of one that cannot be reached nobody listens there."""
        machine = instance.machine
        if routes.leads_out(instance):
            instance.add_tags({SSH_TAG: f"{machine.host}:{machine.port}"})
        elif instance.public_ip:
            instance.add_tags({SSH_TAG: str(self._cloud.addresses.with_port(instance.public_ip))})

    def _spec(self, instance: Any) -> Any:
        from spot_connect.local.boxes.supervisor import BoxSpec

        machine = instance.machine
        return BoxSpec(
            instance_id=instance.id,
            hostname=instance.private_dns_name.partition(".")[0],
            username=machine.login,
            authorized_keys=(machine.authorized_key,) if machine.authorized_key else (),
            host=machine.host,
            port=machine.port,
            user_data=b"" if machine.booted_before else user_data(instance),
            environment=self._environment(instance),
            boot_seconds=machine.boot_seconds,
        )

    def metadata_address(self, instance: Any) -> str:
        """Where the instance's processes find its metadata service."""
        return f"{self._cloud.url}/_imds/{instance.machine.secret}/"

    def _environment(self, instance: Any) -> dict[str, str]:
        url = self._cloud.url
        return {
            "AWS_ENDPOINT_URL": url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata_address(instance),
            "AWS_DEFAULT_REGION": instance.region_name,
            "SPOT_CONNECT_CONTROL": f"{url}/_spot_connect",
            "SPOT_CONNECT_BOX_TOKEN": instance.machine.token,
            "SPOT_CONNECT_BOX": instance.id,
        }


def set_state(instance: Any, name: str) -> None:
    """Put the instance into the state, as EC2 numbers it."""
    from moto.ec2.models.instances import InstanceState

    instance._state = InstanceState(name, CODES[name])


def user_data(instance: Any) -> bytes:
    """The user data as it was before base64."""
    return base64.b64decode(str(instance.user_data)) if instance.user_data else b""


def _login(instance: Any) -> str:
    """The login that was asked for, or the image's own: a box is made of it, so it has to be a login."""
    try:
        return untrusted.login_name(_tag(instance, LOGIN_TAG))
    except untrusted.Refused:
        return login_name(instance)


def _tag(instance: Any, key: str) -> str:
    return str(instance.ec2_backend.tags.get(instance.id, {}).get(key, ""))
