"""Jobs that travel: a directory as bytes, and bytes as a directory again, whoever has made them."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from spot_connect.core.untrusted import Refused, file_name_part, printable

_PIECE = 1024 * 1024
_LAST = ("attempts", "end.json")
_LATEST = 2.0**33
"""Later times than this, in the year 2242, some systems cannot keep."""


class Damaged(Exception):
    """These bytes are no archive that is whole."""


def pack(place: Path, leave: tuple[str, ...] = ()) -> bytes:
    """A directory as bytes; an absolute link to something in it leads there also elsewhere.

    How it ended comes last, so that it is not told of what has arrived in part.
    """

    def portable(member: tarfile.TarInfo) -> tarfile.TarInfo:
        if member.issym() and member.linkname.startswith(f"{place}/"):
            member.linkname = os.path.relpath(member.linkname, (place / member.name).parent)
        return member

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as packed:
        for path in sorted(place.iterdir(), key=lambda path: (path.name in _LAST, path.name)):
            if path.name not in leave:
                packed.add(path, path.name, filter=portable)
    return archive.getvalue()


def unpack(packed: bytes, place: Path) -> list[str]:
    """Put what :func:`pack` packed into ``place``; what is there already and not in it stays.

    Only what lies in ``place`` then is written: regular files and directories, links that lead to something in it, and
    hard links to files of the archive. Of modes the nine bits of permission are taken over, and no owner is.

    Returns:
        What was left out, and why: one line for each, fit to show.

    Raises:
        Damaged: it is no archive that is whole. Nothing was written.
        OSError: the disk is full, or does not take a name.
    """
    try:
        archive = tarfile.open(fileobj=io.BytesIO(packed), mode="r:")  # noqa: SIM115 - it holds no file
        members = archive.getmembers()
    except Exception as error:
        raise Damaged(f"what has travelled cannot be unpacked: {error}") from error
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    place.mkdir(mode=0o700, exist_ok=True)
    return _Unpacking(archive, place).take(members)


class _Unpacking:
    def __init__(self, archive: tarfile.TarFile, place: Path) -> None:
        self._archive = archive
        self._place = place
        self._files: dict[str, Path] = {}
        self._directories: list[tuple[Path, tarfile.TarInfo]] = []

    def take(self, members: list[tarfile.TarInfo]) -> list[str]:
        refused = []
        for member in members:
            try:
                self._take(member)
            # Refused is one; another is a name that this system cannot have.
            except ValueError as error:
                refused.append(f"{printable(member.name)!r} was left out: {error}")
        # Only now nothing is written into them any more.
        for path, member in reversed(self._directories):
            if path.is_dir() and not path.is_symlink():
                path.chmod(member.mode & 0o777 | 0o700)
                _date(path, member)
        return refused

    def _take(self, member: tarfile.TarInfo) -> None:
        parts = list(_parts(member.name))
        link = _checked_link(member, len(parts))
        first = self._files.get(link) if member.islnk() else None
        if member.islnk() and (first is None or first.is_symlink() or not first.is_file()):
            raise Refused("it is a hard link to no file of the archive")
        _pass_filter(member, self._place)
        path = self._place.joinpath(*parts)
        self._make_way(parts, member)
        if member.isdir():
            self._directories.append((path, member))
        elif member.issym():
            path.symlink_to(link)
        elif first is not None:
            os.link(first, path)
        else:
            self._write(member, path)
            self._files["/".join(parts)] = path

    def _make_way(self, parts: list[str], member: tarfile.TarInfo) -> None:
        """See to it that nothing above the member is a link, and that nothing is in its place."""
        path = self._place
        for depth, part in enumerate(parts, 1):
            path = path / part
            is_directory = depth < len(parts) or member.isdir()
            if is_directory and path.is_dir() and not path.is_symlink():
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            if is_directory:
                path.mkdir(mode=0o700)

    def _write(self, member: tarfile.TarInfo, path: Path) -> None:
        with cast("IO[bytes]", self._archive.extractfile(member)) as source, path.open("xb") as target:
            shutil.copyfileobj(source, target, _PIECE)
        path.chmod(member.mode & 0o777 | 0o600)
        _date(path, member)


def _parts(name: str) -> Iterator[str]:
    for part in os.fsencode(name).split(b"/"):
        yield os.fsdecode(file_name_part(part))


def _checked_link(member: tarfile.TarInfo, depth: int) -> str:
    """Where the member leads, if it is a link; its own kind is one that travels."""
    if member.islnk():
        return "/".join(_parts(member.linkname))
    if member.issym():
        target = member.linkname
        steps = target.split("/")
        up = next((index for index, step in enumerate(steps) if step != ".."), len(steps))
        # After a name, which may be another link's, ".." leads who knows where.
        if not target or target.startswith("/") or "\0" in target or up >= depth or ".." in steps[up:]:
            raise Refused(f"it is a link to {printable(target)!r}, which may be outside of the job's directory")
        return target
    if not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)) or member.issparse():
        raise Refused("it is neither a file, a directory nor a link")
    return ""


def _pass_filter(member: tarfile.TarInfo, place: Path) -> None:
    """Have Python's own check of the member too, where this Python has it: not before 3.10.12 and 3.11.4."""
    if not hasattr(tarfile, "data_filter"):
        return
    try:
        tarfile.data_filter(member, str(place))
    except tarfile.FilterError as error:
        raise Refused(str(error)) from error


def _date(path: Path, member: tarfile.TarInfo) -> None:
    if 0 <= member.mtime < _LATEST:
        os.utime(path, (member.mtime, member.mtime))
