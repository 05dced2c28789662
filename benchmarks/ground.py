"""A local cloud of a measurement's own, in a home of its own, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.options import Options

REGION = "us-east-1"
SSH_TAG = "spot-connect:ssh"


@dataclass(frozen=True, slots=True)
class Ground:
    """A running local cloud; ``environment`` points AWS tools at it."""

    home: Path
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.environment["AWS_ENDPOINT_URL"]

    def ec2(self) -> Any:
        """A bare boto3 client of it."""
        import boto3

        return boto3.client(
            "ec2",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )


@dataclass(frozen=True, slots=True)
class Door:
    """What an SSH client must know of an instance."""

    host: str
    port: str
    user: str
    key_file: Path

    def ssh(self, *words: str) -> list[str]:
        """An OpenSSH command line that reads none of the user's own settings."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": os.devnull,
        }
        listed = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", *listed, "-i", str(self.key_file), "-p", self.port, *words]

    @property
    def target(self) -> str:
        """``user@host``."""
        return f"{self.user}@{self.host}"


@contextmanager
def local_cloud(options: Options, *, boot_seconds: float = 0) -> Iterator[Ground]:
    """A fresh local cloud for this process and those it starts; ended, with its machines, on the way out."""
    kept = dict(os.environ)
    home = new_folder()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "SPOT_CONNECT_HOME": str(home),
        "SPOT_CONNECT_LOCAL": "1",
        "AWS_CONFIG_FILE": str(home / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "TERM": "xterm",
    }
    isolation = ["--isolation", options.isolation] if options.isolation else []
    try:
        quiet(tool("spot_connect"), "local", "up", "--boot-seconds", str(boot_seconds), *isolation)
        yield Ground(home, _environment())
    finally:
        quiet(tool("spot_connect"), "local", "down")
        os.environ.clear()
        os.environ.update(kept)
        shutil.rmtree(home, ignore_errors=True)


def new_folder() -> Path:
    """A new folder, in memory where that has a file system: a disk takes its time when it likes."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="sc-", dir=place))


def tool(name: str) -> str:
    """The console script of that name, of this interpreter's environment if it is there."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise SystemExit(f"{name} is not installed; install spot-connect with its extra [local]")
    return found


def require(modules: Mapping[str, str], programs: Sequence[str]) -> None:
    """Say what is missing before anything is measured: libraries, by what they are imported as, and programs."""
    absent = [name for name, module in modules.items() if find_spec(module) is None]
    if absent:
        raise SystemExit(f"{', '.join(absent)} missing; pip install -e '.[test,bench]'")
    absent = [name for name in programs if not shutil.which(name)]
    if absent:
        raise SystemExit(f"{', '.join(absent)} missing; your system's packages have it")


def quiet(*command: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a program to its end and keep what it says to ourselves, unless it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        raise SystemExit(f"`{' '.join(command)}` failed with status {done.returncode}")


def door_of(instance: Mapping[str, Any], keys: str | Path, user: str = "") -> Door:
    """The door of an instance as EC2 describes it."""
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    host, _, port = tags[SSH_TAG].rpartition(":")
    return Door(host, port, user or tags["spot-connect:login"], Path(keys) / f"{instance['KeyName']}.pem")


def _environment() -> Mapping[str, str]:
    from spot_connect.local import service

    return service.environment(service.ensure_up())


def all_of(client: Any, ids: Sequence[str] = ()) -> list[Mapping[str, Any]]:
    """The instances as EC2 describes them."""
    wanted = {"InstanceIds": list(ids)} if ids else {}
    pages = client.get_paginator("describe_instances").paginate(**wanted)
    return [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]
