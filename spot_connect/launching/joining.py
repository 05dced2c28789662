"""Machines that join a fleet after it was launched."""

from __future__ import annotations

from dataclasses import replace

from spot_connect.aws import instances
from spot_connect.core.fleets import FLEET_TAG
from spot_connect.core.models import Instance
from spot_connect.core.reporting import Reporter
from spot_connect.launching import replacing
from spot_connect.launching.launch import launch
from spot_connect.launching.realm import Realm
from spot_connect.store.keys import KeyFiles

_SMALL = {"x86_64": "t3.small", "arm64": "t4g.small"}


def another(realm: Realm, like: Instance, name: str, files: KeyFiles, reporter: Reporter) -> Instance:
    """One more machine of a fleet, like one that it has.

    Raises:
        NoCapacity: no zone of the Region has one.
        AwsError: AWS refused something else.
    """
    request = replace(replacing.request_like(realm, like), name=name)
    return _marked(realm, launch(realm, request, files, reporter), like)


def keeper(realm: Realm, like: Instance, name: str, files: KeyFiles, reporter: Reporter) -> Instance:
    """A small machine of a fleet that AWS does not take away.

    Raises:
        AwsError: AWS has none, or refused.
    """
    kind = _SMALL.get(str(like.raw.get("Architecture", "")), "") or like.type
    request = replacing.request_like(realm, like, instance_type=kind, on_demand=True)
    return _marked(realm, launch(realm, replace(request, name=name), files, reporter), like)


def successor(realm: Realm, dying: Instance, files: KeyFiles, reporter: Reporter) -> Instance:
    """The machine of a fleet that takes the name and the place of one that AWS takes away.

    Raises:
        NoCapacity: no zone of the Region has one.
        AwsError: AWS refused something else.
    """
    made, _ = replacing.replace(realm, dying, files, reporter)
    return _marked(realm, made, dying)


def _marked(realm: Realm, made: Instance, like: Instance) -> Instance:
    mark = {FLEET_TAG: like.tags[FLEET_TAG]}
    instances.tag(realm.cloud(made.region), made.id, mark)
    return replace(made, tags={**made.tags, **mark})
