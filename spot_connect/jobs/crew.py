"""The machines of a run, and the lines to them: whichever answers will do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from spot_connect.core.errors import (
    InstanceNotFound,
    RunInterrupted,
    ScriptFailed,
    SpotConnectError,
    SshLost,
    SshUnreachable,
)
from spot_connect.core.reporting import Reporter
from spot_connect.jobs.yard import Line, Yard
from spot_connect.runs.agent import UNKNOWN, Agent

T = TypeVar("T")
_LOOK_SECONDS = 5.0
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
        self._yard = yard

    def ask(self, verb: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The answers of whichever machine answers.

        Raises:
            RunInterrupted: none lives.
        """
        return self.using(lambda line: agent(line).ask(verb, asked))

    def using(self, action: Callable[[Line], T]) -> T:
        """Do it with a machine that answers, those that answered before first.

        Raises:
            RunInterrupted: none lives any more.
            InstanceNotFound: none lives.
            ScriptFailed: none of them knows what is asked for.
        """
        known = list(self._lines)
        for line in known:
            try:
                return action(line)
            except _ANOTHER_MAY as error:
                _raise_unless_local(error)
                self._lines.remove(line)
        self._lines = list(self._yard.living())
        trouble: SpotConnectError | None = None
        for line in self._lines:
            try:
                return action(line)
            except _ANOTHER_MAY as error:
                _raise_unless_local(error)
                trouble = error
        if known and not self._lines:
            raise RunInterrupted(
                f"no instance of {self.name} lives any more", advice="What a file system holds is kept."
            )
        raise trouble or InstanceNotFound(f"no instance of {self.name} lives")

    def grow(self, count: int) -> Sequence[Line]:
        """Launch machines until there are ``count``; those that were launched."""
        living = self._yard.living()
        fresh = self._yard.more(living, count - len(living)) if count > len(living) else ()
        self._lines = [*living, *fresh]
        return fresh

    @contextmanager
    def kept_full(self, welcome: Callable[[Line], object]) -> Iterator[None]:
        """While this is open, each machine that AWS takes away is replaced, and its successor welcomed."""
        over = threading.Event()
        keeper = threading.Thread(target=self._keep_full, args=(welcome, over), daemon=True, name="crew")
        keeper.start()
        try:
            yield
        finally:
            over.set()
            # A replacement that is under way is not left behind.
            keeper.join()

    def _keep_full(self, welcome: Callable[[Line], object], over: threading.Event) -> None:
        watched = self._yard.living()
        warned: set[str] = set()
        while not over.wait(_LOOK_SECONDS):
            try:
                for line in self._yard.doomed(watched):
                    successor = self._yard.successor(line)
                    welcome(successor)
                    watched[watched.index(line)] = successor
                    self._lines.append(successor)
            except SpotConnectError as error:
                # It stays on the list, and is tried again at the next look.
                if str(error) not in warned:
                    self.reporter.warn(str(error))
                warned.add(str(error))


def _raise_unless_local(error: SpotConnectError) -> None:
    """Pass over a machine that knows nothing: whoever launched it did not live to mount the file system there."""
    if isinstance(error, ScriptFailed) and error.exit_status != UNKNOWN:
        raise error


def agent(line: Line) -> Agent:
    """Our program on the machine."""
    return Agent(line.connection, line.id)
