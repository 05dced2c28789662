"""The state directory and the only functions that write files on this computer."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from spot_connect.core.errors import DeadlinePassed, StateError
from spot_connect.core.names import file_name
from spot_connect.core.waiting import SYSTEM_CLOCK, Clock, Seen, wait_for
from spot_connect.store import private
from spot_connect.store.where import HOME_VARIABLE, home_directory, realm_directory

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_PLAIN = getattr(os, "O_BINARY", 0)
_ADVICE = {
    errno.EACCES: f"Check who owns it, or set {HOME_VARIABLE} to a directory of your own.",
    errno.EPERM: f"Check who owns it, or set {HOME_VARIABLE} to a directory of your own.",
    errno.EROFS: f"The disk is read-only: set {HOME_VARIABLE} to a directory that can be written.",
    errno.ENOSPC: "The disk is full: free some space and repeat the command.",
    errno.EDQUOT: "Your disk quota is used up: free some space and repeat the command.",
    errno.ENOTDIR: "A file stands where a directory is needed: move it away.",
    errno.EEXIST: "Something of that name is in the way: move it away.",
    errno.EISDIR: "A directory stands where a file is needed: move it away.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ENOLCK: f"The file system cannot lock files: set {HOME_VARIABLE} to a local directory.",
    errno.ENOTSUP: f"The file system cannot lock files: set {HOME_VARIABLE} to a local directory.",
}


def home() -> Path:
    """The directory all state is in: ``$SPOT_CONNECT_HOME``, else ``.spot_connect`` in the user's home."""
    return Path(home_directory())


def realm(local: bool = False) -> State:
    """The state of the real cloud or of the local one, which never share keys, pins or hints.

    ``State.home`` is the same directory for the two: the local one reads the user's profiles there until it
    changes them.
    """
    return State(Path(realm_directory(local=local)), home())


