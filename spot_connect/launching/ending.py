"""End machines, and forget what this computer knew about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from spot_connect.aws import instances
from spot_connect.core.errors import InstanceNotFound
from spot_connect.core.models import Instance
from spot_connect.core.names import is_instance_id
from spot_connect.core.reporting import Reporter
from spot_connect.holding.calling import part
from spot_connect.launching import finding
from spot_connect.launching.realm import Realm, typed

_AT_ONCE = 32


def terminate(realm: Realm, doomed: Iterable[Instance]) -> None:
    """End the machines, one call a Region; their pins and held lines go, their keys and groups stay for a launch."""
    by_region: dict[str, list[Instance]] = {}
    for instance in doomed:
        by_region.setdefault(instance.region, []).append(instance)
    for region, group in by_region.items():
        instances.terminate(realm.cloud(region), group)
        for instance in group:
            realm.pins.forget(instance.id)
            realm.aliases.forget(instance.name, instance.id)
            part(str(realm.state.root), instance.name)


def terminate_names(realm: Realm, names: Sequence[str], region: str, reporter: Reporter) -> tuple[Instance, ...]:
    """End the machines with these names or ids; all are found before the first is ended.

    Raises:
        InstanceNotFound: one of them does not run; none was ended.
    """
    found = all_named(realm, names, region, reporter)
    with reporter.step(f"terminating {', '.join(instance.name for instance in found)}"):
        terminate(realm, found)
    for name in names:
        realm.hints.forget(name)
    return found


def all_named(realm: Realm, names: Sequence[str], region: str, reporter: Reporter) -> tuple[Instance, ...]:
    """The live machines with these names or ids, each once.

    Raises:
        InstanceNotFound: one of the names has none.
    """
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        called = pool.map(lambda name: _all_called(realm, name, region, reporter), names)
        found = {instance.id: instance for some in called for instance in some}
    return tuple(found.values())


def _all_called(realm: Realm, name: str, region: str, reporter: Reporter) -> tuple[Instance, ...]:
    if is_instance_id(name):
        return (finding.by_id(realm, name, region),)
    regions = finding.likely_regions(realm, name, region, "")
    found = finding.all_by_name(realm, name, regions, reporter, everywhere=not region)
    if not found:
        where = region or "any Region"
        raise InstanceNotFound(
            f"cannot find {name}",
            f"no instance of that name runs in {where}",
            f"Nothing was changed. See `{typed(realm, 'list')}`.",
        )
    return found
