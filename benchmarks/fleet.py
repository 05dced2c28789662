"""Many instances, each launched by a name of its own, started and answering `true`.

The peer starts as many with one RunInstances call and tries `ssh true` on each until it answers. It makes one call
where ours makes several for each name, so it is the floor and not a rival.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.ground import Door, Ground, all_of, door_of, local_cloud
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, Sample, ratio, timed
from spot_connect.core.reporting import Silent

_AT_ONCE = 16
_TRIES = 200


def measure(options: Options) -> list[Number]:
    """Wall time from the first launch to the last answer; once each, it takes long enough."""
    count = options.fleet
    with local_cloud(options) as ground:
        ours = Sample(f"{count} x `SpotInstance`", (timed(lambda: _ours(count)),))
        answering = len(all_of(ground.ec2()))
    with local_cloud(options) as ground:
        peer = Sample("one RunInstances, ssh", (timed(lambda: _peer(ground, count)),))
    number = ratio(f"fleet of {count}", ours, peer, most=None, notes=(f"{answering} instances answered",))
    return [number]


def _ours(count: int) -> None:
    from spot_connect.spotted import SpotInstance

    def one(number: int) -> str | None:
        with SpotInstance(f"fleet{number}", profile="t2.micro", local=True, reporter=Silent()) as machine:
            return machine.run("true", cmd=True, return_output=True)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        assert list(pool.map(one, range(count))) == [""] * count


def _peer(ground: Ground, count: int) -> None:
    ec2 = ground.ec2()
    key = ground.home / "fleet.pem"
    key.touch(0o600)
    key.write_text(ec2.create_key_pair(KeyName="fleet", KeyType="ed25519")["KeyMaterial"], encoding="utf-8")
    wanted = {"name": "al2023-ami-*", "architecture": "x86_64"}
    image = ec2.describe_images(Filters=[{"Name": name, "Values": [value]} for name, value in wanted.items()])["Images"]
    launch = {"ImageId": image[0]["ImageId"], "InstanceType": "t2.micro", "KeyName": "fleet"}
    made = ec2.run_instances(**launch, MinCount=count, MaxCount=count)["Instances"]
    told = all_of(ec2, [one["InstanceId"] for one in made])
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda one: _answer(_door(one, key)), told))


def _door(instance: Mapping[str, Any], key: Path) -> Door:
    return door_of(instance, key.parent, "ec2-user")


def _answer(door: Door) -> None:
    for _ in range(_TRIES):
        if not subprocess.run(door.ssh(door.target, "true"), capture_output=True, check=False).returncode:
            return
        time.sleep(0.2)
    raise SystemExit(f"{door.host} never answered")


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
