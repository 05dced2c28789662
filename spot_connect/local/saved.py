"""The saved cloud as a file: written whole, and read without running anything that somebody else put there.

moto keeps a Region as a web of its own objects, which no format of plain data holds. So it is a pickle, and two things
stand before it. The file has to be this user's alone, as :mod:`spot_connect.store.private` sees it, because whoever may
write it decides what instances run at their next boot, whatever the format. And the reader makes nothing but the
classes that a cloud consists of: it calls no function, and no class of any other module.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import stat
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spot_connect.core.errors import LocalCloudError
from spot_connect.local.places import write_private
from spot_connect.store import private

# Raise it when a class of ours that is saved changes; what was saved before is then discarded with a word.
_FORMAT = 5
_PLAIN = {
    "builtins": {"bool", "bytearray", "bytes", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple"},
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "ipaddress": {"IPv4Address", "IPv4Network", "IPv6Address", "IPv6Network"},
    "requests.structures": {"CaseInsensitiveDict"},
    "spot_connect.local.machines": {"Ending", "Machine"},
    "spot_connect.local.patches.spot": {"LaunchedRequest"},
    "uuid": {"UUID"},
}
_MOTO = (
    "moto.core.types",
    "moto.ec2.models",
    "moto.efs.models",
    "moto.iam.models",
    "moto.s3.models",
    "moto.s3.utils",
    "moto.utilities.tagging_service",
    "moto.utilities.utils",
)


class Strange(pickle.UnpicklingError):
    """The file holds something that no cloud consists of."""


def write(path: Path, picture: bytes) -> None:
    """Replace the file by a picture that :func:`pickle.dumps` has made."""
    write_private(path, json.dumps(_head()).encode() + b"\n" + picture)


def read(path: Path) -> dict[str, Any] | str:
    """The picture, or a sentence that says why it is of no use.

    Raises:
        LocalCloudError: another user could have written it.
        Exception: it is damaged, in whatever way.
    """
    with _opened(path) as file:
        head = json.loads(file.readline())
        now = _head()
        if head != now:
            return (
                f"The saved cloud was made by moto {head['moto']} in format {head['format']}; "
                f"moto {now['moto']} in format {now['format']} cannot read it, so the cloud starts empty."
            )
        return dict(_Reader(file).load())


def _opened(path: Path) -> io.BufferedReader:
    private.check(str(path), str(path.parents[1]))
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise LocalCloudError(f"cannot read {path}", error.strerror or "", "Delete it to begin empty.") from error
    # Once more what was opened, which nobody can exchange any more.
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        file.close()
        advice = "Look who has written it; delete it to begin empty."
        raise LocalCloudError(f"cannot trust {path}", "others could have written it", advice)
    return file


def _head() -> dict[str, Any]:
    return {"format": _FORMAT, "moto": version("moto")}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The class of that name, if a cloud may consist of it."""
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
        if name not in _PLAIN.get(module, ()) and not _is_motos(module):
            raise Strange(f"{module}.{name} has no place in a saved cloud")
        __import__(module)
        # Not the way along dots that pickle itself would go: what a module has imported is not its own.
        found = vars(sys.modules[module]).get(name)
        if not isinstance(found, type) or found.__module__ != module:
            raise Strange(f"{module}.{name} is no class of a saved cloud")
        return found


def _is_motos(module: str) -> bool:
    return any(module == ours or module.startswith(f"{ours}.") for ours in _MOTO)


def _method(owner: Any, name: str) -> Any:
    """What pickle saves of a bound method: moto keeps those that filter security groups."""
    if not _is_motos(type(owner).__module__) or not name.startswith("filter_"):
        raise Strange(f"{name!r} of {type(owner).__name__} has no place in a saved cloud")
    return getattr(owner, name)


def _pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile(text, flags)


_STAND_INS: Mapping[tuple[str, str], Any] = {("builtins", "getattr"): _method, ("re", "_compile"): _pattern}
