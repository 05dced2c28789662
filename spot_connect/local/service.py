"""Starting, finding and stopping the local cloud.

This is what the console and the library call. The cloud itself is a daemon of its own, reached by HTTP only.
"""

from __future__ import annotations

import importlib.util
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spot_connect.core.errors import DeadlinePassed, LocalCloudError
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.local.places import FileLock, Places, default_home, is_held, opened_log, read_json

DEFAULT_REGION = "us-east-1"
BOOT_SECONDS = "SPOT_CONNECT_LOCAL_BOOT_SECONDS"
_DAEMON = ("-m", "spot_connect.local.daemon")
_NEEDED = ("moto", "flask", "flask_cors", "asyncssh")
_START_SECONDS = 90.0
_STOP_SECONDS = 60.0
_DYING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the local cloud listens, and the keys it knows."""

    url: str
    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UpReport:
    """What ``up`` found or did.

    ``description`` says how the machines are isolated and what that does not protect;
    ``notes`` are sentences the user should read, such as what was restored.
    """

    endpoint: Endpoint
    already_running: bool
    level: str
    description: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What the running daemon says of itself; ``instances`` counts them by state."""

    endpoint: Endpoint
    pid: int
    level: str
    description: str
    started: float
    boot_seconds: float
    instances: Mapping[str, int]
    notes: tuple[str, ...] = ()


def ensure_up(home: Path | None = None, *, on_wait: Callable[[str], None] = lambda _: None) -> Endpoint:
    """The endpoint of the local cloud, which is started when it is not there, as :func:`up` does.

    Raises:
        LocalCloudError: it cannot be started here.
    """
    return _running(_places(home)) or up(home, on_wait=on_wait).endpoint


def up(
    home: Path | None = None,
    *,
    isolation: str | None = None,
    fresh: bool = False,
    boot_seconds: float | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
) -> UpReport:
    """Start the local cloud, or report the one that runs.

    Args:
        home: the state directory; ``$SPOT_CONNECT_HOME`` or ``~/.spot_connect`` without.
        isolation: ``plain`` or ``ns``; the best that works here without.
        fresh: forget every instance and everything else of an earlier cloud.
        boot_seconds: how long an instance takes until SSH answers.
        on_wait: hears one sentence when there is something to wait for.

    Raises:
        LocalCloudError: it cannot be started here, or it runs with another isolation.
    """
    places = _places(home)
    with _ups_lock(places):
        if fresh:
            places.made.unlink(missing_ok=True)
        endpoint = _running(places)
        said = _ask(places, endpoint, "GET", "status") if endpoint else None
        if endpoint is None or said is None:
            on_wait("starting the local cloud")
            return _start(places, _daemon_options(isolation, fresh, boot_seconds))
        return _adjust(endpoint, said, isolation, fresh, boot_seconds)


def down(home: Path | None = None) -> bool:
    """End every machine and the daemon; ``False`` when none ran. Instances are back at the next ``up``.

    Raises:
        LocalCloudError: the daemon does not end.
    """
    places = _places(home)
    with _ups_lock(places):
        endpoint = _running(places)
        if endpoint is None:
            return False
        was_there = _ask(places, endpoint, "POST", "shutdown") is not None
        _wait_until_free(places, _STOP_SECONDS)
    return was_there


def status(home: Path | None = None) -> StatusReport | None:
    """What runs; ``None`` when nothing does."""
    places = _places(home)
    endpoint = _running(places)
    said = _ask(places, endpoint, "GET", "status") if endpoint else None
    if endpoint is None or said is None:
        return None
    return StatusReport(
        endpoint,
        int(said["pid"]),
        said["level"],
        said["description"],
        float(said["started"]),
        float(said["boot_seconds"]),
        said["instances"],
        tuple(said["notes"]),
    )


