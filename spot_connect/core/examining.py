"""Many things looked at side by side, each with its own time; one that fails or hangs stops no other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass

from spot_connect.core import terminal
from spot_connect.core.errors import AwsUnreachable, SpotConnectError
from spot_connect.core.few import few
from spot_connect.core.findings import Finding, State, of_error
from spot_connect.core.reporting import Reporter
from spot_connect.core.waiting import SYSTEM_CLOCK, Clock

_QUIET_SECONDS = 1.0
_SECONDS_OF_WORDS = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Args:
        name: what it is called.
        look: looks at it; what it raises is a finding, too.
        seconds: how long it may take.
        after: the name of another check: unless that goes well, this one is not begun.
        vital: nothing works without it, so that no answer is a fault.
        about: what is said of it while it takes long; its name when left out.
    """

    name: str
    look: Callable[[], Finding]
    seconds: float = 25.0
    after: str = ""
    vital: bool = False
    about: str = ""


def examine(checks: Iterable[Check], reporter: Reporter, clock: Clock = SYSTEM_CLOCK) -> dict[str, Finding]:
    """What is found of each of the checks, by its name, in their order.

    They run in threads that end with the process, so that one that hangs keeps nobody from leaving. What takes longer
    than a second is told to the reporter. What one of them has to ask at the terminal is asked by this thread, so that
    Ctrl-C is heard.
    """
    return _Examination(list(checks), reporter, clock).run()


class _Examination:
    def __init__(self, checks: list[Check], reporter: Reporter, clock: Clock) -> None:
        self._checks = {check.name: check for check in checks}
        self._reporter = reporter
        self._clock = clock
        self._told: queue.Queue[tuple[str, Finding] | tuple[terminal.Question, Future[str]]] = queue.Queue()
        self._found: dict[str, Finding] = {}
        self._ends: dict[str, float] = {}
        self._missing: dict[str, str] = {}
        self._step = ExitStack()
        self._shown = ""
        self._next_words = clock.now() + _QUIET_SECONDS

    def run(self) -> dict[str, Finding]:
        with terminal.asked_by(self._hand_over), self._step:
            while True:
                self._begin()
                if len(self._found) == len(self._checks):
                    return {name: self._found[name] for name in self._checks}
                self._hear()
                self._give_up()
                self._show()

    def _begin(self) -> None:
        for name, check in self._checks.items():
            if name in self._ends or name in self._found or (check.after and check.after not in self._found):
                continue
            if check.after and self._found[check.after].state in (State.FAULT, State.UNKNOWN):
                missing = self._missing[name] = self._missing.get(check.after, check.after)
                said = f"could not be looked at, for want of {missing}"
                self._found[name] = Finding(name, State.UNKNOWN, said, f"Mend {missing} first.")
                # Those that come after this one are to hear of it.
                self._begin()
                return
            self._ends[name] = self._clock.now() + check.seconds
            threading.Thread(target=self._look, args=(check,), daemon=True, name=f"doctor: {name}").start()

    def _look(self, check: Check) -> None:
        try:
            finding = check.look()
        except SpotConnectError as error:
            is_fault = check.vital or isinstance(error, AwsUnreachable)
            finding = of_error(check.name, State.FAULT if is_fault else State.UNKNOWN, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours is not to hide what the others find
            said = f"could not be looked at, by a bug in spot-connect: {type(error).__name__}: {error}"
            finding = Finding(check.name, State.UNKNOWN, said, "Please report it.")
        self._told.put((check.name, finding))

    def _hear(self) -> None:
        now = self._clock.now()
        moments = [end for name, end in self._ends.items() if self._is_under_way(name)]
        try:
            first, second = self._told.get(timeout=max(min(*moments, self._next_words) - now, 0.0))
        except queue.Empty:
            return
        if isinstance(second, Finding):
            self._found.setdefault(str(first), second)
        elif callable(first):
            self._ask(first, second)

    def _ask(self, question: terminal.Question, answer: Future[str]) -> None:
        begun = self._clock.now()
        try:
            with terminal.alone():
                answer.set_result(question())
        except Exception as error:  # noqa: BLE001 - it is raised to whoever has asked
            answer.set_exception(error)
        # Nobody's time runs while a person thinks.
        for name in self._ends:
            self._ends[name] += self._clock.now() - begun

    def _hand_over(self, question: terminal.Question) -> str:
        answer: Future[str] = Future()
        self._told.put((question, answer))
        return answer.result()

    def _give_up(self) -> None:
        for name, end in self._ends.items():
            if self._is_under_way(name) and self._clock.now() >= end:
                check = self._checks[name]
                said = f"no answer in {check.seconds:g} s"
                mend = "Check the network, and whether a proxy or firewall is in the way."
                self._found[name] = Finding(name, State.FAULT if check.vital else State.UNKNOWN, said, mend)

    def _show(self) -> None:
        """Say from time to time what is still under way."""
        if self._clock.now() < self._next_words:
            return
        self._next_words = self._clock.now() + _SECONDS_OF_WORDS
        under_way = {check.about or name: None for name, check in self._checks.items() if self._is_under_way(name)}
        words = few(list(under_way))
        if words != self._shown:
            self._shown = words
            self._step.close()
            self._step.enter_context(self._reporter.step(f"looking at {words}"))

    def _is_under_way(self, name: str) -> bool:
        return name in self._ends and name not in self._found
