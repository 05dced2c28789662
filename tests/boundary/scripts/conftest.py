"""A bash that finds the commands we choose, and a record of what was called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

# What composed scripts may use of the system itself; everything else must be put there by the test.
REAL = (
    "bash",
    "sh",
    "env",
    "cat",
    "mkdir",
    "dirname",
    "id",
    "stat",
    "timeout",
    "nohup",
    "tee",
    "sed",
    "rm",
    "ln",
    "git",
    "tail",
)
RECORD = (
    '#!/bin/sh\nfor word in "${0##*/}" "$@"; do printf "%s\\037" "$word"; done >>"$CALLS"\nprintf "\\n" >>"$CALLS"\n'
)


class Host:
    """A computer with a home directory on which scripts run."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.bin = root / "bin"
        self._calls = root / "calls"
        for directory in (self.home, self.bin):
            directory.mkdir()
        for name in REAL:
            found = shutil.which(name)
            if found:
                (self.bin / name).symlink_to(found)

    def has(self, name: str, body: str = "exit 0") -> None:
        """Give it a command that records how it was called and then does ``body``."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"{RECORD}{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def runs(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run the text with bash in the home directory."""
        environment = {"PATH": str(self.bin), "HOME": str(self.home), "CALLS": str(self._calls)}
        return subprocess.run(
            ["/bin/bash", "-s"],
            input=script,
            cwd=self.home,
            env=environment | {name: os.environ[name] for name in ("LANG",) if name in os.environ},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    @property
    def calls(self) -> list[tuple[str, ...]]:
        """Every recorded call, its name first."""
        if not self._calls.exists():
            return []
        lines = self._calls.read_text(encoding="utf-8").split("\x1f\n")
        return [tuple(line.split("\x1f")) for line in lines if line]

    def called(self, name: str) -> list[tuple[str, ...]]:
        """The arguments of every call of the command."""
        return [words[1:] for words in self.calls if words[0] == name]


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    # The options of sudo are dropped, as the local cloud drops them.
    host.has("sudo", 'while [ "${1#-}" != "$1" ]; do [ "$1" = -u ] && shift; shift; done\nexec "$@"')
    return host
