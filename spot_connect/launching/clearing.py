"""Remove key pairs that no machine needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from spot_connect.aws import instances, keys, networks
from spot_connect.core.models import KeyPair
from spot_connect.core.reporting import Reporter
from spot_connect.launching.realm import Realm
from spot_connect.store.keys import KeyFiles


@dataclass(frozen=True, slots=True)
class UnusedKeyPair:
    """A key pair that spot-connect made and that no live instance was launched with."""

    name: str
    region: str
    public_line: str


def unused_key_pairs(realm: Realm, region: str = "") -> tuple[UnusedKeyPair, ...]:
    """Our key pairs in one Region, or in all of the account, whose name no live instance of any of them has.

    Raises:
        AwsError: a Region cannot be looked at, so nothing is known to be unused.
    """
    regions = (region,) if region else networks.region_names(realm.cloud(realm.default_region))
    with ThreadPoolExecutor(max_workers=16) as pool:
        made = dict(zip(regions, pool.map(lambda place: keys.managed(realm.cloud(place)), regions), strict=True))
        names = sorted({pair.name for pairs in made.values() for pair in pairs})
        users = pool.map(lambda place: instances.with_keys(realm.cloud(place), names), regions if names else ())
        used = {instance.key_name for found in users for instance in found}
    return tuple(
        UnusedKeyPair(pair.name, place, pair.public_key)
        for place, pairs in made.items()
        for pair in _sorted(pairs)
        if pair.name not in used
    )


def remove_key_pairs(
    realm: Realm, files: KeyFiles, unused: Sequence[UnusedKeyPair], reporter: Reporter
) -> tuple[str, ...]:
    """Remove the key pairs from AWS, and their private halves where they lie here; their names.

    A file that holds another key than the one AWS knows stays.
    """
    for pair in unused:
        keys.delete(realm.cloud(pair.region), pair.name)
        mine = files.read(pair.name)
        if mine is not None and keys.same_key(mine.public_line, pair.public_line):
            files.remove(pair.name)
        reporter.note(f"removed the key pair {pair.name} in {pair.region}")
    return tuple(dict.fromkeys(pair.name for pair in unused))


def _sorted(pairs: Sequence[KeyPair]) -> list[KeyPair]:
    return sorted(pairs, key=lambda pair: pair.name)
