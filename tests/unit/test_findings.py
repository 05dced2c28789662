"""What the doctor says, and the figures it judges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.clocks import seconds_ahead
from spot_connect.core.errors import NotAuthorized
from spot_connect.core.findings import Finding, State, of_error, see_doctor, without_doctor, worst
from spot_connect.core.regions import home_of, must_be_enabled
from spot_connect.core.vcpu_quotas import quotas_of
from spot_connect.store import tables

MOMENTS = st.floats(min_value=1e9, max_value=2e9)


@given(st.text(), st.text())
def test_whatever_others_say_is_one_line_that_is_fit_to_show(says, mend):
    found = Finding("x", State.OK, says, mend)
    assert found.says.isprintable()
    assert found.mend.isprintable()


def test_passwords_in_links_are_masked():
    assert "secret" not in Finding("x", State.OK, "https://me:secret@proxy.example: refused").says


def test_the_thousand_letters_for_an_administrator_are_left_out():
    said = "You are not authorized. Encoded authorization failure message: QWxhZGRpbjpvcGVuIHNlc2FtZQ"
    found = of_error("x", State.FAULT, NotAuthorized("cannot ask", said, see_doctor("Ask.")))
    assert (found.says, found.mend) == ("cannot ask: You are not authorized.", "Ask.")


@given(st.text(), st.booleans())
def test_advice_without_the_doctor_is_the_advice(text, local):
    assert without_doctor(see_doctor(text.strip(), local=local)) == text.strip()


@given(st.lists(st.sampled_from(State)))
def test_a_fault_is_the_worst_and_nothing_is_well(states):
    assert (worst(states) is State.FAULT) == (State.FAULT in states)
    assert (worst(states) is State.OK) == (set(states) <= {State.OK})


@given(MOMENTS, st.floats(0, 60), st.floats(-86400, 86400), st.floats(0, 1))
def test_a_clock_is_off_by_no_more_than_it_is_and_the_time_of_the_answer(real, took, off, share):
    """AWS's clock is right; ours is ``off``, and the answer was written while we waited."""
    before, after = real + off, real + off + took
    told = float(int(real + took * share))
    found = seconds_ahead(before, after, told)
    assert abs(found - off) <= took + 1.001 or abs(found) < abs(off)
    assert found * off >= 0 or abs(found) <= 1.001


@given(MOMENTS, st.floats(0, 60), st.floats(0, 1))
def test_a_clock_that_is_right_is_never_told_to_be_off(real, took, share):
    assert seconds_ahead(real, real + took, float(int(real + took * share))) == 0


def test_every_type_on_the_spot_market_has_a_quota():
    unknown = {row.instance_type.partition(".")[0] for row in tables.types() if not quotas_of(row.instance_type).spot}
    # On demand, on hosts, or in blocks of capacity alone; and of P6 nobody has written which quota it is.
    assert {name for name in unknown if not name.startswith(("mac", "u", "hpc", "p6"))} == set()


@given(st.text())
def test_any_name_of_a_type_has_quotas_or_none(name):
    quotas_of(name)


@pytest.mark.parametrize("region", tables.regions())
def test_a_region_is_asked_about_where_every_account_is_known(region):
    assert not must_be_enabled(home_of(region))
    assert (home_of(region) == region) == (not must_be_enabled(region))


@pytest.mark.parametrize(
    ("region", "home"),
    [("cn-northwest-1", "cn-north-1"), ("us-gov-east-1", "us-gov-west-1"), ("xx-new-9", "us-east-1")],
)
def test_other_partitions_are_asked_about_in_themselves(region, home):
    assert home_of(region) == home
