"""The console output of an instance: what EC2's GetConsoleOutput would show."""

from __future__ import annotations

import time

from spot_connect.local.boxes.keys import fingerprint
from spot_connect.local.boxes.layout import Directory

_FILE = "console.log"


def begin(directory: Directory, hostname: str, public_key: str) -> None:
    """A new boot's lines; those of the boot before are gone."""
    now = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    lines = [
        f"Cloud-init v. 22.2.2 running 'init-local' at {now}.",
        f"ci-info: hostname {hostname}",
        "ci-info: no authorized SSH keys fingerprints found for user root.",
        "-----BEGIN SSH HOST KEY FINGERPRINTS-----",
        f"256 {fingerprint(public_key)} root@{hostname} (ED25519)",
        "-----END SSH HOST KEY FINGERPRINTS-----",
        "-----BEGIN SSH HOST KEY KEYS-----",
        f"{public_key} root@{hostname}",
        "-----END SSH HOST KEY KEYS-----",
        f"{hostname} login: ",
    ]
    (directory / _FILE).write_text("\n".join(lines) + "\n")


def text(directory: Directory) -> str:
    """Everything on the console: the boot, then the end of user data's output."""
    try:
        boot = (directory / _FILE).read_text()
    except OSError:
        return ""
    return boot + directory.output_tail()
