"""`true` on many hosts as other tools do it, for `benchmarks.fan_out`: prints the seconds without the imports.

    python -m benchmarks.fan_out_peers TOOL FILE

FILE has a JSON array of hosts, each with host, port, user and key_file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.ground import Door
from benchmarks.timing import timed

Hosts = Sequence[Mapping[str, str]]


def fabric(hosts: Hosts) -> Callable[[], object]:
    """https://docs.fabfile.org/en/latest/api/group.html."""
    from fabric import Connection, ThreadingGroup

    def work() -> None:
        group = ThreadingGroup.from_connections(
            Connection(
                each["host"], user=each["user"], port=int(each["port"]),
                connect_kwargs={"key_filename": each["key_file"], "look_for_keys": False, "allow_agent": False},
            )
            for each in hosts
        )  # fmt: skip
        assert len(group.run("true", hide=True)) == len(hosts)

    return work


def parallel_ssh(hosts: Hosts) -> Callable[[], object]:
    """https://parallel-ssh.readthedocs.io/en/latest/advanced.html."""
    from pssh.clients import ParallelSSHClient
    from pssh.config import HostConfig

    def work() -> None:
        configured = [
            HostConfig(user=each["user"], port=int(each["port"]), private_key=each["key_file"]) for each in hosts
        ]
        client = ParallelSSHClient([each["host"] for each in hosts], host_config=configured, pool_size=len(hosts))
        outputs = client.run_command("true")
        client.join(outputs)
        assert [each.exit_code for each in outputs] == [0] * len(hosts)

    return work


def gnu_parallel(hosts: Hosts) -> Callable[[], object]:
    """https://www.gnu.org/software/parallel/man.html, option ``--nonall``."""
    commands = [
        " ".join(Door(each["host"], each["port"], each["user"], Path(each["key_file"])).ssh("-l", each["user"]))
        + f" {each['host']}"
        for each in hosts
    ]
    listed = "".join(f"{command}\n" for command in commands)

    def work() -> None:
        command = ["parallel", "--will-cite", "-j0", "--sshloginfile", "-", "--nonall", "true"]
        subprocess.run(command, input=listed, text=True, check=True, capture_output=True)

    return work


TOOLS = {"fabric": fabric, "parallel-ssh": parallel_ssh, "gnu-parallel": gnu_parallel}

if __name__ == "__main__":
    print(timed(TOOLS[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))))
