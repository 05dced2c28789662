"""Names of types and Regions, checked before anything is asked of AWS."""

from __future__ import annotations

from collections.abc import Sequence

from spot_connect.aws.networks import region_names
from spot_connect.core.errors import UsageError
from spot_connect.core.profiles import nearest
from spot_connect.core.type_names import looks_like_a_type
from spot_connect.launching.realm import Realm
from spot_connect.store import tables
from spot_connect.store.moves import known_region


def check_types(names: Sequence[str]) -> tuple[str, ...]:
    """The names without repeats; each is in the tables or could be a type that is newer than they are.

    Raises:
        UsageError: one is neither; the error has the nearest names.

    Example:
        >>> check_types(["t3.micro", "t3.micro"])
        ('t3.micro',)
    """
    for name in names:
        if tables.type_row(name) is None and not looks_like_a_type(name):
            close = nearest(name, (kind.instance_type for kind in tables.types()))
            advice = f"Did you mean {' or '.join(close)}?" if close else "A type looks like t3.micro."
            raise UsageError(f"there is no instance type {name!r}", advice=advice)
    return tuple(dict.fromkeys(names))


def check_regions(realm: Realm, given: Sequence[str], *, everywhere: bool, ask: bool = True) -> tuple[str, ...]:
    """The Regions meant: those given, all of them, or else the one that ``-p`` launches in.

    Args:
        realm: whose profiles and account.
        given: Region codes.
        everywhere: all Regions.
        ask: "all" means those the account has enabled, which AWS is asked for; else those of the tables.

    Raises:
        UsageError: both were asked for, or a code is not in the tables.
    """
    if everywhere and given:
        raise UsageError("cannot tell which Regions are meant", "--region and --all-regions were given", "Give one.")
    if everywhere:
        return region_names(realm.cloud(realm.default_region)) if ask else tuple(tables.regions())
    return tuple(dict.fromkeys(known_region(code) for code in given)) or (realm.default_region,)
