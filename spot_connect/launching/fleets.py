"""Many instances of one name prefix in one call, kept track of by their tags, and ended together."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

from spot_connect.aws import fleets, instance_types, instances, launch_templates, prices
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import DeadlinePassed, InstanceNotFound, UsageError
from spot_connect.core.few import few
from spot_connect.core.fleets import (
    FLEET_ID_TAG,
    FLEET_TAG,
    Fleet,
    Move,
    Pool,
    common_tags,
    member_names,
    reassign,
)
from spot_connect.core.images import check_starts, starts_on
from spot_connect.core.members import member_tags
from spot_connect.core.models import LIVE_STATES, Instance, LaunchSpec
from spot_connect.core.names import MANAGED_TAG, NAME_TAG, instance_name
from spot_connect.core.prices import money
from spot_connect.core.reporting import Reporter
from spot_connect.core.requests import LaunchRequest
from spot_connect.core.tags import require_room
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.launching import ending, finding
from spot_connect.launching.preparing import Prepared, prepare, region_of
from spot_connect.launching.realm import Realm
from spot_connect.launching.shielding import to_the_end
from spot_connect.store import tables
from spot_connect.store.keys import KeyFiles

MOST = 1000
"""TerminateInstances takes no more ids in one call, so a fleet is never larger."""
_SEEN_SECONDS = 60.0
_MAINTAINED_SECONDS = 180.0


def launch_fleet(
    realm: Realm,
    request: LaunchRequest,
    files: KeyFiles,
    reporter: Reporter,
    *,
    count: int,
    types: Sequence[str] = (),
    maintain: bool = False,
) -> Fleet:
    """Launch ``count`` spot instances called ``<request.name>_0`` and so on, from the pools that can best give them.

    They share one key pair and one security group. AWS chooses among the types and zones by price and capacity
    (``price-capacity-optimized``); it may give fewer than asked for, which ``errors`` explains.

    Args:
        realm: AWS, or the local cloud.
        request: what one instance is to be like; its name is the prefix.
        files: where private keys are.
        reporter: hears of progress.
        count: how many, 1 to 1000.
        types: further instance types that will do; ten or more are best against interruptions.
        maintain: AWS replaces instances that end, **until the fleet is cancelled**.

    Raises:
        UsageError: a wrong count or type, or the fleet runs already; nothing was launched.
        NoCapacity, QuotaReached, PriceTooLow, NotAuthorized: AWS gave not a single instance.

    Example:
        >>> launch_fleet(realm, request, files, reporter, count=5).ids  # doctest: +SKIP
        ('i-0123456789abcdef0', ...)
    """
    _check(request, count)
    with realm.state.lock(f"launch-{request.name}", wait_seconds=_MAINTAINED_SECONDS):
        cloud = realm.cloud(region_of(realm, request))
        _must_be_free(cloud, request.name, count)
        prepared = prepare(realm, request, files, reporter)
        pools = _pools(cloud, prepared, request, types)
        with reporter.step(f"launching {count} instances {request.name}_*: {_in_words(pools, count)}"):
            fleet = _launched(realm, prepared.spec, pools, count, maintain=maintain)
    for instance in fleet.instances:
        realm.hints.remember(instance.name, instance.region)
    _tell(fleet, pools, reporter)
    return fleet


def find_fleet(realm: Realm, name: str, region: str) -> Fleet | None:
    """The live fleet of that name in the Region, from any computer; ``None`` when there is none."""
    found = instances.tagged(realm.cloud(region), FLEET_TAG, [name])
    return _fleet_of(realm, found) if found else None


def find_anywhere(realm: Realm, given: str, reporter: Reporter) -> Fleet:
    """The live fleet of that name or id, from any computer and in whatever Region.

    An instance that replaced another meanwhile has the name of it.

    Raises:
        InstanceNotFound: there is none.
    """
    found = finding.of_fleet(realm, given, reporter)
    if not found:
        raise InstanceNotFound(f"cannot find the fleet {given}", "no live instance belongs to it")
    fleet = _fleet_of(realm, found)
    return refresh_fleet(realm, fleet, reporter) if fleet.maintained else fleet


def _fleet_of(realm: Realm, found: Sequence[Instance]) -> Fleet:
    newest = found[-1]
    fleet_id = newest.tags.get(FLEET_ID_TAG, "")
    known = fleets.describe(realm.cloud(newest.region), fleet_id) if fleet_id else None
    members = _in_order(found)
    count = known.count if known else len(members)
    maintained = bool(known and known.maintained)
    return Fleet(fleet_id, newest.tags[FLEET_TAG], newest.region, count, members, maintained=maintained)


def names(realm: Realm, region: str) -> tuple[str, ...]:
    """The names of the fleets that have live instances in the Region; one call."""
    found = instances.managed(realm.cloud(region))
    return tuple(dict.fromkeys(one.tags[FLEET_TAG] for one in found if FLEET_TAG in one.tags))


def fleet_instances(realm: Realm, fleet: Fleet) -> tuple[Instance, ...]:
    """The live instances of the fleet as EC2 tells them now, those that replaced others too; one call."""
    found = instances.tagged(realm.cloud(fleet.region), FLEET_ID_TAG, [fleet.id])
    return tuple(instance for instance in found if instance.state in ("pending", "running"))


def refresh_fleet(realm: Realm, fleet: Fleet, reporter: Reporter) -> Fleet:
    """The fleet as it is now: an instance that replaced another has taken over its name.

    ``moved`` tells which names went over, ``lost`` which have no instance any more.
    """
    found = {instance.id: instance for instance in fleet_instances(realm, fleet)}
    # A name is missing where a launch was cut short before it was given.
    known = {one.id: one.name for one in fleet.instances if one.name.startswith(f"{fleet.name}_")}
    now = reassign(known, found)
    spare = member_names(fleet.name, len(now.spare), taken=now.jobs.values())
    names = {**now.jobs, **dict(zip(now.spare, spare, strict=True))}
    moved = tuple(Move(*move) for move in now.moves)
    fresh = {move.new for move in moved} | set(now.spare)
    later = renamed(realm.cloud(fleet.region), [found[one] for one in fresh], names)
    members = {**found, **{one.id: one for one in later}}
    for move in moved:
        reporter.note(f"{move.name} is {move.new} now; {move.old} has ended")
    lost = tuple(name for name, _ in now.orphans)
    if lost:
        reporter.note(f"ended and not replaced: {', '.join(lost)}")
    return replace(fleet, instances=_in_order(members[one] for one in names), moved=moved, lost=lost)


def cancel_fleet(realm: Realm, fleet: Fleet, reporter: Reporter) -> tuple[Instance, ...]:
    """Delete the fleet and end all its instances; those that were still alive.

    The fleet goes first, because a maintained one would replace what is ended before it.
    """
    cloud = realm.cloud(fleet.region)
    with reporter.step(f"cancelling the fleet {fleet.name}"):
        # Machines that joined it later came from fleets of their own.
        alive = instances.tagged(cloud, FLEET_TAG, [fleet.name])
        _end(realm, cloud, fleet.id, list({*fleet.ids, *(one.id for one in alive)}))
    for instance in (*alive, *fleet.instances):
        realm.pins.forget(instance.id)
        realm.hints.forget(instance.name)
    reporter.note(f"cancelled the fleet {fleet.name} and ended {len(alive)} instances")
    return alive


def _check(request: LaunchRequest, count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise UsageError(f"cannot launch {count!r} instances", advice=f"Give a whole number from 1 to {MOST}.")
    instance_name(f"{request.name}_{count - 1}")
    require_room(request.all_tags, count)


def _must_be_free(cloud: Cloud, prefix: str, count: int) -> None:
    """A second fleet of the same name would cost twice, and its names would mean two machines."""
    names = frozenset(member_names(prefix, count))
    found = instances.of_fleet(cloud, prefix)
    running = dict.fromkeys(
        one.name for one in _in_order(found) if one.name in names or one.tags.get(FLEET_TAG) == prefix
    )
    if running:
        raise UsageError(
            f"cannot launch the fleet {prefix}",
            f"these run already: {few(tuple(running))}",
            f"reach_fleet({prefix!r}) uses it, cancel_fleet({prefix!r}) ends it; or choose another name.",
        )


def _pools(cloud: Cloud, prepared: Prepared, request: LaunchRequest, types: Sequence[str]) -> tuple[Pool, ...]:
    spec = prepared.spec
    others = [kind for kind in dict.fromkeys(types) if kind != spec.instance_type]
    _must_fit(cloud, spec, others)
    limits = {kind: request.price or tables.on_demand_price(kind, spec.region) for kind in others}
    limits[spec.instance_type] = spec.max_price
    quotes = (*prepared.prices, *prices.spot_prices(cloud, others))
    now = {(quote.instance_type, quote.zone): quote.price for quote in quotes}
    pools = [
        Pool(kind, subnet, limits[kind], now.get((kind, subnet.zone)))
        for kind in (spec.instance_type, *others)
        for subnet in prepared.subnets
    ]
    return tuple(pool for pool in pools if pool.price is not None) or tuple(pools)


def further_pools(realm: Realm, fleet: Fleet, types: Collection[str]) -> tuple[Pool, ...]:
    """Pools of other types in the zones of a fleet, where they cost no more than the fleet's own type may."""
    if fleet.spec is None or fleet.spec.max_price is None:
        return ()
    limit = fleet.spec.max_price
    subnets = {pool.subnet.zone: pool.subnet for pool in fleet.pools}
    return tuple(
        Pool(quote.instance_type, subnets[quote.zone], limit, quote.price)
        for quote in prices.spot_prices(realm.cloud(fleet.region), types)
        if quote.zone in subnets and quote.price <= limit and starts_on(fleet.spec.image.name, quote.instance_type)
    )