def reset(home: Path | None = None) -> None:
    """End every machine and forget everything; the daemon goes on when it runs."""
    places = _places(home)
    with _ups_lock(places):
        endpoint = _running(places)
        if endpoint is None:
            places.state.unlink(missing_ok=True)
        else:
            _call(endpoint, "POST", "reset")
        places.made.unlink(missing_ok=True)


def log_text(home: Path | None = None) -> str:
    """What the daemon wrote, this time and the times before; empty when it never ran."""
    try:
        return _places(home).log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def follow_log(home: Path | None = None, every: float = 0.2) -> Iterator[str]:
    """What the daemon writes, piece by piece, until it ends."""
    places = _places(home)
    read = 0
    while True:
        held = is_held(places.lock)
        text = log_text(home)
        yield text[read:]
        read = len(text)
        if not held:
            return
        select.select([], [], [], every)


def environment(endpoint: Endpoint) -> dict[str, str]:
    """The variables that point any AWS tool at the local cloud."""
    return {
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_ACCESS_KEY_ID": endpoint.access_key,
        "AWS_SECRET_ACCESS_KEY": endpoint.secret_key,
        "AWS_DEFAULT_REGION": os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION,
        # With "true" every AWS tool would ignore the endpoint above and call the real AWS.
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
    }


def shell_lines(variables: Mapping[str, str], shell: str = "sh") -> str:
    """Lines that set ``variables`` in ``sh`` (bash, zsh), ``fish``, ``powershell`` or ``cmd``.

    Example:
        >>> shell_lines({"A": "b"})
        'export A=b'
    """
    import shlex

    quoted: dict[str, Callable[[str, str], str]] = {
        "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
        "fish": lambda name, value: f"set -gx {name} {shlex.quote(value)}",
        "powershell": lambda name, value: f"$env:{name} = " + "'" + value.replace("'", "''") + "'",
        "cmd": lambda name, value: f"set {name}={value}",
    }
    if shell not in quoted:
        raise LocalCloudError(f"{shell!r} is not a shell we know", advice=f"Use one of: {' '.join(quoted)}.")
    return "\n".join(quoted[shell](name, value) for name, value in variables.items())


def call(home: Path | None, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer of the control interface of the running daemon.

    Raises:
        LocalCloudError: nothing runs, or the daemon refuses.
    """
    endpoint = _running(_places(home))
    if endpoint is None:
        raise LocalCloudError("the local cloud is not up", advice="Start it with: spot_connect local up")
    return _call(endpoint, method, path, body)


def _places(home: Path | None) -> Places:
    places = Places(home.expanduser().absolute() if home else default_home())
    try:
        places.check()
    except OSError as error:
        raise _cannot_use(places, error) from error
    return places


def _cannot_use(places: Places, error: OSError) -> LocalCloudError:
    advice = "Set SPOT_CONNECT_HOME to a directory that you can make and write to."
    return LocalCloudError(f"cannot use {error.filename or places.root}", error.strerror or "", advice)


def _ups_lock(places: Places) -> FileLock:
    try:
        places.make()
        lock = FileLock(places.up_lock)
    except OSError as error:
        raise _cannot_use(places, error) from error
    lock.take(wait=True)
    return lock


def _running(places: Places) -> Endpoint | None:
    """The endpoint of a daemon that lives; the lock tells, since a record may be a dead daemon's."""
    record = read_json(places.record)
    if not record or not is_held(places.lock):
        return None
    return Endpoint(record["url"], record["access_key"], record["secret_key"])


def _daemon_options(isolation: str | None, fresh: bool, boot_seconds: float | None) -> list[str]:
    seconds = os.environ.get(BOOT_SECONDS) if boot_seconds is None else str(boot_seconds)
    options = ["--isolation", isolation] if isolation else []
    options += ["--fresh"] if fresh else []
    return options + (["--boot-seconds", seconds] if seconds else [])


def _start(places: Places, options: list[str]) -> UpReport:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalCloudError(
            "cannot start the local cloud",
            f"not installed: {', '.join(missing)}",
            "Install it with: pip install 'spot-connect[local]'",
        )
    places.record.unlink(missing_ok=True)
    _spawn(places, options)
    record = read_json(places.record)
    endpoint = _running(places)
    if endpoint is None:
        raise LocalCloudError("the local cloud did not start", _last_line(places), f"The whole log: {places.log}")
    return UpReport(
        endpoint,
        already_running=False,
        level=record["level"],
        description=record["description"],
        notes=tuple(record["notes"]),
    )


def _spawn(places: Places, options: list[str]) -> None:
    """Start the daemon and return when it is ready or dead."""
    ready, tell = os.pipe()
    try:
        with opened_log(places.log) as log:
            launcher = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, *_DAEMON, "--home", str(places.home), "--ready", str(tell), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=places.root,
                env=_daemon_environment(),
                pass_fds=[tell],
                start_new_session=True,
            )
        os.close(tell)
        # The daemon leaves its launcher at once; nothing of it is our child.
        launcher.wait()
        _wait_for_end_of_file(ready)
    finally:
        os.close(ready)


