"""Launch a machine, in the cheapest zone that has capacity."""

from __future__ import annotations

from collections.abc import Callable

from spot_connect.aws import instances
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import NoCapacity, SpotConnectError
from spot_connect.core.models import Instance, LaunchSpec, Subnet
from spot_connect.core.prices import money, order_zones
from spot_connect.core.reporting import Reporter
from spot_connect.core.requests import LaunchRequest
from spot_connect.launching.preparing import Prepared, prepare
from spot_connect.launching.realm import Realm
from spot_connect.launching.shielding import to_the_end
from spot_connect.store.keys import KeyFiles

Hear = Callable[[Instance], None]


def _unheard(_: Instance) -> None:
    """Nobody has to know of it early."""


def launch(
    realm: Realm, request: LaunchRequest, files: KeyFiles, reporter: Reporter, *, hear: Hear = _unheard
) -> Instance:
    """A spot instance as asked for, running or about to.

    ``hear`` is told of the instance as soon as AWS has answered, before Ctrl-C can be heard again.

    Raises:
        NoCapacity: no zone of the Region has one.
        QuotaReached, PriceTooLow: another zone would not help.
        UsageError, NotAuthorized, AwsObjectMissing: as :func:`prepare` has them.
    """
    prepared = prepare(realm, request, files, reporter)
    return _in_some_zone(realm.cloud(prepared.spec.region), prepared, request.last_zone, reporter, hear)


def _in_some_zone(cloud: Cloud, prepared: Prepared, last_zone: str, reporter: Reporter, hear: Hear) -> Instance:
    spec = prepared.spec
    by_zone = {subnet.zone: subnet for subnet in prepared.subnets}
    now = {quote.zone: quote.price for quote in prepared.prices}
    failures: list[str] = []
    last: SpotConnectError | None = None
    market = "on demand" if spec.on_demand else "spot"
    for zone in sorted(order_zones(prepared.prices, tuple(by_zone)), key=lambda zone: zone == last_zone):
        price = f" at {money(now[zone])} an hour" if zone in now and not spec.on_demand else ""
        try:
            with reporter.step(f"launching {spec.name}: {spec.instance_type} {market} in {zone}{price}"):
                made = _launched(cloud, spec, by_zone[zone], hear)
        except NoCapacity as error:
            reporter.note(f"no {spec.instance_type} in {zone}: {error.said}")
            failures.append(zone)
            last = error
        else:
            reporter.note(f"launched {spec.name} ({made.id}): {spec.instance_type} {market} in {zone}{price}")
            return made
    raise NoCapacity(
        f"cannot launch {spec.name}",
        f"no {market} capacity for {spec.instance_type} in {', '.join(failures)}",
        "Try another type with -p, another Region with -reg, or again in a few minutes.",
    ) from last


def _launched(cloud: Cloud, spec: LaunchSpec, subnet: Subnet, hear: Hear) -> Instance:
    def ask() -> Instance:
        made = instances.launch(cloud, spec, subnet)
        hear(made)
        return made

    return to_the_end(ask)
