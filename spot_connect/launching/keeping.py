"""The machine of a fleet that AWS does not take away."""

from __future__ import annotations

from dataclasses import replace

from spot_connect.aws import instances
from spot_connect.core.fleets import FLEET_TAG
from spot_connect.core.models import Instance
from spot_connect.core.reporting import Reporter
from spot_connect.launching import ending, replacing
from spot_connect.launching.launch import launch
from spot_connect.launching.realm import Realm
from spot_connect.store.keys import KeyFiles

_SMALL = {"x86_64": "t3.small", "arm64": "t4g.small"}


def keeper(realm: Realm, like: Instance, name: str, files: KeyFiles, reporter: Reporter) -> Instance:
    """A small machine of a fleet, on demand.

    Raises:
        AwsError: AWS has none, or refused.
    """
    kind = _SMALL.get(str(like.raw.get("Architecture", "")), "") or like.type
    request = replacing.request_like(realm, like, instance_type=kind, on_demand=True)
    made = launch(realm, replace(request, name=name), files, reporter)
    mark = {FLEET_TAG: like.tags[FLEET_TAG]}
    try:
        instances.tag(realm.cloud(made.region), [made.id], mark)
    except BaseException:
        # Without it nobody who ends the fleet would find it.
        ending.terminate(realm, [made])
        raise
    return replace(made, tags={**made.tags, **mark})
