"""The machines of a run, and the lines to them: whichever answers will do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from spot_connect.core.answers import Answer, only_one
from spot_connect.core.errors import (
    InstanceNotFound,
    RunInterrupted,
    RunNotFound,
    ScriptFailed,
    SpotConnectError,
    SshLost,
    SshUnreachable,
)
from spot_connect.core.models import Instance
from spot_connect.core.reporting import Reporter
from spot_connect.jobs.yard import Line, Yard
from spot_connect.runs.agent import UNKNOWN, Agent

T = TypeVar("T")
_ELSEWHERE = "What a file system holds is kept: any instance that has it mounted can tell (--on NAME)."
NOBODY = (InstanceNotFound, RunInterrupted, RunNotFound)
"""None of the machines can tell."""
_ANOTHER_MAY = (SshLost, SshUnreachable, ScriptFailed)


class Crew:
    """The machines of one name prefix.

    Args:
        name: the prefix.
        lines: those that are known.
        yard: where others come from.
        reporter: hears of progress.
    """

    def __init__(self, name: str, lines: Sequence[Line], yard: Yard, reporter: Reporter) -> None:
        self.name = name
        self.reporter = reporter
        self._lines = list(lines)
        self.yard = yard

    def known(self) -> list[Instance]:
        """Those that there are lines to, as EC2 told them last."""
        return [line.seen for line in self._lines]

    def ask(self, verb: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The answers of whichever machine answers.

        Raises:
            RunInterrupted: none lives.
        """
        return self.using(lambda line: agent(line).ask(verb, asked))

    def ask_one(self, verb: str, asked: Mapping[str, Any]) -> Answer:
        """The one answer of whichever machine answers.

        Raises:
            UnreadableAnswer: there is none, or there are more; and all that ``ask`` raises.
        """
        return Answer(only_one(self.ask(verb, asked)))

    def using(self, action: Callable[[Line], T]) -> T:
        """Do it with a machine that answers, those that answered before first.

        Raises:
            RunInterrupted: none lives any more.
            InstanceNotFound: none lives.
            RunNotFound: none of them knows what is asked for.
        """
        known = list(self._lines)
        for line in known:
            try:
                return action(line)
            except _ANOTHER_MAY as error:
                _raise_unless_local(error)
                self._lines = [one for one in self._lines if one is not line]
        living = self._lines = list(self.yard.living())
        trouble: SpotConnectError | None = None
        for line in living:
            try:
                return action(line)
            except _ANOTHER_MAY as error:
                _raise_unless_local(error)
                trouble = error
        if known and not living:
            raise RunInterrupted(f"no instance of {self.name} lives any more", advice=_ELSEWHERE)
        if isinstance(trouble, ScriptFailed):
            raise RunNotFound(f"no instance of {self.name} knows of it") from trouble
        raise trouble or InstanceNotFound(f"no instance of {self.name} lives", advice=_ELSEWHERE)

    def line_to(self, instance: str) -> Line:
        """The line to that machine, or, where there is none, to whichever is known.

        Raises:
            RunInterrupted: none lives.
        """
        return self.using(lambda known: next((line for line in self._lines if line.id == instance), known))


def _raise_unless_local(error: SpotConnectError) -> None:
    """Pass over a machine that knows nothing: whoever launched it did not live to mount the file system there."""
    if isinstance(error, ScriptFailed) and error.exit_status != UNKNOWN:
        raise error


def agent(line: Line) -> Agent:
    """Our program on the machine."""
    return Agent(line.connection, line.id)
