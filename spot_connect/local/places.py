"""Where the local cloud keeps its files on this machine, and who holds its locks."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from spot_connect.core.errors import LocalCloudError
from spot_connect.store import private

try:
    import fcntl
except ImportError:  # Windows, where the local cloud does not run anyway
    fcntl = None  # type: ignore[assignment]


def default_home() -> Path:
    """The state directory: ``$SPOT_CONNECT_HOME``, else ``~/.spot_connect``."""
    return Path(os.environ.get("SPOT_CONNECT_HOME") or "~/.spot_connect").expanduser().absolute()


@dataclass(frozen=True, slots=True)
class Places:
    """The files of the local cloud of one home."""

    home: Path

    @property
    def root(self) -> Path:
        """Everything below is the local cloud's; nobody else can enter."""
        return self.home / "local"

    @property
    def lock(self) -> Path:
        """Held by the daemon all its life; holds the daemon's process id."""
        return self.root / "daemon.lock"

    @property
    def up_lock(self) -> Path:
        """Held while somebody starts or stops the daemon."""
        return self.root / "up.lock"

    @property
    def record(self) -> Path:
        """What the running daemon says of itself; meaningless while ``lock`` is free."""
        return self.root / "daemon.json"

    @property
    def settings(self) -> Path:
        """What outlives a daemon: keys and ports."""
        return self.root / "settings.json"

    @property
    def state(self) -> Path:
        """The saved cloud."""
        return self.root / "state.pickle"

    @property
    def made(self) -> Path:
        """What commands remember of what they made moments ago, which must not outlive the cloud that it was made in.

        It is of all clouds, AWS too: losing it only means that the next command asks AWS what it would have known.
        """
        return self.home / "cache" / "made.json"

    @property
    def log(self) -> Path:
        """What the daemon wrote."""
        return self.root / "daemon.log"

    @property
    def boxes(self) -> Path:
        """The machines' own files."""
        return self.root / "boxes"

    def make(self) -> None:
        """Make the directory, closed to other users.

        Raises:
            OSError: it cannot be made.
            StateError: another user could change what is in it.
        """
        private.make(str(self.root), str(self.home))

    def check(self) -> None:
        """Close what there is of it to other users, before anything in it is believed.

        Raises:
            StateError: another user could change what is in it.
        """
        private.check(str(self.root), str(self.home))


class FileLock:
    """An advisory lock that the kernel takes back when its holder dies."""

    def __init__(self, path: Path) -> None:
        if fcntl is None:
            raise LocalCloudError("cannot run the local cloud", "this is Windows", "Use WSL2.")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def take(self, *, wait: bool = False, shared: bool = False) -> bool:
        """Whether the lock is ours now; ``wait`` blocks until it is."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self._file, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def write(self, text: str) -> None:
        """Leave ``text`` in the locked file."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text.encode(), 0)

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._file)

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock at ``path``."""
    if not path.exists():
        return False
    with FileLock(path) as lock:
        return not lock.take(shared=True)


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in the file; empty when there is none or it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def opened_log(path: Path) -> BinaryIO:
    """A file to be written on, readable by its owner only."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "ab")


def write_private(path: Path, content: bytes) -> None:
    """Replace the file in one step, readable by its owner only."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace the file in one step, readable by its owner only."""
    write_private(path, json.dumps(content, indent=1).encode())
