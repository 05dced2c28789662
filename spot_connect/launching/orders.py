"""More machines for a fleet that was launched earlier, asked for in the same words by whoever sees that one is gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from spot_connect.aws import fleets as aws_fleets
from spot_connect.aws import launch_templates
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import UnreadableAnswer
from spot_connect.core.fleets import FLEET_TAG, Fleet, Pool, common_tags
from spot_connect.core.models import Instance, LaunchSpec
from spot_connect.core.names import MANAGED_TAG
from spot_connect.core.orders import ON_DEMAND, SPOT, Order
from spot_connect.core.reporting import Reporter
from spot_connect.launching.fleets import arrived, further_pools, renamed, template_name
from spot_connect.launching.realm import Realm
from spot_connect.launching.shielding import to_the_end
from spot_connect.store import tables


def write(
    realm: Realm, fleet: Fleet, *, user_data: str, tags: Mapping[str, str], others: Collection[str] = ()
) -> Order:
    """The order for more machines like those of the fleet, which run ``user_data`` at boot and have ``tags`` too.

    Types in ``others`` will do as well, where they cost no more than the fleet's own may.

    It holds as long as its launch templates do; see :func:`withdraw`.

    Raises:
        ValueError: the fleet was not launched by this process.
        AwsError: AWS refused a template.
    """
    if fleet.spec is None:
        raise ValueError(f"{fleet.name} was not launched here")
    marks = {**fleet.spec.users_tags, MANAGED_TAG: "true", FLEET_TAG: fleet.name}
    spec = replace(fleet.spec, tags=common_tags(fleet.name, {**fleet.spec.tags, **tags}), user_data=user_data)
    templates = _templates(realm.cloud(fleet.region), fleet.name, spec, marks)
    pools = {SPOT: (*fleet.pools, *further_pools(realm, fleet, others)), ON_DEMAND: fleet.pools}
    requests = {
        market: aws_fleets.fleet_request(templates[market], some, 1, marks, on_demand=market == ON_DEMAND)
        for market, some in pools.items()
    }
    return Order(fleet.region, templates, requests, {SPOT: _spot(pools[SPOT]), ON_DEMAND: _on_demand(fleet)})


def withdraw(realm: Realm, order: Order) -> None:
    """Nobody can ask with it any more."""
    for template in order.templates.values():
        launch_templates.delete(realm.cloud(order.region), template)


def place(
    realm: Realm, order: Order, prefix: str, names: Sequence[str], reporter: Reporter, *, token: str, market: str = SPOT
) -> tuple[Instance, ...]:
    """A machine for each of the names; asked for again with the same token, the same machines.

    They need nobody to reach them: what they are to do, they do at boot.

    Raises:
        UnreadableAnswer: the order is for a template that was not made for machines of that prefix.
        NoCapacity, QuotaReached, NotAuthorized: AWS gave not a single one.
    """
    cloud = realm.cloud(order.region)
    _require_own(cloud, order, market, prefix)
    ask = partial(aws_fleets.launch, cloud, order.request(market, len(names)), (), token=token)
    with reporter.step(f"launching {', '.join(names)}: {market}"):
        answer = to_the_end(ask)
        if not answer.instance_ids:
            raise aws_fleets.worst(f"launch {', '.join(names)}", answer.errors, local=cloud.is_local)
        found = arrived(cloud, answer.instance_ids)
    by_id = dict(zip(sorted(answer.instance_ids), names, strict=False))
    made = renamed(cloud, [one for one in found if one.id in by_id], by_id)
    for one in made:
        realm.hints.remember(one.name, one.region)
        reporter.note(f"launched {one.name} ({one.id}): {one.type} {market} in {one.zone}")
    return made


def _templates(cloud: Cloud, name: str, spec: LaunchSpec, marks: Mapping[str, str]) -> dict[str, str]:
    """A launch template for each market, or none at all."""
    made: dict[str, str] = {}
    try:
        for market in (SPOT, ON_DEMAND):
            kind = replace(spec, on_demand=market == ON_DEMAND)
            made[market] = launch_templates.create(cloud, template_name(name), kind, marks)
    except BaseException:
        for template in made.values():
            launch_templates.delete(cloud, template)
        raise
    return made


def _require_own(cloud: Cloud, order: Order, market: str, prefix: str) -> None:
    """Launch from no template of somebody else's: instances keep the order, and may have changed it."""
    template = order.templates.get(market, "")
    tags = launch_templates.tags_of(cloud, template) if template and market in order.requests else {}
    if tags.get(MANAGED_TAG) != "true" or tags.get(FLEET_TAG) != prefix:
        raise UnreadableAnswer(
            f"refused to launch instances of {prefix}",
            f"its instances name a launch template that was not made for them ({template or market})",
            "Somebody may have changed the files of the run.",
        )


def _spot(pools: Sequence[Pool]) -> dict[str, str]:
    return {_pool(pool): str(pool.price) for pool in pools if pool.price is not None}


def _on_demand(fleet: Fleet) -> dict[str, str]:
    known = {pool: tables.on_demand_price(pool.instance_type, fleet.region) for pool in fleet.pools}
    return {_pool(pool): str(price) for pool, price in known.items() if price is not None}


def _pool(pool: Pool) -> str:
    return f"{pool.instance_type}/{pool.subnet.id}"
