"""Find a machine by name or id, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from spot_connect.aws import instances, networks
from spot_connect.core.errors import AwsError, InstanceNotFound
from spot_connect.core.fleets import FLEET_ID_TAG, FLEET_TAG
from spot_connect.core.models import LIVE_STATES, Instance
from spot_connect.core.names import SUCCESSOR_TAG
from spot_connect.core.reporting import Reporter
from spot_connect.launching.realm import Realm

Look = Callable[[Realm, str, str], tuple[Instance, ...]]
"""What a name means in a Region."""
_RUNNING = ("pending", "running")


def by_name(
    realm: Realm, name: str, regions: Sequence[str], reporter: Reporter, *, everywhere: bool
) -> Instance | None:
    """The live machine called ``name``, or ``None``.

    It is looked for in ``regions``, then, with ``everywhere``, in every Region of the account, so that any
    computer finds it.
    """
    found = _lasting(all_by_name(realm, name, regions, reporter, everywhere=everywhere))
    if len(found) > 1:
        ids = ", ".join(f"{instance.id} ({instance.type})" for instance in found)
        reporter.warn(f"{len(found)} instances are called {name}: {ids}; using the oldest")
    return found[0] if found else None


def all_by_name(
    realm: Realm, name: str, regions: Sequence[str], reporter: Reporter, *, everywhere: bool
) -> tuple[Instance, ...]:
    """All live machines called ``name`` in the first Region that has one, also those that AWS is taking away."""
    found = _anywhere(realm, name, regions, reporter) if everywhere else _first(realm, name, regions)
    if found:
        realm.hints.remember(name, found[0].region)
    return found


def of_fleet(realm: Realm, given: str, reporter: Reporter) -> tuple[Instance, ...]:
    """The running machines of the fleet of that name or id, in the first Region of the account that has any."""
    regions = likely_regions(realm, f"{given}_0", "", "")
    return _anywhere(realm, given, regions, reporter, _of_fleet)


def likely_regions(realm: Realm, name: str, region: str, profile_region: str) -> tuple[str, ...]:
    """Where to look first: the Region named, else where this computer saw it last and where it would be launched."""
    if region:
        return (region,)
    known = tuple(dict.fromkeys(filter(None, (realm.hints.hint(name), profile_region))))
    return known or (realm.default_region,)


def by_id(realm: Realm, instance_id: str, region: str) -> Instance:
    """The live instance with that id.

    Raises:
        InstanceNotFound: there is none in the Region, or it has ended.
    """
    place = region or realm.hints.hint(instance_id) or realm.default_region
    found = instances.by_id(realm.cloud(place), instance_id)
    if found is None:
        raise InstanceNotFound(f"cannot find {instance_id}", f"there is none in {place}", "-reg names another Region.")
    if found.state not in LIVE_STATES:
        raise InstanceNotFound(f"cannot connect to {instance_id}", f"it is {found.state}")
    return found


def everything(realm: Realm, regions: Iterable[str]) -> tuple[Instance, ...]:
    """All live instances we launched in the Regions, by Region and age."""
    # Not in the threads: it may ask for a code.
    clouds = [realm.cloud(region) for region in regions]
    with ThreadPoolExecutor(max_workers=16) as pool:
        found = pool.map(instances.managed, clouds)
        return tuple(instance for part in found for instance in part)


def _named(realm: Realm, name: str, region: str) -> tuple[Instance, ...]:
    cloud = realm.cloud(region)
    return instances.named(cloud, name) or instances.of_launch_group(cloud, name)


def _lasting(found: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Those of the machines of one name that are to be used."""
    running = tuple(instance for instance in found if instance.state in _RUNNING)
    # One that AWS is taking away still runs for two minutes beside its successor.
    lasting = tuple(instance for instance in running if SUCCESSOR_TAG not in instance.tags)
    return lasting or running or found


def _of_fleet(realm: Realm, given: str, region: str) -> tuple[Instance, ...]:
    cloud = realm.cloud(region)
    found = instances.tagged(cloud, FLEET_TAG, [given]) or instances.tagged(cloud, FLEET_ID_TAG, [given])
    # Fleets that others have launched are not ours to use or end.
    return tuple(one for one in found if one.state in _RUNNING and FLEET_TAG in one.tags)


def _anywhere(
    realm: Realm, name: str, regions: Sequence[str], reporter: Reporter, look: Look = _named
) -> tuple[Instance, ...]:
    """What ``look`` finds in the first of the Regions that has it, or in the first of all others."""
    found = _first(realm, name, regions, look)
    if found:
        return found
    others = [place for place in networks.region_names(realm.cloud(regions[0])) if place not in regions]
    with reporter.step(f"looking for {name} in {len(others)} other Regions"):
        return _first(realm, name, others, partial(_if_allowed, look))


def _if_allowed(look: Look, realm: Realm, name: str, region: str) -> tuple[Instance, ...]:
    # A Region that a policy closes to us cannot hold our machine, and must not hide the others.
    try:
        return look(realm, name, region)
    except AwsError:
        return ()


def _first(realm: Realm, name: str, regions: Sequence[str], look: Look = _named) -> tuple[Instance, ...]:
    if len(regions) == 1:
        return look(realm, name, regions[0])
    with ThreadPoolExecutor(max_workers=16) as pool:
        return next(filter(None, pool.map(lambda region: look(realm, name, region), regions)), ())


def again(realm: Realm, known: Iterable[Instance]) -> dict[str, Instance]:
    """The same instances by id as EC2 tells them now, in one call a Region.

    One that EC2 has forgotten is ``terminated``.
    """
    known = tuple(known)
    by_region = {instance.region: [each.id for each in known if each.region == instance.region] for instance in known}
    told = {
        instance.id: instance
        for region, ids in by_region.items()
        for instance in instances.by_ids(realm.cloud(region), ids)
    }
    return {instance.id: told.get(instance.id) or replace(instance, state="terminated") for instance in known}
