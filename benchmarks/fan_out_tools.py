"""`true` on many hosts by one tool, for `benchmarks.fan_out`: prints how many seconds it took, and how much CPU time.

    python -m benchmarks.fan_out_tools TOOL FILE

FILE has a JSON array of hosts, each with host, port, user and key_file. Counted is from no connection to the last
answer: no imports, and not the end of the connections, as whoever works with many hosts keeps them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.ground import Door
from benchmarks.timing import cpu_seconds, timed

Hosts = Sequence[Mapping[str, str]]


def spot_connect(hosts: Hosts) -> Callable[[], object]:
    """What `InstanceManager.run` does below the looking up of instances."""
    from spot_connect.core.models import Address
    from spot_connect.core.side_by_side import side_by_side
    from spot_connect.ssh import _transport  # noqa: F401 - or its imports would be counted
    from spot_connect.ssh.command import run
    from spot_connect.ssh.connection import Connection

    def accept(_: object) -> None:
        pass

    def connection(each: Mapping[str, str]) -> Connection:
        address = Address(each["host"], int(each["port"]))
        return Connection(address, each["user"], Path(each["key_file"]), verify=accept)

    def work() -> object:
        connections = {f"{each['host']} {each['port']}": connection(each) for each in hosts}
        statuses = side_by_side(lambda line: run(line, "true").exit_status, connections)
        assert list(statuses.values()) == [0] * len(hosts)
        return connections

    return work


def fabric(hosts: Hosts) -> Callable[[], object]:
    """https://docs.fabfile.org/en/latest/api/group.html."""
    from fabric import Connection, ThreadingGroup

    def work() -> object:
        group = ThreadingGroup.from_connections(
            Connection(
                each["host"], user=each["user"], port=int(each["port"]),
                connect_kwargs={"key_filename": each["key_file"], "look_for_keys": False, "allow_agent": False},
            )
            for each in hosts
        )  # fmt: skip
        assert len(group.run("true", hide=True)) == len(hosts)
        return group

    return work


def asyncssh(hosts: Hosts) -> Callable[[], object]:
    """https://asyncssh.readthedocs.io/en/stable/#running-multiple-clients."""
    import asyncio

    from asyncssh import SSHClientConnection, connect

    async def one(each: Mapping[str, str]) -> SSHClientConnection:
        connection = await connect(
            each["host"], int(each["port"]), username=each["user"], client_keys=[each["key_file"]],
            known_hosts=None, config=None, agent_path=None,
        )  # fmt: skip
        await connection.run("true", check=True)
        return connection

    async def all_of_them() -> object:
        return await asyncio.gather(*map(one, hosts))

    loop = asyncio.new_event_loop()
    return lambda: loop.run_until_complete(all_of_them())


def parallel_ssh(hosts: Hosts) -> Callable[[], object]:
    """https://parallel-ssh.readthedocs.io/en/latest/advanced.html."""
    from pssh.clients import ParallelSSHClient
    from pssh.config import HostConfig

    def work() -> object:
        configured = [
            HostConfig(user=each["user"], port=int(each["port"]), private_key=each["key_file"]) for each in hosts
        ]
        client = ParallelSSHClient([each["host"] for each in hosts], host_config=configured, pool_size=len(hosts))
        outputs = client.run_command("true")
        client.join(outputs)
        assert [each.exit_code for each in outputs] == [0] * len(hosts)
        return client, outputs

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


MODULES = {"fabric": "fabric", "asyncssh": "asyncssh", "parallel-ssh": "pssh"}
"""What those tools that are libraries are imported as."""
TOOLS = {
    "spot-connect": spot_connect,
    "fabric": fabric,
    "asyncssh": asyncssh,
    "parallel-ssh": parallel_ssh,
    "gnu-parallel": gnu_parallel,
}

if __name__ == "__main__":
    on_all = TOOLS[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))
    kept: list[object] = []
    before = cpu_seconds()
    seconds = timed(lambda: kept.append(on_all()))
    print(seconds, cpu_seconds() - before)
