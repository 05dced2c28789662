"""`spot_connect -n NAME -c true` over a line of 80 ms against OpenSSH: over a line that is held, and from nothing.

The script of an installation of its own, started anew for every command, Python's own start and all; so is `ssh`, over
a connection kept open by ControlMaster and without one. The same instance, the same key file, the same line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from benchmarks.delay import delayed
from benchmarks.ground import SSH_TAG, Door, Ground, all_of, door_of, local_cloud, quiet, tool
from benchmarks.installed import installed
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, interleave_values, ratio, timed
from benchmarks.warm_command import kept_open

_ROUND_TRIP = 80
_NAME = "held"


def measure(options: Options) -> list[Number]:
    """A command when a line is held, and the first one."""
    with installed(with_dependencies=True) as programs, local_cloud(options) as ground, _far_away(ground) as door:
        ours = partial(quiet, str(programs / "spot_connect"), "--local", "-n", _NAME, "-c", "true")
        with kept_open(door, ground.home / "line") as ssh:
            warm = interleave_values(
                {
                    "`spot_connect -c true`": partial(timed, ours),
                    "`ssh true`, multiplexed": partial(timed, partial(quiet, *ssh, "true")),
                },
                options.rounds or 30,
                warm_up=3,
            )
        cold = interleave_values(
            {
                "`spot_connect -c true`": partial(_without_holder, ours),
                "`ssh true`": partial(timed, partial(quiet, *door.ssh(door.target, "true"))),
            },
            options.rounds or 15,
            warm_up=1,
        )
        _without_holder(lambda: None)
    return [
        ratio(f"command over a held line, {_ROUND_TRIP} ms", *warm, most=1.05),
        ratio(f"first command, the whole program, {_ROUND_TRIP} ms", *cold, most=0.6),
    ]


@contextmanager
def _far_away(ground: Ground) -> Iterator[Door]:
    """An instance at the end of a long line, known to spot-connect by its name; its door."""
    quiet(tool("spot_connect"), "-n", _NAME, "-p", "t2.micro")
    [instance] = all_of(ground.ec2())
    near = door_of(instance, ground.home / "local" / "client" / "key_pairs")
    with delayed(near.host, int(near.port), _ROUND_TRIP) as (host, port):
        tag = {"Key": SSH_TAG, "Value": f"{host}:{port}"}
        ground.ec2().create_tags(Resources=[instance["InstanceId"]], Tags=[tag])
        quiet(tool("spot_connect"), "-n", _NAME, "-p", "t2.micro")
        yield replace(near, host=host, port=str(port))


def _without_holder(work: Callable[[], object]) -> float:
    """How long it takes when no line is held; to end the one that is does not count."""
    from spot_connect.store.where import realm_directory
    from tests.holders import end_holder

    end_holder(realm_directory(local=True), _NAME)
    return timed(work)


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