def _wait_for_end_of_file(pipe: int) -> None:
    readable, _, _ = select.select([pipe], [], [], _START_SECONDS)
    if not readable:
        raise LocalCloudError(f"the local cloud is not up after {_START_SECONDS:g} s", advice="See its log.")


def _daemon_environment() -> dict[str, str]:
    """Ours without AWS: the user's own credentials have no business in there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_", "BOTO_"))}
    package = str(Path(__file__).parents[2])
    kept["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    return kept


def _last_line(places: Places) -> str:
    lines = log_text(places.home).strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"


def _adjust(
    endpoint: Endpoint, said: dict[str, Any], isolation: str | None, fresh: bool, boot_seconds: float | None
) -> UpReport:
    if isolation and not said["level"].startswith(isolation):
        raise LocalCloudError(
            f"cannot change the isolation to {isolation}",
            f"the local cloud is already up with {said['level']}",
            "Stop it first: spot_connect local down",
        )
    notes = said["notes"]
    if fresh:
        _call(endpoint, "POST", "reset")
        notes = ["Every instance has been ended and everything forgotten.", *_call(endpoint, "GET", "status")["notes"]]
    if boot_seconds is not None:
        _call(endpoint, "POST", "boot-seconds", {"seconds": boot_seconds})
    return UpReport(
        endpoint, already_running=True, level=said["level"], description=said["description"], notes=tuple(notes)
    )


def _wait_until_free(places: Places, seconds: float) -> None:
    def look() -> Seen[bool]:
        return Seen(None if is_held(places.lock) else True, "it still runs")

    wait_for("end of the local cloud", look, seconds=seconds, every=0.02, advice=f"See {places.log}")


def _ask(places: Places, endpoint: Endpoint, method: str, path: str) -> dict[str, Any] | None:
    """The daemon's answer; ``None`` when it is dying, which takes a killed one a moment."""
    try:
        return _call(endpoint, method, path)
    except LocalCloudError:
        try:
            _wait_until_free(places, _DYING_SECONDS)
        except DeadlinePassed:
            pass
        else:
            return None
        raise


def _call(endpoint: Endpoint, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    import http.client
    import json

    host = endpoint.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=_STOP_SECONDS)
    headers = {"Authorization": f"Bearer {endpoint.secret_key}", "Content-Type": "application/json"}
    try:
        connection.request(method, f"/_spot_connect/{path}", json.dumps(body or {}), headers)
        reply = connection.getresponse()
        said = json.loads(reply.read() or b"{}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise LocalCloudError(f"cannot ask the local cloud at {endpoint.url}", str(error)) from error
    finally:
        connection.close()
    if reply.status != 200:
        raise LocalCloudError("the local cloud refused", str(said.get("message", reply.status)))
    return dict(said)
