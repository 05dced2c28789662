"""What a machine that cannot be reached goes on costing, and how that is ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from spot_connect.aws import prices
from spot_connect.core.errors import AwsError, DeadlinePassed, PartlyFailed, SpotConnectError, SshError
from spot_connect.core.models import Instance
from spot_connect.core.prices import money
from spot_connect.launching.realm import Realm, typed
from spot_connect.store import tables


@contextmanager
def told(realm: Realm, instance: Instance) -> Iterator[None]:
    """Say with whatever ends the wait for the machine that it runs on, at what price, and how to end it."""
    try:
        yield
    except (SshError, DeadlinePassed) as error:
        price = _an_hour(realm, instance)
        cost = f" and costs {money(price)} an hour" if price is not None else ""
        end = typed(realm, "terminate", instance.name)
        words = f"{instance.name} ({instance.id}, {instance.type}) runs on{cost}; `{end}` ends it."
        advice = f"{error.advice.rstrip('.')}. {words}" if error.advice else words
        told_so = type(error)(error.what, error.said, advice)
        told_so.runs_on = error
        raise told_so from error


def ended_again(error: SpotConnectError) -> SpotConnectError:
    """The error of a machine that could not be reached, once the machine does not run on: it was ended meanwhile."""
    if isinstance(error, PartlyFailed):
        return PartlyFailed(error.succeeded, {name: ended_again(one) for name, one in error.failed.items()})
    return error.runs_on or error


def _an_hour(realm: Realm, instance: Instance) -> Decimal | None:
    if not instance.is_spot:
        return tables.on_demand_price(instance.type, instance.region)
    try:
        found = prices.current(realm.cloud(instance.region), instance.type)
    except AwsError:
        found = ()
    now = next((quote.price for quote in found if quote.zone == instance.zone), None)
    return now if now is not None else tables.spot_price(instance.type, instance.region)
