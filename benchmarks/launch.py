"""From the command to the first prompt, without what the boot and the AWS calls cost.

The time counted is: from the start of the process to the prompt, minus the simulated boot (which begins when
RunInstances has answered), minus every moment outside the boot in which an AWS call was under way. What remains is
starting Python, loading libraries, making clients, noticing that the machine is up, the SSH handshake and the
remote shell. The peer is a bare boto3 script that calls RunInstances and then tries `ssh` until it gets in, counted
in the same way.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.calls import Call, busy_seconds, read
from benchmarks.ground import Ground, all_of, local_cloud, quiet, tool
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, interleave_values

ROOT = Path(__file__).parents[1]
_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
_PROMPT = re.compile(rb"[$#] $")
_LONGEST = 120.0
_MOST = 1.0


def measure(options: Options) -> list[Number]:
    """Both sides, on a pseudo-terminal, with the same image, type, key, group and subnet."""
    with local_cloud(options, boot_seconds=options.boot_seconds) as ground, tempfile.TemporaryDirectory() as name:
        plan = Path(name, "plan.json")
        plan.write_text(json.dumps(_plan(ground)), encoding="utf-8")
        ours, peer = interleave_values(
            {
                "`spot_connect -n x -p t2.micro -a True`": lambda: _ours(ground, Path(name, "ours"), options),
                "bare boto3 and ssh": lambda: _bare(ground, Path(name, "bare"), plan, options),
            },
            options.rounds or 3,
        )
    beyond = ours.median
    return [
        Number(
            "launch to prompt",
            str(ours),
            str(peer),
            f"{beyond:.2f} s",
            f"<= {_MOST:g} s",
            beyond <= _MOST,
            (
                f"beyond a boot of {options.boot_seconds:g} s and the AWS calls; {beyond - peer.median:+.2f} s"
                " against the peer",
            ),
            {"ours_seconds": beyond, "peer_seconds": peer.median},
        )
    ]


def _ours(ground: Ground, record: Path, options: Options) -> float:
    words = ["-n", "x", "-p", "t2.micro", "-a", "True"]
    return _beyond(ground, ["benchmarks.calls", str(record), *words], record, options)


def _bare(ground: Ground, record: Path, plan: Path, options: Options) -> float:
    return _beyond(ground, ["benchmarks.bare", str(record), str(plan)], record, options)


def _beyond(ground: Ground, words: Sequence[str], record: Path, options: Options) -> float:
    record.unlink(missing_ok=True)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, **ground.environment, "PYTHONPATH": path}
    began = time.monotonic()
    prompted = _prompt([sys.executable, "-m", *words], environment)
    calls = read(record)
    _end_all(ground)
    return prompted - began - _not_ours(calls, prompted, options.boot_seconds)


def _not_ours(calls: Sequence[Call], prompted: float, boot_seconds: float) -> float:
    launched = next(call.ended for call in calls if call.operation == "RunInstances")
    before = [call for call in calls if call.began < prompted]
    return boot_seconds + busy_seconds(before, without=(launched, launched + boot_seconds))


def _prompt(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """When the program on a terminal of its own showed a prompt; it is left and awaited after that."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], list(command), dict(environment))
    try:
        shown = _until_prompt(terminal)
        os.write(terminal, b"exit\r")
        _drain(terminal)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return shown


def _until_prompt(terminal: int) -> float:
    deadline = time.monotonic() + _LONGEST
    seen = b""
    while select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        now = time.monotonic()
        seen += piece
        if _PROMPT.search(_CONTROL.sub(b"", seen)):
            return now
    raise SystemExit(f"no prompt came; this did:\n{seen.decode(errors='replace')}")


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass  # the program has ended


def _end_all(ground: Ground) -> None:
    ec2 = ground.ec2()
    ids = [one["InstanceId"] for one in all_of(ec2) if one["State"]["Name"] in ("pending", "running")]
    ec2.terminate_instances(InstanceIds=ids)


def _plan(ground: Ground) -> dict[str, Any]:
    """What the bare launch needs to be the same; an instance of ours, made and ended for it, tells."""
    quiet(tool("spot_connect"), "-n", "x", "-p", "t2.micro")
    (one,) = all_of(ground.ec2())
    tags = {tag["Key"]: tag["Value"] for tag in one["Tags"]}
    _end_all(ground)
    launch = {
        "ImageId": one["ImageId"],
        "InstanceType": one["InstanceType"],
        "KeyName": one["KeyName"],
        "SubnetId": one["SubnetId"],
        "SecurityGroupIds": [group["GroupId"] for group in one["SecurityGroups"]],
        "MinCount": 1,
        "MaxCount": 1,
        "InstanceMarketOptions": {"MarketType": "spot"},
    }
    keys = next(ground.home.rglob(f"{one['KeyName']}.pem")).parent
    return {"launch": launch, "keys": str(keys), "user": tags["spot-connect:login"]}


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
