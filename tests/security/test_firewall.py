import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.errors import UsageError
from spot_connect.core.firewall import Rule, parse_rule, parse_rules, ssh_from, wide_openings


def test_a_rule_is_read_as_it_is_written():
    assert parse_rule("TCP, 22,23 ,203.0.113.0/24") == Rule("tcp", 22, 23, "203.0.113.0/24")


def test_the_tuple_of_old_profiles_is_one_rule():
    assert parse_rules(("tcp", 22, 22, "203.0.113.7/32")) == (Rule("tcp", 22, 22, "203.0.113.7/32"),)


@pytest.mark.parametrize("nothing", [None, "", (), []])
def test_nothing_is_no_rule(nothing):
    assert parse_rules(nothing) == ()


@pytest.mark.parametrize(
    "text",
    [
        "tcp,22,22",
        "tcp,22,22,1.2.3.4/32,x",
        "ssh,22,22,1.2.3.4/32",
        "tcp,a,22,1.2.3.4/32",
        "tcp,22,65536,1.2.3.4/32",
        "tcp,23,22,1.2.3.4/32",
        "tcp,-1,22,1.2.3.4/32",
        "tcp,22,22,1.2.3.4.5/32",
        "tcp,22,22,1.2.3.4/33",
        "tcp,22,22,1.2.3.4/24",
        "tcp,22,22,me",
    ],
)
def test_a_malformed_rule_is_refused_with_the_right_form(text):
    with pytest.raises(UsageError, match=r"tcp,22,22,203\.0\.113\.7/32"):
        parse_rule(text)


def test_what_is_not_even_text_is_refused():
    with pytest.raises(UsageError):
        parse_rules(22)


@pytest.mark.parametrize(
    ("text", "opens"),
    [("tcp,22,22,1.2.3.4/32", True), ("tcp,1,100,0.0.0.0/0", True), ("udp,22,22,1.2.3.4/32", False)],
)
def test_a_rule_knows_whether_it_opens_ssh(text, opens):
    assert parse_rule(text).opens_ssh is opens


def test_own_address_means_that_one_alone():
    rule = ssh_from("203.0.113.7")
    assert str(rule) == "tcp,22,22,203.0.113.7/32"
    assert not wide_openings([rule])


def test_the_world_is_recognised():
    assert [one.share for one in wide_openings(parse_rules(["tcp,22,22,0.0.0.0/0", "udp,5,5,::/0"]))] == [1, 1]


@pytest.mark.parametrize(
    ("cidrs", "warned"),
    [
        (["10.0.0.0/8"], False),
        (["2001:db8::/32"], False),
        (["0.0.0.0/1"], True),
        (["128.0.0.0/7"], True),
        (["2001:da0::/31"], True),
        (["10.0.0.0/8", "10.1.0.0/16"], False),
        (["10.0.0.0/8", "11.0.0.0/16"], True),
        ([f"{number}.0.0.0/9" for number in range(256)], True),
    ],
)
def test_what_is_wider_than_any_one_network_is_recognised_in_parts_too(cidrs, warned):
    assert bool(wide_openings(parse_rules([f"tcp,22,22,{cidr}" for cidr in cidrs]))) is warned


@given(st.integers(0, 12), st.integers(1, 65535), st.data())
def test_however_the_world_is_split_the_port_that_all_parts_open_is_told(depth, port, data):
    parts = [str(one) for one in ipaddress.ip_network("0.0.0.0/0").subnets(prefixlen_diff=depth)]
    first = st.integers(0, port)
    rules = [Rule("tcp", data.draw(first), data.draw(st.integers(port, 65535)), part) for part in parts[:64]]
    rules += [Rule("tcp", port, port, part) for part in parts[64:]]
    assert any(one.share == 1 and one.port <= port for one in wide_openings(rules))
