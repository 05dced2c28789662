"""`spot_connect list` against `aws ec2 describe-instances`, on the same local cloud with some instances."""

from __future__ import annotations

import sys

from benchmarks.ground import Ground, local_cloud, quiet, tool
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, interleave_programs, ratio


def measure(options: Options) -> list[Number]:
    """Whole processes, from start to end; ours asks for the prices, too."""
    with local_cloud(options) as ground:
        for number in range(options.listed):
            quiet(tool("spot_connect"), "-n", f"listed{number}", "-p", "t2.micro")
        ours, peer = interleave_programs(
            {
                "`spot_connect --local list`": lambda: quiet(tool("spot_connect"), "--local", "list"),
                "`aws ec2 describe-instances`": lambda: _aws(ground),
            },
            options.rounds or 15,
        )
    return [ratio(f"list of {options.listed}", ours, peer, most=0.7)]


def _aws(ground: Ground) -> None:
    quiet(tool("aws"), "ec2", "describe-instances", "--endpoint-url", ground.url, environment=ground.environment)


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
