import pytest

from spot_connect.core.errors import DeadlinePassed, SpotConnectError
from spot_connect.core.waiting import Clock, Seen, wait_for


class Hands:
    """A clock whose hands move only when somebody sleeps."""

    def __init__(self):
        self.time = 0.0
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.time += seconds

    @property
    def clock(self):
        return Clock(lambda: self.time, self.sleep)


def test_a_value_that_is_there_costs_no_wait():
    hands = Hands()
    assert wait_for("it", lambda: Seen(0), seconds=5, every=1, clock=hands.clock) == 0
    assert hands.slept == []


def test_the_deadline_is_kept_and_the_last_look_told():
    hands = Hands()
    with pytest.raises(DeadlinePassed, match=r"no address after 5 s: it is pending. Try again"):
        wait_for(
            "address",
            lambda: Seen(None, "it is pending"),
            seconds=5,
            every=2,
            clock=hands.clock,
            advice="Try again",
        )
    assert hands.slept == [2, 2, 1]


def test_a_look_that_raises_ends_the_wait():
    def look():
        raise SpotConnectError("dead")

    with pytest.raises(SpotConnectError, match="dead"):
        wait_for("it", look, seconds=5, every=1, clock=Hands().clock)


def test_it_is_looked_at_once_more_at_the_deadline():
    hands = Hands()
    looks = iter([Seen(None), Seen(None), Seen("late")])
    assert wait_for("it", lambda: next(looks), seconds=3, every=2, clock=hands.clock) == "late"
