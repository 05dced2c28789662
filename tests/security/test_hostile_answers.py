"""What the program on an instance answers, when it is not our program that answers."""

from __future__ import annotations

import json
from contextlib import contextmanager
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.aws.fleets import fleet_request
from spot_connect.core.answers import Answer, answers
from spot_connect.core.errors import UnreadableAnswer
from spot_connect.core.fleets import Pool
from spot_connect.core.jobs import jobs_record
from spot_connect.core.models import Subnet
from spot_connect.core.orders import ON_DEMAND, SPOT, Order, order_of
from spot_connect.core.runs import run_record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
TEMPLATE = "lt-0123456789abcdef0"
OTHER = "lt-0123456789abcdef1"
POOLS = [Pool("t3.small", Subnet("subnet-1", "us-east-1a", "vpc-1"), None)]
REQUESTS = {
    SPOT: fleet_request(TEMPLATE, POOLS, 1, {"spot-connect:managed": "true"}),
    ON_DEMAND: fleet_request(OTHER, POOLS, 1, {}, on_demand=True),
}
ORDER = Order(
    "us-east-1", {SPOT: TEMPLATE, ON_DEMAND: OTHER}, REQUESTS, {SPOT: {"t3.small/subnet-1": "0.01"}, ON_DEMAND: {}}
)
JOBS = {
    "run": "20261125-074501-9f3a",
    "name": "sweep",
    "state": "running",
    "created": 1764057901.5,
    "ended": None,
    "shared": True,
    "kept": "worker",
    "directory": "/home/ec2-user/efs/.spot-connect/jobs/20261125-074501-9f3a",
    "head": "i-0123456789abcdef0",
    "members": [{"instance": "i-0123456789abcdef0", "trouble": "no disk"}, {"instance": "i-1"}],
    "workers": ["i-0123456789abcdef0"],
    "why": "",
    "cost": "0.0123",
    "gone": 0,
    "capacity": "",
    "order": ORDER.wire(),
    "clients": 0,
    "jobs": [
        {
            "job": 0,
            "title": "a.sh",
            "state": "succeeded",
            "exit_code": 0,
            "why": "",
            "attempts": 1,
            "failures": 0,
            "interruptions": 0,
            "instance": "i-1",
            "began": 1.0,
            "ended": 2.5,
        }
    ],
}
RUN = {
    "run": "20261125-074501-9f3a",
    "name": "vm1",
    "title": "a.sh",
    "state": "failed",
    "exit_code": 3,
    "script": "a.sh",
    "created": 1764057901.5,
    "ended": 1764057911.5,
    "kept": "filesystem",
    "attempts": [{"number": 1, "instance": "i-1", "started": 1.0, "ended": 2.0, "outcome": "failed", "exit_code": 3}],
    "spec": {"resume": True, "max_replacements": 3, "max_cost": "2.50", "fallback": "on-demand"},
}


@contextmanager
def only_refusals():
    """Nothing but a refusal may come of it, and its words are fit to show."""
    refusals = []
    try:
        yield
    except UnreadableAnswer as error:
        refusals.append(str(error))
    assert all(map(str.isprintable, refusals))


def test_our_own_records_are_read():
    assert jobs_record(JOBS).order == ORDER
    assert jobs_record(JOBS).troubles == {"i-0123456789abcdef0": "no disk"}
    assert run_record(RUN).limits.fallback == "on-demand"
    assert run_record(RUN).attempts[0].exit_code == 3


@given(JSON)
def test_anything_else_is_refused_in_words_that_are_fit_to_show(value):
    for read in (jobs_record, run_record):
        with only_refusals():
            read(value)


@st.composite
def changed(draw, record):
    """The record with something else in the place of one of its parts."""
    whole = deepcopy(record)
    place, key = draw(st.sampled_from([(part, key) for part in _parts(whole) for key in _keys(part)]))
    place[key] = draw(JSON)
    return whole


def _parts(value):
    yield value
    for key in _keys(value):
        if isinstance(value[key], dict | list) and value[key]:
            yield from _parts(value[key])


def _keys(value):
    return list(value) if isinstance(value, dict) else list(range(len(value)))


@given(
    st.one_of(
        *(
            changed(record).map(lambda one, read=read: (read, one))
            for read, record in ((jobs_record, JOBS), (run_record, RUN))
        )
    )
)
def test_a_record_with_one_part_changed_is_read_or_refused(case):
    read, record = case
    with only_refusals():
        read(record)


@given(changed(ORDER.wire()))
def test_an_order_never_asks_for_more_than_a_fleet_from_one_template(wire):
    try:
        order = order_of(Answer(wire))
    except UnreadableAnswer:
        return
    for market, request in order.requests.items():
        [config] = request["LaunchTemplateConfigs"]
        assert request["Type"] == "instant"
        assert config["LaunchTemplateSpecification"] == {
            "LaunchTemplateId": order.templates[market],
            "Version": "$Latest",
        }
        assert request["TargetCapacitySpecification"]["DefaultTargetCapacityType"] == market
        assert order.request(market, 2)["TargetCapacitySpecification"]["TotalTargetCapacity"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"Type": "maintain"},
        {"Context": "x"},
        {"LaunchTemplateConfigs": []},
        {"TargetCapacitySpecification": {"DefaultTargetCapacityType": "on-demand"}},
        {"ReplaceUnhealthyInstances": True},
    ],
)
def test_an_order_for_something_else_is_refused(change):
    wire = ORDER.wire()
    wire["requests"] = {SPOT: {**REQUESTS[SPOT], **change}}
    with pytest.raises(UnreadableAnswer, match="Nothing was launched"):
        order_of(Answer(wire))


@given(st.text(st.characters()) | JSON.map(json.dumps) | st.just("[" * 100_000) | st.just('{"a":' * 100_000))
def test_what_the_program_writes_is_json_or_refused(text):
    with only_refusals():
        assert all(isinstance(one, dict) for one in answers(text))
