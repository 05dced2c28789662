"""Checks side by side: none stops another, whatever becomes of it."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from spot_connect.core import terminal
from spot_connect.core.errors import AwsUnreachable, NoCredentials, NotAuthorized
from spot_connect.core.examining import Check, examine
from spot_connect.core.findings import Finding, State
from spot_connect.core.reporting import Silent


def well(name):
    return lambda: Finding(name, State.OK, "fine")


def raising(error):
    def look():
        raise error

    return look


@pytest.fixture
def never():
    """A check that hangs until the test has ended."""
    ended = threading.Event()
    yield lambda: ended.wait() and None
    ended.set()


class Steps(Silent):
    def __init__(self):
        self.texts = []
        self.open = 0

    @contextmanager
    def step(self, text):
        self.texts.append(text)
        self.open += 1
        yield
        self.open -= 1


def states(checks):
    return {name: str(finding.state) for name, finding in examine(checks, Silent()).items()}


def test_findings_come_in_the_order_of_the_checks_whoever_is_first():
    first = threading.Event()
    checks = [
        Check("slow", lambda: (first.wait(30), Finding("slow", State.OK, "fine"))[1]),
        Check("quick", lambda: (first.set(), Finding("quick", State.OK, "fine"))[1]),
    ]
    assert list(examine(checks, Silent())) == ["slow", "quick"]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (AwsUnreachable("cannot ask"), State.FAULT),
        (NotAuthorized("cannot ask", "no"), State.UNKNOWN),
        (KeyError("x"), State.UNKNOWN),
    ],
)
def test_what_a_check_raises_is_a_finding_and_stops_no_other(error, state):
    found = examine([Check("bad", raising(error)), Check("good", well("good"))], Silent())
    assert (found["bad"].state, found["good"].state) == (state, State.OK)
    assert ("bug in spot-connect: KeyError" in found["bad"].says) == isinstance(error, KeyError)


def test_one_that_hangs_is_given_up_and_the_others_are_told(never):
    found = examine([Check("hangs", never, seconds=0.2), Check("good", well("good"))], Silent())
    assert (found["hangs"].state, found["good"].state) == (State.UNKNOWN, State.OK)
    assert found["hangs"].says == "no answer in 0.2 s"
    assert found["hangs"].mend


def test_without_what_is_vital_nothing_works_so_that_no_answer_is_a_fault(never):
    checks = [Check("login", never, seconds=0.1, vital=True), Check("next", raising(AssertionError), after="login")]
    found = examine(checks, Silent())
    assert (found["login"].state, found["next"].state) == (State.FAULT, State.UNKNOWN)
    assert "for want of login" in found["next"].says


def test_what_comes_after_a_failure_is_not_begun_however_long_the_chain():
    checks = [Check("c", raising(AssertionError), after="b"), Check("b", raising(AssertionError), after="a")]
    checks.append(Check("a", raising(NoCredentials("cannot log in")), vital=True))
    assert states(checks) == {"c": "unknown", "b": "unknown", "a": "fault"}


def test_what_comes_after_a_warning_is_begun():
    checks = [Check("next", well("next"), after="first"), Check("first", lambda: Finding("first", State.WARNING, "x"))]
    assert states(checks) == {"next": "ok", "first": "warning"}


def test_what_takes_longer_than_a_second_is_named_until_it_has_ended(never):
    steps = Steps()
    examine([Check("hangs", never, seconds=1.5), Check("good", well("good"))], steps)
    assert steps.texts == ["looking at hangs"]
    assert steps.open == 0


def test_what_is_quick_is_not_named():
    steps = Steps()
    examine([Check("good", well("good"))], steps)
    assert steps.texts == []


def test_a_question_is_put_by_the_main_thread_and_nobodys_time_runs_meanwhile():
    asked_in = []

    def question():
        asked_in.append(threading.current_thread())
        threading.Event().wait(0.6)
        return "123456"

    def look():
        return Finding("login", State.OK, terminal.put(question))

    found = examine([Check("login", look, seconds=0.4)], Silent())
    assert found["login"].says == "123456"
    assert asked_in == [threading.current_thread()]


def test_a_question_that_cannot_be_put_fails_for_who_has_asked():
    def question():
        raise NoCredentials("there is no terminal")

    found = examine([Check("login", lambda: Finding("login", State.OK, terminal.put(question)), vital=True)], Silent())
    assert (found["login"].state, found["login"].says) == (State.FAULT, "there is no terminal")


def test_ctrl_c_at_a_question_ends_everything(never):
    def question():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine([Check("login", lambda: terminal.put(question)), Check("hangs", never)], Silent())
    assert terminal.put(lambda: "again in this thread") == "again in this thread"
