"""Files and directories to and from an instance, over SFTP.

Every file is written under a temporary name beside its target and renamed at the end, so that a transfer
that breaks never leaves half a file under the true name.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import secrets
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from spot_connect.core.errors import SshError, SshLost, TransferFailed, UsageError
from spot_connect.core.reporting import Reporter, Transfer
from spot_connect.ssh._pipeline import PIECE, Pipeline
from spot_connect.ssh.connection import Connection, reason

if TYPE_CHECKING:
    import paramiko

_MODE = 0o777


@dataclass(frozen=True, slots=True)
class _Item:
    """A file or directory at both ends; ``remote`` is relative to the remote directory when it goes up."""

    local: Path
    remote: str
    is_dir: bool
    size: int
    mode: int


def upload(connection: Connection, sources: Sequence[Path], remote_dir: str, *, reporter: Reporter) -> tuple[str, ...]:
    """Copy local files and directories into ``remote_dir`` and tell their paths there.

    Args:
        connection: the instance.
        sources: files or directories; a directory is copied whole, its links as what they point to.
        remote_dir: absolute, relative to the home directory, or ``~``; made when it is missing.
        reporter: hears of every file.

    Modes are kept. A file that is there already is replaced.

    Raises:
        UsageError: a source is missing, a broken link or not a file, or two have one name; nothing was copied.
        TransferFailed: the instance refused a file or has no room for it.
        SshLost: the line broke.

    Example:
        >>> upload(connection, [Path("train.py")], "~/efs", reporter=Silent())  # doctest: +SKIP
        ('/home/ec2-user/efs/train.py',)
    """
    plan = _plan_upload([Path(source) for source in sources])
    with _using(connection, remote_dir) as sftp:
        base = _absolute(sftp, remote_dir)
        _make_directories(sftp, base)
        for item in plan:
            _put(connection, item, posixpath.join(base, item.remote), reporter)
    return tuple(posixpath.join(base, _name(Path(source))) for source in sources)


def download(
    connection: Connection,
    sources: Sequence[str],
    destinations: Path | Sequence[Path],
    *,
    reporter: Reporter,
) -> tuple[Path, ...]:
    """Copy remote files and directories to this machine and tell their paths here.

    Args:
        connection: the instance.
        sources: absolute paths, or relative to the home directory, or starting with ``~``.
        destinations: one folder for all, made when it is missing; or a list with one path for each source,
            where a path that is an existing folder means a place inside it.
        reporter: hears of every file.

    Raises:
        UsageError: as many destinations as sources are needed, and were not given.
        TransferFailed: a source is missing (nothing was written then), unreadable, or there is no room for it.
        SshLost: the line broke.

    Example:
        >>> download(connection, ["efs/model.h5"], Path("results"), reporter=Silent())  # doctest: +SKIP
        (PosixPath('results/model.h5'),)
    """
    targets = _targets(sources, destinations)
    with _using(connection, "the sources") as sftp:
        found = [_look_up(sftp, source) for source in sources]
        plan = [
            item
            for path, source, target in zip(found, sources, targets, strict=True)
            for item in _plan_download(sftp, path, source, target)
        ]
        for item in plan:
            _get(connection, item, reporter)
    return tuple(targets)


def exists(connection: Connection, path: str) -> bool:
    """Whether the instance has something at ``path`` (absolute, relative to the home directory, or ``~/…``).

    Raises:
        TransferFailed: the path cannot be looked at.

    Example:
        >>> exists(connection, "~/efs")  # doctest: +SKIP
        True
    """
    return _stat(connection, path) is not None


def is_dir(connection: Connection, path: str) -> bool:
    """Whether the instance has a directory at ``path``.

    Raises:
        TransferFailed: the path cannot be looked at.

    Example:
        >>> is_dir(connection, "~/efs")  # doctest: +SKIP
        True
    """
    found = _stat(connection, path)
    return found is not None and stat.S_ISDIR(found.st_mode or 0)


def _stat(connection: Connection, path: str) -> paramiko.SFTPAttributes | None:
    with _using(connection, path) as sftp:
        try:
            return sftp.stat(_from_home(path))
        except FileNotFoundError:
            return None


@contextlib.contextmanager
def _using(connection: Connection, what: str) -> Iterator[paramiko.SFTPClient]:
    """The SFTP client for one call at a time; whatever escapes is one of our errors."""
    from paramiko import SSHException

    with connection.transfers:
        try:
            yield connection.sftp()
        except SshError:
            raise
        except (SSHException, EOFError) as error:
            raise _lost(connection, what, error) from error
        except (OSError, UnicodeError) as error:
            if not connection.is_open:
                raise _lost(connection, what, error) from error
            raise TransferFailed(f"cannot transfer {what}", reason(error)) from error
        except BaseException:
            connection.drop_sftp()
            raise


def _lost(connection: Connection, what: str, error: Exception) -> SshLost:
    connection.drop_sftp()
    advice = "Start the transfer again; files that had arrived are whole."
    return SshLost(f"the line to {connection} broke while transferring {what}", reason(error), advice)


# Going up


def _plan_upload(sources: Sequence[Path]) -> list[_Item]:
    names = [_name(source) for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two of the files to upload are called {name}", advice="Upload them one at a time.")
    return [item for source, name in zip(sources, names, strict=True) for item in _walk(source, name, ())]


def _name(source: Path) -> str:
    # "." and ".." have a name only once they are resolved; a link keeps its own.
    name = source.name if source.name not in ("", "..") else source.resolve().name
    return name or "root"


def _walk(path: Path, remote: str, above: tuple[tuple[int, int], ...]) -> Iterator[_Item]:
    found = _look(path)
    mode = stat.S_IMODE(found.st_mode) & _MODE
    if stat.S_ISREG(found.st_mode):
        yield _Item(path, remote, is_dir=False, size=found.st_size, mode=mode)
        return
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"cannot upload {path}", "it is neither a file nor a directory")
    here = (found.st_dev, found.st_ino)
    if found.st_ino and here in above:
        raise UsageError(f"cannot upload {path}", "the link leads back to a directory above it", "Remove the link.")
    yield _Item(path, remote, is_dir=True, size=0, mode=mode)
    for name in _names(path):
        yield from _walk(path / name, posixpath.join(remote, name), (*above, here))


def _look(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        said = "it is a link that leads nowhere" if path.is_symlink() else reason(error)
        raise UsageError(f"cannot upload {path}", said, "Check the path; nothing was copied.") from error


def _names(path: Path) -> list[str]:
    try:
        return sorted(os.listdir(path))  # noqa: PTH208 - the names alone
    except OSError as error:
        raise UsageError(f"cannot read the directory {path}", reason(error)) from error


def _put(connection: Connection, item: _Item, remote: str, reporter: Reporter) -> None:
    if item.is_dir:
        _put_directory(connection.sftp(), item, remote)
        return
    partial = posixpath.join(posixpath.dirname(remote), _partial_name())
    try:
        with reporter.transfer(posixpath.basename(remote), item.size) as progress:
            _send(connection.sftp(), item, partial, progress)
            _move(connection.sftp(), partial, remote)
    except OSError as error:
        if not connection.is_open:
            raise
        # Asked while the partial file still takes its room.
        refusal = _refusal(connection, item.local, remote, error)
        _discard(connection, partial)
        raise refusal from error
    except BaseException:
        _discard(connection, partial)
        raise


def _put_directory(sftp: paramiko.SFTPClient, item: _Item, remote: str) -> None:
    try:
        if _is_there(sftp, remote):
            return
        sftp.mkdir(_bytes(remote))
        # Its owner must be able to fill it, whatever the mode here.
        sftp.chmod(_bytes(remote), item.mode | 0o700)
    except OSError as error:
        raise TransferFailed(f"cannot make the directory {remote}", reason(error), _advice(error)) from error


def _send(sftp: paramiko.SFTPClient, item: _Item, partial: str, progress: Transfer) -> None:
    sent = 0
    with _opened(item.local) as source, sftp.open(_bytes(partial), "wx") as target:
        pipeline = Pipeline(sftp, target)
        while piece := _piece(source, item.local):
            pipeline.write(sent, piece)
            sent += len(piece)
            progress.advance(len(piece))
        pipeline.settle()
        if os.name == "posix":
            target.chmod(item.mode)
        arrived = target.stat().st_size
    if arrived != sent:
        raise OSError(f"{arrived} of {sent} bytes arrived")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise TransferFailed(f"cannot read {path}", reason(error)) from error


def _piece(source: BinaryIO, path: Path) -> bytes:
    try:
        return source.read(PIECE)
    except OSError as error:
        raise TransferFailed(f"cannot read {path}", reason(error)) from error


def _move(sftp: paramiko.SFTPClient, partial: str, remote: str) -> None:
    try:
        sftp.posix_rename(_bytes(partial), _bytes(remote))
    except OSError as error:
        if _is_dir_there(sftp, remote):
            raise IsADirectoryError(0, "there is a directory of that name") from error
        raise


def _discard(connection: Connection, partial: str) -> None:
    # Answers to an interrupted request may be underway on the old client.
    connection.drop_sftp()
    if connection.is_open:
        with contextlib.suppress(Exception):
            connection.sftp().remove(_bytes(partial))


def _refusal(connection: Connection, local: Path, remote: str, error: OSError) -> TransferFailed:
    said = reason(error)
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return TransferFailed(f"cannot upload {local} to {remote}", said, _advice(error))
    if _is_full(connection, posixpath.dirname(remote)):
        advice = "Make room there, or launch with a larger disk."
        return TransferFailed(f"cannot upload {local} to {remote}", "no space left on the instance", advice)
    return TransferFailed(f"cannot upload {local} to {remote}", said)


def _is_full(connection: Connection, directory: str) -> bool:
    """SFTP has no word for a full disk; ``df`` has."""
    import shlex

    from spot_connect.ssh.command import run

    with contextlib.suppress(SshError):
        told = run(connection, f"df -Pk -- {shlex.quote(directory)}").stdout.split(b"\n")
        fields = told[1].split() if len(told) > 1 else []
        return len(fields) > 3 and fields[3].isdigit() and int(fields[3]) < 64
    return False


def _advice(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "Choose a directory that your user may write to, such as your home directory."
    return ""


# Paths on the instance


def _from_home(path: str) -> bytes:
    """``path`` as SFTP takes it, where a relative path starts in the home directory."""
    if path in ("", "~", "~/"):
        return b"."
    return _bytes(path[2:].lstrip("/") or "." if path.startswith("~/") else path)


def _absolute(sftp: paramiko.SFTPClient, path: str) -> str:
    plain = _from_home(path).decode(errors="surrogateescape")
    home = "" if plain.startswith("/") else sftp.normalize(".")
    return posixpath.normpath(posixpath.join(home, plain))


def _make_directories(sftp: paramiko.SFTPClient, path: str) -> None:
    try:
        if _is_there(sftp, path):
            return
        _make_directories(sftp, posixpath.dirname(path))
        sftp.mkdir(_bytes(path))
    except OSError as error:
        raise TransferFailed(f"cannot make the directory {path}", reason(error), _advice(error)) from error


def _is_there(sftp: paramiko.SFTPClient, path: str) -> bool:
    """Whether there is a directory; something else of that name is an error."""
    try:
        found = sftp.stat(_bytes(path))
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(found.st_mode or 0):
        raise NotADirectoryError(0, "there is a file of that name")
    return True


def _is_dir_there(sftp: paramiko.SFTPClient, path: str) -> bool:
    try:
        return stat.S_ISDIR(sftp.stat(_bytes(path)).st_mode or 0)
    except FileNotFoundError:
        return False


def _bytes(path: str) -> bytes:
    # Names that are not UTF-8 reach us as surrogates and must leave as the bytes they were.
    return path.encode(errors="surrogateescape")


def _partial_name() -> str:
    return f".spot-connect-{secrets.token_hex(6)}.part"


# Coming down


def _targets(sources: Sequence[str], destinations: Path | Sequence[Path]) -> list[Path]:
    names = [posixpath.basename(posixpath.normpath(source)) for source in sources]
    if isinstance(destinations, Path):
        return [destinations / name for name in names]
    if len(destinations) != len(sources):
        raise UsageError(
            f"{len(sources)} files to download but {len(destinations)} places for them",
            advice="Give one folder for all, or one path for each.",
        )
    return [path / name if path.is_dir() else path for path, name in zip(map(Path, destinations), names, strict=True)]


def _look_up(sftp: paramiko.SFTPClient, source: str) -> str:
    path = _absolute(sftp, source)
    try:
        sftp.stat(_bytes(path))
    except FileNotFoundError as error:
        advice = "Check the path; relative paths start in the home directory. Nothing was written."
        raise TransferFailed(f"cannot download {source}", "the instance has no such file", advice) from error
    except OSError as error:
        raise TransferFailed(f"cannot download {source}", reason(error)) from error
    return path


def _plan_download(sftp: paramiko.SFTPClient, path: str, source: str, target: Path) -> Iterator[_Item]:
    try:
        yield from _walk_remote(sftp, path, target, ())
    except (OSError, UnicodeError) as error:
        raise TransferFailed(f"cannot download {source}", reason(error), "Nothing was written.") from error


def _walk_remote(sftp: paramiko.SFTPClient, path: str, target: Path, above: tuple[str, ...]) -> Iterator[_Item]:
    found = sftp.stat(_bytes(path))
    kind, mode = found.st_mode or 0, stat.S_IMODE(found.st_mode or 0) & _MODE
    if stat.S_ISREG(kind):
        yield _Item(target, path, is_dir=False, size=found.st_size or 0, mode=mode)
        return
    if not stat.S_ISDIR(kind):
        raise OSError(f"{path} is neither a file nor a directory")
    true_path = sftp.normalize(path)
    if true_path in above:
        raise OSError(f"the link {path} leads back to a directory above it")
    yield _Item(target, path, is_dir=True, size=0, mode=mode)
    for name in sorted(sftp.listdir(path)):
        yield from _walk_remote(sftp, posixpath.join(path, name), target / _safe(name), (*above, true_path))


def _safe(name: str) -> str:
    # A server that is not what it seems could otherwise write anywhere on this machine.
    if name in ("", ".", "..") or "/" in name or os.sep in name or "\0" in name:
        raise OSError(f"the instance names a file {name!r}")
    return name


def _get(connection: Connection, item: _Item, reporter: Reporter) -> None:
    partial = item.local.parent / _partial_name()
    try:
        if item.is_dir:
            item.local.mkdir(parents=True, exist_ok=True)
            return
        item.local.parent.mkdir(parents=True, exist_ok=True)
        with reporter.transfer(item.local.name, item.size) as progress:
            _receive(connection.sftp(), item, partial, progress)
            partial.replace(item.local)
    except OSError as error:
        if not connection.is_open:
            raise
        raise _local_refusal(item, error) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _receive(sftp: paramiko.SFTPClient, item: _Item, partial: Path, progress: Transfer) -> None:
    left = item.size
    with sftp.open(_bytes(item.remote), "rb") as source, partial.open("xb") as target:
        # A log that grows meanwhile is copied as long as it was at the start.
        for piece in Pipeline(sftp, source).pieces(item.size):
            target.write(piece)
            left -= len(piece)
            progress.advance(len(piece))
    if left:
        raise OSError(f"{item.size - left} of {item.size} bytes arrived; the file changed meanwhile")
    if os.name == "posix":
        partial.chmod(item.mode)


def _local_refusal(item: _Item, error: OSError) -> TransferFailed:
    advice = "Check the room and the permissions on both machines."
    return TransferFailed(f"cannot download {item.remote} to {item.local}", reason(error), advice)