def _must_fit(cloud: Cloud, spec: LaunchSpec, types: Collection[str]) -> None:
    """One template means one image, so all types must be of its architecture."""
    if not types:
        return
    with ThreadPoolExecutor(max_workers=8) as pool:
        built_for = dict(
            zip(types, pool.map(lambda kind: instance_types.architecture(cloud, kind), types), strict=True)
        )
    odd = [kind for kind, architecture in built_for.items() if architecture != spec.image.architecture]
    if odd:
        raise UsageError(
            f"cannot launch the fleet {spec.name}",
            f"its image is for {spec.image.architecture}, not for {', '.join(odd)}",
            "Choose types of one architecture.",
        )
    for kind in types:
        check_starts(spec.image.id, spec.image.name, kind)


def _launched(realm: Realm, spec: LaunchSpec, pools: Sequence[Pool], count: int, *, maintain: bool) -> Fleet:
    cloud = realm.cloud(spec.region)
    marks = {**spec.users_tags, MANAGED_TAG: "true", FLEET_TAG: spec.name}
    common = replace(spec, tags=common_tags(spec.name, spec.tags))
    template = launch_templates.create(cloud, template_name(spec.name), common, marks)
    keeps = False
    heard: list[fleets.Answer] = []
    try:
        request = fleets.fleet_request(template, pools, count, marks, maintain=maintain)
        ask = partial(_answered, cloud, spec.name, request, pools, heard)
        answer = to_the_end(ask)
        fleet = Fleet(
            answer.fleet_id, spec.name, spec.region, count, (), answer.errors, maintain, spec=spec, pools=tuple(pools)
        )
        fleet = _with_members(realm, cloud, fleet, answer.instance_ids)
        # A maintained fleet launches from it again and again.
        keeps = maintain
        return fleet
    except BaseException:
        # Ctrl-C too: instances without names would be paid for and not be found.
        for answer in heard:
            if answer.instance_ids or maintain:
                _end(realm, cloud, answer.fleet_id, answer.instance_ids)
        raise
    finally:
        if not keeps:
            launch_templates.delete(cloud, template)


