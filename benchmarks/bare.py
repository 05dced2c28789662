"""The least that gets a person to a prompt: RunInstances, then ssh again and again until it gets in.

``python -m benchmarks.bare FILE PLAN``: write the AWS calls to FILE; PLAN is a JSON file of what to launch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

_NOT_IN = 255
_PAUSE = 0.2


def main() -> int:
    """Launch and log in; the exit status of the remote shell."""
    from benchmarks.calls import recorded_in
    from benchmarks.ground import REGION, door_of

    plan = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    with recorded_in(Path(sys.argv[1])):
        import boto3

        ec2 = boto3.client("ec2", region_name=REGION)
        made = ec2.run_instances(**plan["launch"])["Instances"][0]
        told = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"][0]
    door = door_of(told, plan["keys"], plan["user"])
    command = door.ssh("-tt", door.target)
    while (status := subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode) == _NOT_IN:
        time.sleep(_PAUSE)
    return status


if __name__ == "__main__":
    sys.exit(main())
