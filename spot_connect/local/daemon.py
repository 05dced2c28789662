"""The process of the local cloud: ``python -m spot_connect.local.daemon``."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from spot_connect.core.errors import DeadlinePassed, LocalCloudError, SpotConnectError
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.local.places import FileLock, Places, write_json

if TYPE_CHECKING:
    from spot_connect.local.cloud import Boxes, Cloud, Settings

MakeBoxes = Callable[[Path, "str | None", Callable[[str], None]], "Boxes"]
log = logging.getLogger("spot_connect.local")
TAKEN = 3
_SWITCHES = {
    "MOTO_DISABLE_GLOBAL_CORS": "true",
    "MOTO_ENABLE_AMI_VALIDATION": "1",
    "MOTO_ENABLE_KEYPAIR_VALIDATION": "1",
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "1",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    # moto makes clients of its own now and then; these keys make sure that they are nobody's.
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    # Nor does it read the user's files, which may be broken.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def main(argv: Sequence[str] | None = None, make_boxes: MakeBoxes | None = None) -> int:
    """Be the local cloud until told to stop; 3 when another daemon serves this home."""
    options = _options(argv)
    if not options.foreground and os.fork():
        # The daemon must not be the child of whoever started it.
        os._exit(0)
    # Whatever that of the user is: nothing that boxes share is to be written by a group.
    os.umask(0o022)
    places = Places(options.home)
    places.make()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    # Never given back: it is free when this process is gone, and not a moment before.
    lock = FileLock(places.lock)
    if not _take(lock):
        log.warning("another daemon serves %s", places.home)
        return TAKEN
    lock.write(str(os.getpid()))
    try:
        return _run(places, options, make_boxes or _supervisor)
    except SpotConnectError as error:
        # The last line of the log, which is shown to whoever has started this.
        sys.exit(str(error))


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="spot_connect.local.daemon")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--isolation")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--boot-seconds", type=float, default=0.0)
    parser.add_argument("--ready", type=int, help="a pipe to close when ready")
    parser.add_argument("--foreground", action="store_true")
    return parser.parse_args(argv)


def _take(lock: FileLock) -> bool:
    """Whether we hold the lock; somebody who only looks holds it for a moment, too."""
    try:
        return wait_for("lock", lambda: Seen(lock.take() or None), seconds=1, every=0.02)
    except DeadlinePassed:
        return False


def _run(places: Places, options: argparse.Namespace, make_boxes: MakeBoxes) -> int:
    from spot_connect.local.cloud import Settings

    if options.ready is not None:
        os.set_inheritable(options.ready, False)  # noqa: FBT003
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(_SWITCHES)
    # moto loads millions of objects that stay; looking through them for garbage takes a third of the time.
    gc.disable()
    settings = Settings.load(places.settings)
    # Before the first thread and before moto: the machines' parent is a small copy of this process.
    fallen = Fallen()
    boxes = make_boxes(places.boxes, options.isolation, fallen.tell)
    try:
        return _serve(places, options, settings, boxes, fallen)
    finally:
        boxes.close()
        places.record.unlink(missing_ok=True)


class Fallen:
    """Hears of machines that end by themselves, before anybody cares and after."""

    def __init__(self) -> None:
        self.listener: Callable[[str], None] | None = None

    def tell(self, instance_id: str) -> None:
        """The machine of that instance has ended."""
        if self.listener:
            self.listener(instance_id)


def _supervisor(root: Path, isolation: str | None, on_ended: Callable[[str], None]) -> Boxes:
    from spot_connect.local.boxes.levels import Level
    from spot_connect.local.boxes.supervisor import Supervisor

    exact = isolation if isolation != "ns" else None
    boxes = Supervisor(root, level=Level(exact) if exact else None, on_ended=on_ended)
    if isolation == "ns" and not boxes.level.isolated:
        boxes.close()
        raise LocalCloudError("cannot isolate instances with namespaces here", boxes.description)
    return boxes


def _warm_up() -> None:
    """Do what the first call would wait for."""
    from moto.ec2.models import ec2_backends

    from spot_connect.local import market
    from spot_connect.local.cloud import ACCOUNT
    from spot_connect.local.service import DEFAULT_REGION

    market.quote("", "")
    ec2_backends[ACCOUNT][DEFAULT_REGION].describe_availability_zones()


def _serve(places: Places, options: argparse.Namespace, settings: Settings, boxes: Boxes, fallen: Fallen) -> int:
    from spot_connect.local import patches, state
    from spot_connect.local.cloud import Cloud, free_port
    from spot_connect.local.control import Control
    from spot_connect.local.interruptions import Interruptions
    from spot_connect.local.machines import Machines
    from spot_connect.local.rights import Rights
    from spot_connect.local.server import serve

    settings.ssh_port = settings.ssh_port or free_port("127.0.0.1")
    cloud = Cloud(settings, boxes, options.boot_seconds)
    cloud.machines = Machines(cloud)
    cloud.interruptions = Interruptions(cloud)
    cloud.rights = Rights(cloud.faults)
    fallen.listener = cloud.machines.fell
    patches.install(cloud)
    saver = state.Saver(cloud, places.state)
    server = serve(cloud, saver, Control(cloud, saver, lambda: Thread(target=server.shutdown).start()))
    settings.save(places.settings)
    if options.fresh:
        places.state.unlink(missing_ok=True)
    if not places.state.exists():
        # No cloud remembers what these are.
        boxes.file_systems.clear()
    cloud.restored = state.restore(cloud, places.state)
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGTERM, lambda *_: Thread(target=server.shutdown).start())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    saver.start()
    cloud.interruptions.start()
    write_json(places.record, _record(cloud))
    log.info("the local cloud is up at %s", cloud.url)
    if options.ready is not None:
        os.write(options.ready, b"ready")
        os.close(options.ready)
    Thread(target=_warm_up, name="warm-up", daemon=True).start()
    server.serve_forever()
    fallen.listener = None
    cloud.interruptions.close()
    cloud.machines.close()
    saver.close()
    log.info("the local cloud is down")
    return 0


def _record(cloud: Cloud) -> dict[str, Any]:
    from spot_connect.local.control import level_name

    return {
        "url": cloud.url,
        "access_key": cloud.settings.access_key,
        "secret_key": cloud.settings.secret_key,
        "pid": os.getpid(),
        "level": level_name(cloud.boxes),
        "description": cloud.boxes.description,
        "notes": [*cloud.notes, *cloud.restored],
    }


if __name__ == "__main__":
    sys.exit(main())
