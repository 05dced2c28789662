"""Waiting for a server that is still booting."""

from __future__ import annotations

import importlib
import itertools
import threading
from collections.abc import Callable

from spot_connect.core.errors import DeadlinePassed, SpotConnectError, SshLost, SshRefused, SshUnreachable
from spot_connect.core.models import Address
from spot_connect.core.waiting import SYSTEM_CLOCK, Clock, Seen, wait_for
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.trouble import unreachable

_FIRST_PAUSES = (1.0, 2.0, 4.0)
_PAUSE = 6.0


def warm_up() -> None:
    """Begin to load what a connection needs, in the background, while the server is still booting."""
    threading.Thread(target=importlib.import_module, args=("spot_connect.ssh._transport",), daemon=True).start()


def wait_until_ready(
    address: Address,
    *,
    seconds: float,
    clock: Clock = SYSTEM_CLOCK,
    alive: Callable[[], None] | None = None,
    for_login: Connection | None = None,
) -> None:
    """Return as soon as an SSH server greets at ``address``, within a quarter of a second of its start.

    Args:
        address: where the server will listen.
        seconds: the longest to wait.
        clock: time, for tests.
        alive: called every few seconds; it raises to end the wait when the instance has died.
        for_login: it logs in over the connection that was greeted. Without it that is closed, which the server may
            hold against us: OpenSSH counts connections that nobody logs in by.

    Raises:
        SshUnreachable: no greeting within ``seconds``; it tells what was seen last.

    Example:
        >>> wait_until_ready(Address("203.0.113.7"), seconds=120)  # doctest: +SKIP
    """
    from spot_connect.ssh._probe import Probe

    with Probe(address, clock, alive) as probe:
        try:
            wait_for("SSH server", probe.look, seconds=seconds, every=0.05, clock=clock)
        except DeadlinePassed as error:
            raise unreachable(address, f"{error.said} (waited {seconds:g} s)") from error
        greeted = probe.taken() if for_login else None
        if for_login and greeted:
            for_login.go_on_with(greeted)


def wait_for_login(connection: Connection, *, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
    """Log in, forgiving refusals for at most ``seconds``.

    On its first boot an instance's SSH server is up some seconds before the user's key is installed. OpenSSH shuts an
    address out once its refusals are worth 15 seconds, 5 each (PerSourcePenalties, sshd_config(5)), so the tries come
    ever later.

    Raises:
        SshRefused: the key was still refused at the end; and all else that ``Connection.open`` raises.

    Example:
        >>> wait_for_login(connection, seconds=60)  # doctest: +SKIP
    """
    last: SpotConnectError | None = None

    def look() -> Seen[bool]:
        nonlocal last
        try:
            connection.open()
        except (SshRefused, SshLost, SshUnreachable) as error:
            last = error
            return Seen(None, str(error))
        return Seen(value=True)

    pauses = itertools.chain(_FIRST_PAUSES, itertools.repeat(_PAUSE))
    patient = Clock(clock.now, lambda left: clock.sleep(min(left, next(pauses))))
    try:
        wait_for("login", look, seconds=seconds, every=_PAUSE, clock=patient)
    except DeadlinePassed as error:
        raise last or error from None