def _answered(
    cloud: Cloud, name: str, request: Mapping[str, Any], pools: Sequence[Pool], heard: list[fleets.Answer]
) -> fleets.Answer:
    answer = fleets.launch(cloud, request, pools)
    heard.append(answer)
    if request["Type"] == "instant" and not answer.instance_ids:
        raise fleets.worst(f"launch the fleet {name}", answer.errors, local=cloud.is_local)
    return answer


def _with_members(realm: Realm, cloud: Cloud, fleet: Fleet, ids: Sequence[str]) -> Fleet:
    found = arrived(cloud, ids) if ids else _maintained(realm, fleet)
    if not found:
        raise fleets.worst(f"launch the fleet {fleet.name}", fleet.errors, local=cloud.is_local)
    given = [one.id for one in found]
    return replace(fleet, instances=_in_order(_numbered(cloud, given)))


def _numbered(cloud: Cloud, ids: Sequence[str]) -> tuple[Instance, ...]:
    """The instances with their numbers."""
    instances.tag(cloud, ids, member_tags(ids))
    return instances.by_ids(cloud, ids)


def arrived(cloud: Cloud, ids: Sequence[str]) -> tuple[Instance, ...]:
    """The instances that a fleet has just launched, once EC2 shows all of them."""

    def look() -> Seen[tuple[Instance, ...]]:
        found = instances.by_ids(cloud, ids)
        return Seen(found if len(found) == len(ids) else None, f"EC2 shows {len(found)} of {len(ids)}")

    return wait_for("instances of the fleet", look, seconds=_SEEN_SECONDS, every=0.5)


