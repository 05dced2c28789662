"""Who can reach a machine: one rule for the address of each computer, closed when it has another."""

from __future__ import annotations

from urllib.parse import parse_qs

from spot_connect.aws import groups
from spot_connect.core.firewall import parse_rule, parse_rules
from spot_connect.launching import doors, ending
from spot_connect.launching.launch import launch
from spot_connect.launching.realm import Realm


def rules_of(realm, instance):
    [group_id] = instance.groups
    return {str(entry.rule) for entry in groups.rules(realm.cloud(instance.region), group_id)}


def moved_to(address, monkeypatch, home=None):
    """This computer behind another address; or another computer, which has a state directory of its own."""
    if home:
        monkeypatch.setenv("SPOT_CONNECT_HOME", str(home))
    moved = Realm(local=True)
    moved.__dict__["own_address"] = address
    return moved


def test_an_ipv6_address_that_we_had_is_closed_as_well(realm, reached, heard, monkeypatch):
    doors.refresh(moved_to("2001:db8::7", monkeypatch), reached.instance, (), heard)
    assert rules_of(realm, reached.instance) == {"tcp,22,22,2001:db8::7/128"}
    doors.refresh(moved_to("2001:db8::8", monkeypatch), reached.instance, (), heard)
    assert rules_of(realm, reached.instance) == {"tcp,22,22,2001:db8::8/128"}
    doors.refresh(realm, reached.instance, (), heard)
    assert rules_of(realm, reached.instance) == {"tcp,22,22,127.0.0.1/32"}


def test_an_old_address_is_closed_though_the_computer_has_another_name_by_now(realm, reached, heard, monkeypatch):
    monkeypatch.setattr("platform.node", lambda: "laptop.fritz.box")
    doors.refresh(moved_to("203.0.113.7", monkeypatch), reached.instance, (), heard)
    assert rules_of(realm, reached.instance) == {"tcp,22,22,203.0.113.7/32"}


def test_rules_that_were_asked_for_stay_when_nobody_asks_for_them_again(realm, reached, heard):
    rule = parse_rule("tcp,22,22,203.0.113.0/24")
    doors.refresh(realm, reached.instance, (rule,), heard)
    assert rules_of(realm, reached.instance) == {str(rule)}
    doors.refresh(realm, reached.instance, (), heard)
    assert rules_of(realm, reached.instance) == {str(rule), "tcp,22,22,127.0.0.1/32"}


def test_the_door_of_another_computer_of_the_same_user_stays_open(realm, reached, heard, monkeypatch, tmp_path):
    cloud, here = realm.cloud("us-east-1"), {"tcp,22,22,127.0.0.1/32"}
    other = moved_to("203.0.113.7", monkeypatch, tmp_path / "another computer")
    other.cloud = lambda _: cloud
    doors.refresh(other, reached.instance, (), heard)
    assert rules_of(realm, reached.instance) == here | {"tcp,22,22,203.0.113.7/32"}
    other.__dict__["own_address"] = "203.0.113.8"
    doors.refresh(other, reached.instance, (), heard)
    assert rules_of(realm, reached.instance) == here | {"tcp,22,22,203.0.113.8/32"}


def test_half_of_the_internet_is_warned_of_as_all_of_it_is(realm, reached, heard):
    doors.refresh(realm, reached.instance, parse_rules(["tcp,22,22,0.0.0.0/1"]), heard)
    assert heard.warnings == ["tcp port 22 is open to 50% of all IPv4 addresses: tcp,22,22,0.0.0.0/1"]


def test_programs_in_containers_get_no_token_of_the_metadata_service(realm, request_for, keys, heard, wire):
    made = launch(realm, request_for(), keys, heard)
    [asked] = wire.bodies("RunInstances")
    assert parse_qs(asked)["MetadataOptions.HttpPutResponseHopLimit"] == ["1"]
    assert parse_qs(asked)["MetadataOptions.HttpTokens"] == ["required"]
    ending.terminate(realm, [made])
