"""The rule for what was made moments ago: a call that names it is patient, and any other fails at once."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.aws import consistency
from spot_connect.aws.consistency import GROUP, INSTANCE, PROFILE, Recent, until
from spot_connect.aws.service_models import EC2_OPERATIONS
from spot_connect.core.waiting import Clock

HERE, THERE = "us-east-1", "eu-west-1"
UNKNOWN = {
    "sg-1": "InvalidGroup.NotFound",
    "key": "InvalidKeyPair.NotFound",
    "i-1": "InvalidInstanceID.NotFound",
    "sir-1": "InvalidSpotInstanceRequestID.NotFound",
    "lt-1": "InvalidLaunchTemplateId.NotFound",
    "profile": "InvalidParameterValue",
    "fs-1": "FileSystemNotFound",
    "fsmt-1": "MountTargetNotFound",
    "fleet-1": "InvalidFleetId.NotFound",
    "role": "NoSuchEntity",
}
"""What AWS says of each where it does not know it."""
MADE_BY = {
    "sg-1": ("CreateSecurityGroup", {"GroupId": "sg-1"}),
    "key": ("ImportKeyPair", {"KeyName": "key"}),
    "i-1": ("RunInstances", {"Instances": [{"InstanceId": "i-1", "SpotInstanceRequestId": "sir-1"}]}),
    "sir-1": ("RunInstances", {"Instances": [{"InstanceId": "i-1", "SpotInstanceRequestId": "sir-1"}]}),
    "lt-1": ("CreateLaunchTemplate", {"LaunchTemplate": {"LaunchTemplateId": "lt-1"}}),
    "profile": ("CreateInstanceProfile", {"InstanceProfile": {"InstanceProfileName": "profile"}}),
    "fs-1": ("CreateFileSystem", {"FileSystemId": "fs-1"}),
    "fsmt-1": ("CreateMountTarget", {"MountTargetId": "fsmt-1"}),
    "fleet-1": ("CreateFleet", {"FleetId": "fleet-1", "Instances": [{"InstanceIds": ["i-2"]}]}),
    "role": ("CreateRole", {"Role": {"RoleName": "role"}}),
}
things = st.sampled_from(sorted(UNKNOWN))


_TORN = b'[{"where": "", "region": "us-east-1", "kind": "group", "names": [1], "tags": {"a": 2}, "at": 1000000.0}]'


class Aws:
    """Refuses what was made less than ``lag`` seconds ago, and what was never made; counts the calls."""

    def __init__(self, lag=0.0):
        self.lag = lag
        self.time = 1_000_000.0
        self.calls = 0
        self.known = {}
        self.cache = {}

    def clock(self):
        return Clock(now=lambda: self.time, sleep=lambda seconds: setattr(self, "time", self.time + seconds))

    def recent(self, where=""):
        return Recent(where, self, self.clock())

    def get(self, name):
        return self.cache.get(name)

    def put(self, name, data):
        self.cache[name] = data

    def make(self, recent, thing, region=HERE):
        operation, answer = MADE_BY[thing]
        self.known[thing] = self.time
        recent.call(region, operation, {}, lambda: answer)

    def use(self, recent, thing, region=HERE, code=""):
        """The answer to a call that names the thing."""
        self.calls = 0

        def ask():
            self.calls += 1
            if self.time < self.known.get(thing, float("inf")) + self.lag:
                error = {"Error": {"Code": code or UNKNOWN[thing], "Message": thing}}
                raise ClientError(error, "SomeCall")
            return "done"

        return recent.call(region, "SomeCall", {"Names": ["other", {"Deep": thing}]}, ask)


def test_every_call_of_ours_that_makes_something_is_in_the_table():
    making = {name for name in EC2_OPERATIONS if name.startswith(("Create", "Run", "Import", "Request", "Allocate"))}
    # Tags are noted with the instances that they are given to.
    assert making - {"CreateTags"} <= consistency._MAKES.keys()


@given(things, st.floats(0, 100))
def test_what_was_made_moments_ago_is_waited_for_until_aws_has_heard_of_it(thing, lag):
    aws = Aws(lag)
    recent = aws.recent()
    aws.make(recent, thing)
    made_at = aws.time
    assert aws.use(recent, thing) == "done"
    assert aws.time - made_at <= lag + 2


@given(things, things)
def test_what_nobody_has_made_fails_at_the_first_call(thing, other):
    aws = Aws()
    recent = aws.recent()
    aws.make(recent, other)
    if thing != other and {thing, other} != {"i-1", "sir-1"}:
        with pytest.raises(ClientError):
            aws.use(recent, thing)
        assert aws.calls == 1


@given(things)
def test_it_is_not_waited_for_for_ever(thing):
    aws = Aws(lag=1e9)
    recent = aws.recent()
    aws.make(recent, thing)
    began = aws.time
    with pytest.raises(ClientError):
        aws.use(recent, thing)
    assert 100 < aws.time - began < 130
    aws.time += 1000
    with pytest.raises(ClientError):
        aws.use(recent, thing)
    assert aws.calls == 1


@given(things, st.sampled_from(["UnauthorizedOperation", "InvalidAMIID.NotFound", "DependencyViolation", ""]))
def test_other_refusals_are_passed_on_at_once(thing, code):
    aws = Aws(lag=1e9)
    recent = aws.recent()
    aws.make(recent, thing)
    with pytest.raises(ClientError):
        aws.use(recent, thing, code=code or "Other")
    assert aws.calls == 1


@given(things)
def test_the_next_command_knows_it_too_but_not_at_another_endpoint(thing):
    aws = Aws(lag=5)
    aws.make(aws.recent(), thing)
    with pytest.raises(ClientError):
        aws.use(aws.recent("http://127.0.0.1:5000"), thing)
    assert aws.calls == 1
    assert aws.use(aws.recent(), thing) == "done"


def test_a_name_of_one_region_means_nothing_in_another_but_for_those_of_iam():
    aws = Aws(lag=5)
    recent = aws.recent()
    aws.make(recent, "key")
    with pytest.raises(ClientError):
        aws.use(recent, "key", region=THERE)
    assert aws.calls == 1
    aws.make(recent, "profile")
    assert aws.use(recent, "profile", region=THERE) == "done"


@given(st.binary(max_size=200) | st.sampled_from([b"[1]", b'[{"names": 1}]', _TORN, b"{}", b"null"]))
def test_whatever_is_on_disk_in_its_place_is_no_error(data):
    aws = Aws(lag=5)
    aws.cache["made.json"] = data
    recent = aws.recent()
    with pytest.raises(ClientError):
        aws.use(recent, "sg-1")
    aws.make(recent, "sg-1")
    assert aws.use(aws.recent(), "sg-1") == "done"


@pytest.mark.parametrize(
    ("thing", "operation", "parameters"),
    [
        ("key", "DeleteKeyPair", {"KeyName": "key"}),
        ("lt-1", "DeleteLaunchTemplate", {"LaunchTemplateId": "lt-1"}),
        ("i-1", "TerminateInstances", {"InstanceIds": ["i-1"]}),
    ],
)
def test_what_was_ended_is_not_waited_for_here_or_in_the_next_command(thing, operation, parameters):
    aws = Aws(lag=1e9)
    recent = aws.recent()
    aws.make(recent, thing)
    recent.call(HERE, operation, parameters, dict)
    for one in (recent, aws.recent()):
        with pytest.raises(ClientError):
            aws.use(one, thing)
        assert aws.calls == 1


def test_what_aws_says_is_there_already_may_have_been_made_moments_ago():
    aws = Aws(lag=5)
    recent = aws.recent()

    def refuse():
        raise ClientError({"Error": {"Code": "InvalidKeyPair.Duplicate", "Message": ""}}, "ImportKeyPair")

    with pytest.raises(ClientError):
        recent.call(HERE, "ImportKeyPair", {"KeyName": "key"}, refuse)
    aws.known["key"] = aws.time
    assert aws.use(recent, "key") == "done"


def test_what_a_template_names_is_named_by_who_names_the_template():
    aws = Aws()
    recent = aws.recent()
    recent.made(HERE, GROUP, ["sg-1"])
    data = {"LaunchTemplateData": {"NetworkInterfaces": [{"Groups": ["sg-1"]}]}}
    recent.call(HERE, "CreateLaunchTemplate", data, lambda: MADE_BY["lt-1"][1])
    assert recent.may_be_unheard_of(HERE, "InvalidGroup.NotFound", ["lt-1"])
    assert not recent.may_be_unheard_of(HERE, "InvalidKeyPair.NotFound", ["lt-1"])


def test_a_profile_is_known_by_its_arn_as_well():
    recent = Aws().recent()
    recent.made(HERE, PROFILE, ["web"])
    arn = "arn:aws:iam::123456789012:instance-profile/team/web"
    assert recent.may_be_unheard_of(HERE, "InvalidParameterValue", [arn])


def test_what_somebody_else_made_moments_ago_is_known_from_when_aws_tells_of_it():
    aws = Aws(lag=5)
    recent = aws.recent()
    recent.seen(HERE, INSTANCE, "i-1", aws.time - 1)
    recent.seen(HERE, INSTANCE, "i-2", aws.time - 1000)
    assert recent.may_be_unheard_of(HERE, "InvalidInstanceID.NotFound", ["i-1"])
    assert not recent.may_be_unheard_of(HERE, "InvalidInstanceID.NotFound", ["i-2"])


def test_a_cancel_is_not_waited_for_since_the_instance_goes_on_to_cost():
    aws = Aws(lag=1e9)
    recent = aws.recent()
    aws.make(recent, "sir-1")
    calls = []

    def refuse():
        calls.append(1)
        raise ClientError({"Error": {"Code": UNKNOWN["sir-1"], "Message": ""}}, "CancelSpotInstanceRequests")

    with pytest.raises(ClientError):
        recent.call(HERE, "CancelSpotInstanceRequests", {"SpotInstanceRequestIds": ["sir-1"]}, refuse)
    assert len(calls) == 1


def test_nothing_is_repeated_for_who_has_left():
    aws = Aws(lag=1e9)
    recent = aws.recent()
    aws.make(recent, "sg-1")
    left = []

    def sleep(seconds):
        left.append(seconds)

    recent._clock = Clock(now=lambda: aws.time, sleep=sleep)
    with until(lambda: bool(left)), pytest.raises(ClientError):
        aws.use(recent, "sg-1")
    assert aws.calls == 1


def test_tags_given_moments_ago_are_known_to_the_next_command():
    aws = Aws()
    aws.recent().tag(HERE, ["i-1"], {"a": "1", "b": "2"})
    second = aws.recent()
    second.recall(HERE)
    second.tag(HERE, ["i-1"], {"b": "3"})
    second.recall(HERE)
    assert second.tags(HERE) == {"i-1": {"a": "1", "b": "3"}}
    # An instance that was given a tag is no new one.
    assert second.told(HERE, INSTANCE) == {}
    aws.time += consistency.YOUNG_SECONDS + 1
    assert second.tags(HERE) == {}
