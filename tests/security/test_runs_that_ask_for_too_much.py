"""Instances of a run that ask this computer to launch what they have no right to."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest

from spot_connect.aws.fleets import fleet_request
from spot_connect.core.errors import UnreadableAnswer
from spot_connect.core.fleets import Pool
from spot_connect.core.models import Subnet
from spot_connect.core.orders import SPOT, Order
from spot_connect.core.reporting import Silent
from spot_connect.jobs.crew import Crew
from spot_connect.jobs.replacing import Replacing
from spot_connect.launching import orders
from spot_connect.launching.realm import Realm
from tests.local_cloud import LocalCloud

THERE = "i-0123456789abcdef0"


class Asking(Crew):
    """Machines that want what they are told to want."""

    def __init__(self, yard, wanted):
        self.name = "w"
        self.reporter = Silent()
        self.yard = yard
        self._wanted = wanted

    def known(self):
        return self.yard.members()

    def ask(self, verb, asked):
        return [{"wanted": self._wanted, "placed": {}}]


class Counting:
    """Two machines that live, and a count of those that are asked for."""

    def __init__(self):
        self.placed = []
        self._living = [machine(THERE), machine("i-0123456789abcdef1")]

    def members(self):
        return list(self._living)

    def endings(self, members):
        return {}

    def place(self, order, names, *, token, market):
        made = machine(f"i-{uuid.uuid4().hex[:17]}")
        self.placed.append(made)
        return (made,)


def machine(number):
    return SimpleNamespace(
        id=number, name="w_0", type="t3.small", subnet_id="subnet-1", launched=datetime.now(timezone.utc)
    )


def order_for(template, region="us-east-1", subnet="subnet-1"):
    pools = [Pool("t3.small", Subnet(subnet, f"{region}a", "vpc-1"), None)]
    return Order(region, {SPOT: template}, {SPOT: fleet_request(template, pools, 1, {})}, {})


def lost(number):
    return {"lost": f"i-{number:017x}", "market": SPOT, "token": f"r1-{number}"}


def test_no_more_are_launched_than_can_have_been_lost():
    yard = Counting()
    replacing = Replacing(Asking(yard, [lost(number) for number in range(1000)]), "r1", order_for("lt-1"))
    with pytest.raises(UnreadableAnswer, match="refused to launch another instance"):
        replacing._look()
    assert len(yard.placed) == 2


@pytest.mark.parametrize(
    "wanted",
    [
        {"lost": "i-1; id", "market": SPOT, "token": "t"},
        {"lost": THERE, "market": "capacity-block", "token": "t"},
        {"lost": THERE, "market": SPOT, "token": "x" * 65},
        {"lost": ["i-1"], "market": SPOT, "token": "t"},
        "i-1",
    ],
)
def test_what_is_wanted_has_to_make_sense(wanted):
    yard = Counting()
    with pytest.raises(UnreadableAnswer):
        Replacing(Asking(yard, [wanted]), "r1", order_for("lt-1"))._look()
    assert not yard.placed


def test_nothing_is_launched_from_a_template_that_was_made_for_others(cloud_home, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(cloud_home))
    realm = Realm(local=True)
    ec2 = LocalCloud(cloud_home, realm_endpoint(cloud_home)).client("ec2")
    made = ec2.create_launch_template(
        LaunchTemplateName=f"t-{uuid.uuid4().hex}",
        LaunchTemplateData={"ImageId": "ami-12345678", "IamInstanceProfile": {"Name": "admin"}},
        TagSpecifications=[
            {
                "ResourceType": "launch-template",
                "Tags": [
                    {"Key": "spot-connect:managed", "Value": "true"},
                    {"Key": "spot-connect:fleet", "Value": "other"},
                ],
            }
        ],
    )["LaunchTemplate"]["LaunchTemplateId"]
    before = ec2.describe_instances()["Reservations"]
    with pytest.raises(UnreadableAnswer, match="not made for them"):
        orders.place(realm, order_for(made), "w", ["w_0"], Silent(), token=uuid.uuid4().hex)
    assert ec2.describe_instances()["Reservations"] == before


def realm_endpoint(home):
    from spot_connect.local import service

    return service.up(home).endpoint
