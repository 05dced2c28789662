"""What is on this computer: the versions, the state directory, the profiles and the private keys."""

from __future__ import annotations

import platform
import shlex
from importlib import metadata
from pathlib import Path

from spot_connect import __version__
from spot_connect.core.few import few
from spot_connect.core.findings import Finding, State, of_error
from spot_connect.launching.realm import Realm
from spot_connect.store.looking import Place, look_at
from spot_connect.store.settings import Settings
from spot_connect.store.where import HOME_VARIABLE

_PACKAGES = ("boto3", "botocore", "paramiko", "cryptography")
_KEYS = "*.pem"


def versions() -> Finding:
    """Python, this package, and those that it calls AWS and SSH with."""
    found: dict[str, str | None] = {"python": platform.python_version(), "spot-connect": __version__}
    found |= {name: _version(name) for name in _PACKAGES}
    missing = [name for name, version in found.items() if version is None]
    if missing:
        mend = "Run: pip install --force-reinstall spot-connect"
        return Finding("versions", State.FAULT, f"not installed: {', '.join(missing)}", mend, found)
    return Finding("versions", State.OK, ", ".join(f"{name} {version}" for name, version in found.items()), "", found)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def state_directory(realm: Realm) -> Finding:
    """Whether the state directory can be used by this user, and by nobody else."""
    place = look_at(realm.state.root, "known_hosts", is_ours=True)
    return _of_place("state directory", place, f"{HOME_VARIABLE} names another directory.")


def key_directory(realm: Realm, chosen: str = "") -> Finding:
    """Whether private keys can be kept where they are to be, and nobody else can read or change them."""
    directory = Path(chosen).expanduser().absolute() if chosen else Settings(realm.state).key_directory
    is_ours = realm.state.home in directory.parents
    place = look_at(directory, _KEYS, is_ours=is_ours)
    return _of_place("key directory", place, "-kd, or sutils.set_default_kp_dir(), names another directory.")


def profiles(realm: Realm) -> Finding:
    """Whether all profiles can be read."""
    count = len(realm.profiles.load())
    path = str(realm.profiles.path)
    return Finding("profiles", State.OK, f"{count} in {path}", "", {"path": path, "profiles": count})


def _of_place(check: str, place: Place, another: str) -> Finding:
    details = {
        "path": str(place.path),
        "exists": place.exists,
        "mode": f"{place.mode:04o}" if place.exists else None,
        "files": len(place.files),
        "open_to_others": [str(one) for one in place.open_to_others],
    }
    if place.trouble:
        found = of_error(check, State.FAULT, place.trouble)
        return Finding(check, State.FAULT, found.says, found.mend or another, details)
    if not place.exists:
        return Finding(check, State.OK, f"{place.path} is made when it is needed", "", details)
    if place.open_to_others:
        names = few([str(one) for one in place.open_to_others], most=3)
        paths = " ".join(shlex.quote(str(one)) for one in place.open_to_others)
        said = f"others can read or enter {names}"
        return Finding(check, State.WARNING, said, f"Run: chmod go-rwx {paths}", details)
    count = f", {len(place.files)} key{'s' * (len(place.files) != 1)}" if check == "key directory" else ""
    return Finding(check, State.OK, f"{place.path}{count}", "", details)