def _maintained(realm: Realm, fleet: Fleet) -> tuple[Instance, ...]:
    """Its instances once all are there; what came so far when that takes too long, since more may come later."""

    def look() -> Seen[tuple[Instance, ...]]:
        found = fleet_instances(realm, fleet)
        return Seen(found if len(found) >= fleet.count else None, f"EC2 shows {len(found)} of {fleet.count}")

    try:
        return wait_for("instances of the fleet", look, seconds=_MAINTAINED_SECONDS, every=1.0)
    except DeadlinePassed:
        return fleet_instances(realm, fleet)


def renamed(cloud: Cloud, found: Iterable[Instance], names: Mapping[str, str]) -> tuple[Instance, ...]:
    """The instances, each with a name of its own from ``names``; those of a fleet that come after its launch."""

    def give(instance: Instance) -> Instance:
        tags = {"Name": names[instance.id], NAME_TAG: names[instance.id]}
        instances.tag(cloud, [instance.id], tags)
        return replace(instance, tags={**instance.tags, **tags})

    with ThreadPoolExecutor(max_workers=16) as pool:
        return tuple(pool.map(give, found))


def _end(realm: Realm, cloud: Cloud, fleet_id: str, ids: Sequence[str]) -> None:
    fleets.delete(cloud, fleet_id)
    left = {one.id: one for one in instances.tagged(cloud, FLEET_ID_TAG, [fleet_id])}
    left |= {one.id: one for one in (instances.by_ids(cloud, ids) if ids else ()) if one.state in LIVE_STATES}
    if left:
        ending.terminate(realm, left.values())
    known = fleets.describe(cloud, fleet_id)
    for template in known.template_ids if known and known.maintained else ():
        launch_templates.delete(cloud, template)


def template_name(prefix: str) -> str:
    """A name for a launch template that no other has."""
    # Template names allow less than instance names do.
    return f"spot-connect-{re.sub(r'[^A-Za-z0-9]', '-', prefix)[:60]}-{uuid.uuid4().hex[:12]}"


def _in_order(found: Iterable[Instance]) -> tuple[Instance, ...]:
    return tuple(sorted(found, key=lambda instance: (len(instance.name), instance.name)))


def _in_words(pools: Sequence[Pool], count: int) -> str:
    kinds = dict.fromkeys(pool.instance_type for pool in pools)
    zones = dict.fromkeys(pool.subnet.zone for pool in pools)
    known = [pool.price for pool in pools if pool.price is not None]
    price = f", from {money(count * min(known))} an hour in all" if known else ""
    return f"{', '.join(kinds)} spot in {', '.join(zones)}{price}"


def _tell(fleet: Fleet, pools: Sequence[Pool], reporter: Reporter) -> None:
    now = {(pool.instance_type, pool.subnet.zone): pool.price for pool in pools}
    prices_now = [now.get((instance.type, instance.zone)) for instance in fleet.instances]
    total = sum((price for price in prices_now if price is not None), Decimal(0))
    places: dict[str, int] = {}
    for instance in fleet.instances:
        place = f"{instance.type} in {instance.zone}"
        places[place] = places.get(place, 0) + 1
    for refusal in fleet.errors:
        reporter.note(str(refusal))
    got = ", ".join(f"{number} {place}" for place, number in places.items())
    cost = f", {money(total)} an hour in all" if total else ""
    reporter.note(f"launched {len(fleet.instances)} of {fleet.count} instances of the fleet {fleet.name}: {got}{cost}")
    if len(fleet.instances) < fleet.count and not fleet.maintained:
        reporter.warn(f"{fleet.count - len(fleet.instances)} instances of {fleet.name} could not be had")
    if fleet.maintained:
        reporter.warn(f"{fleet.name} is maintained: AWS replaces what ends until the fleet is cancelled")
