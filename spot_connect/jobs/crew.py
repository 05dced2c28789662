"""The machines of a run, and the lines to them: whichever answers will do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from spot_connect.core.errors import RunInterrupted, SpotConnectError, SshLost, SshUnreachable
from spot_connect.core.reporting import Reporter
from spot_connect.runs.agent import Agent
from spot_connect.ssh.connection import Connection

T = TypeVar("T")


class Line(Protocol):
    """A machine, and the line to it."""

    @property
    def id(self) -> str:
        """Its instance id."""

    @property
    def connection(self) -> Connection:
        """The line."""


class Crew:
    """The machines of one name prefix.

    Args:
        name: the prefix.
        lines: those that are known.
        search: finds those that live now.
        reporter: hears of progress.
    """

    def __init__(self, name: str, lines: Sequence[Line], search: Callable[[], Sequence[Line]], reporter: Reporter):
        self.name = name
        self.reporter = reporter
        self._lines = list(lines)
        self._search = search

    def ask(self, verb: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The answers of whichever machine answers.

        Raises:
            RunInterrupted: none lives.
        """
        return self.using(lambda line: agent(line).ask(verb, asked))

    def using(self, action: Callable[[Line], T]) -> T:
        """Do it with a machine that answers, those that answered before first.

        Raises:
            RunInterrupted: none lives.
        """
        for line in list(self._lines):
            try:
                return action(line)
            except (SshLost, SshUnreachable):
                self._lines.remove(line)
        self._lines = list(self._search())
        trouble: SpotConnectError | None = None
        for line in self._lines:
            try:
                return action(line)
            except (SshLost, SshUnreachable) as error:
                trouble = error
        raise trouble or RunInterrupted(f"{self.name} has no machine that answers", "all of them have ended")


def agent(line: Line) -> Agent:
    """Our program on the machine."""
    return Agent(line.connection, line.id)