@contextmanager
def told(doing: str, path: Path) -> Iterator[None]:
    """Turn what the system says about a file into a ``StateError`` that names the file and the way out."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "")
        raise StateError(f"cannot {doing} {path}", error.strerror or str(error), advice) from error


@dataclass(frozen=True, slots=True)
class State:
    """A directory whose files only this class writes.

    Directories are made with mode 0700 and files with 0600, so that nothing in it is anybody else's business. Before
    anything is read or written, :mod:`~spot_connect.store.private` looks whether somebody else could have changed it.
    Every method that touches the disk raises ``StateError`` when the disk refuses, or somebody else could.

    Args:
        root: the directory; made when first needed.
        base: the home of all realms, where the profiles are; ``root`` itself when left out.
        is_users: the directory is one that the user has named, which may be open to whomever they like.
    """

    root: Path
    base: Path | None = None
    is_users: bool = False

    @property
    def home(self) -> Path:
        """The directory that all realms share."""
        return self.base or self.root

    def path(self, *parts: str) -> Path:
        """A path below the root; nothing is made."""
        return self.root.joinpath(*parts)

    def directory(self, *parts: str) -> Path:
        """A directory below the root, made with mode 0700 if it is missing."""
        path = self.path(*parts)
        self._make(path)
        return path

    def read(self, path: Path) -> bytes | None:
        """The content of a file; ``None`` when there is none."""
        with told("read", path):
            if not self.is_users:
                private.check(os.fspath(path), os.fspath(self.home))
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def read_text(self, path: Path) -> str | None:
        """The text of a file in UTF-8, with any line ends; ``None`` when there is none."""
        data = self.read(path)
        if data is None:
            return None
        try:
            return data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise StateError(
                f"cannot read {path}, line {line}", "it is not UTF-8", "Save the file as UTF-8."
            ) from error

    def write_atomic(self, path: Path, data: bytes | str, mode: int = 0o600) -> None:
        """Replace a file as a whole: after a crash it has the old content or the new, never a part.

        A link is followed, so that a file kept elsewhere stays there.
        """
        self._make(path.parent)
        path = Path(os.path.realpath(path))
        self._make(path.parent)
        with told("write", path), _temporary(path, data, mode) as temporary:
            _replace(temporary, path)
            _sync_directory(path.parent)

    def create(self, path: Path, data: bytes | str, mode: int = 0o600) -> None:
        """Write a file that must not exist yet; a crash leaves the whole file or none."""
        self._make(path.parent)
        with told("create", path), _temporary(path, data, mode) as temporary:
            _move_exclusively(temporary, path)
            _sync_directory(path.parent)

    def append(self, path: Path, line: str) -> None:
        """Add one line to a log, on the disk when this returns; lines of several writers do not mix."""
        self._make(path.parent)
        data = (line.rstrip("\n") + "\n").encode()
        with told("write", path):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _PLAIN, 0o600)
            try:
                os.write(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def check_writable(self) -> None:
        """Make sure that files can be written in the root, which is made if it is missing; leaves no file."""
        self._make(self.root)
        with told("write to", self.root), _temporary(self.root / "any", b"", 0o600):
            pass

    def remove(self, path: Path) -> bool:
        """Delete a file; whether there was one."""
        with told("delete", path):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            return True

    @contextmanager
    def lock(
        self,
        name: str,
        *,
        wait_seconds: float = 600,
        on_wait: Callable[[str], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Iterator[None]:
        """Hold ``name`` for this process alone; the system lets go when the process ends, however it ends.

        Not re-entrant: a thread that asks twice waits for itself.

        Args:
            name: what is held, for instance an instance name.
            wait_seconds: how long to wait for another holder.
            on_wait: hears one sentence when there is another holder, before the wait.
            clock: time, for tests.

        Raises:
            DeadlinePassed: the other holder kept it.
            StateError: the file system cannot lock.
        """
        path = self.directory("locks") / f"{file_name(name)}.lock"
        with told("lock", path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o600)
        try:
            _acquire(descriptor, path, name, wait_seconds, on_wait, clock)
            try:
                _sign(descriptor)
                yield
            finally:
                _unlock(descriptor)
        finally:
            os.close(descriptor)

    def _make(self, directory: Path) -> None:
        with told("make directory", directory):
            private.make(os.fspath(directory), os.fspath(self.home), is_checked=not self.is_users)


def is_private(path: Path) -> bool:
    """Whether nobody but the owner can read or write the file; always true where there are no such modes."""
    return sys.platform == "win32" or not path.stat().st_mode & 0o077


@contextmanager
def _temporary(path: Path, data: bytes | str, mode: int) -> Iterator[Path]:
    """A file beside ``path`` with the data safely on the disk; gone afterwards unless it was moved."""
    temporary = path.with_name(f".{os.urandom(8).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _PLAIN, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        yield temporary
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _replace(temporary: Path, path: Path) -> None:
    if sys.platform != "win32":
        temporary.replace(path)
        return

    def look() -> Seen[bool]:
        # Windows refuses while another process has the file open, which never lasts.
        try:
            temporary.replace(path)
        except PermissionError as error:
            return Seen(None, str(error))
        return Seen(value=True)

    wait_for(f"chance to replace {path}", look, seconds=2, every=0.05)


def _move_exclusively(temporary: Path, path: Path) -> None:
    if sys.platform == "win32":
        temporary.rename(path)  # refuses to overwrite, on Windows only
        return
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        # No hard links on this file system: claim the name first, then fill it.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        temporary.replace(path)


def _sync_directory(directory: Path) -> None:
    if sys.platform == "win32":
        return
    # Some network file systems cannot sync a directory; the file itself is safe by then.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _acquire(
    descriptor: int, path: Path, name: str, seconds: float, on_wait: Callable[[str], None] | None, clock: Clock
) -> None:
    if _try_lock(descriptor, path):
        return
    holder = _holder(path)
    if on_wait:
        on_wait(f"{holder} is working on {name}; waiting for it")

    def look() -> Seen[bool]:
        if _try_lock(descriptor, path):
            return Seen(value=True)
        return Seen(None, f"{_holder(path)} still works on it")

    advice = "Wait for it to end, or end it, then repeat the command."
    try:
        wait_for(f"turn for {name}", look, seconds=seconds, every=0.1, clock=clock, advice=advice)
    except DeadlinePassed as error:
        raise DeadlinePassed(f"cannot work on {name} yet", error.said, advice) from error


def _try_lock(descriptor: int, path: Path) -> bool:
    with told("lock", path):
        try:
            _lock_now(descriptor)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                return False
            raise
    return True


if sys.platform == "win32":
    import msvcrt

    # Windows locks bytes against reading too; this one is far behind the process id that others read.
    _LOCKED_BYTE = 1 << 20

    def _lock_now(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock_now(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _sign(descriptor: int) -> None:
    # Only for the words a second terminal shows: a full disk must not stop the work.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, str(os.getpid()).encode())


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError):
        return f"process {int(path.read_text(encoding='ascii'))}"
    return "another process"
