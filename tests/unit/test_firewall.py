import pytest

from spot_connect.core.errors import UsageError
from spot_connect.core.firewall import Rule, parse_rule, parse_rules, ssh_from


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
    assert not rule.is_open_to_the_world


def test_the_world_is_recognised():
    assert parse_rule("tcp,22,22,0.0.0.0/0").is_open_to_the_world
