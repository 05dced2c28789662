"""Interruptions as seen from outside: many machines, one AWS call a Region."""

from __future__ import annotations

from collections.abc import Iterable

from spot_connect.aws import instances
from spot_connect.core.endings import Ending, announced, why_it_ended
from spot_connect.core.models import LIVE_STATES, Instance
from spot_connect.launching import finding
from spot_connect.launching.realm import Realm

_ALL_IS_WELL = frozenset({"fulfilled", "request-canceled-and-instance-running"})


def endings(realm: Realm, machines: Iterable[Instance]) -> dict[str, Ending]:
    """By id, the machines that have ended or are about to, and why; the others are left out.

    While all is well this is one DescribeSpotInstanceRequests for each 200 machines of a Region: the status of a spot
    request changes at the moment of the notice, while the instance still runs. Only where it says something else is
    EC2 asked for the instances' own reasons. On-demand machines are not watched.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
    """
    watched = [machine for machine in machines if machine.spot_request_id]
    found: dict[str, Ending] = {}
    doubtful: list[Instance] = []
    for region in {machine.region for machine in watched}:
        here = [machine for machine in watched if machine.region == region]
        statuses = instances.spot_statuses(realm.cloud(region), [machine.spot_request_id for machine in here])
        for machine in here:
            ending = announced(statuses.get(machine.id, ""))
            if ending is not None:
                found[machine.id] = ending
            elif statuses.get(machine.id) not in _ALL_IS_WELL:
                doubtful.append(machine)
    now = finding.again(realm, doubtful)
    return found | {one.id: why_it_ended(one) for one in now.values() if one.state not in LIVE_STATES}
