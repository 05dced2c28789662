"""On an instance of the local cloud: what other users of it could read, in the arguments of processes and in files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spot_connect.runs import agent
from spot_connect.spotted import SpotInstance
from tests.boundary.jobs.conftest import at_home, cloud_home, heard, is_alive, manager, start  # noqa: F401 - fixtures
from tests.boundary.launching.conftest import Heard

SECRET = "correct-horse-battery"
KEY = "PRIVATE KEY"
PATIENCE = 90
LOOK = r"""
echo umask $(umask)
echo x > $SPOT_CONNECT_OUT_DIR/made
echo mode $(stat -c %a $SPOT_CONNECT_OUT_DIR/made)
echo have $SECRET | rev
"""
FIND = r"""
for place in ~/.spot-connect ~/efs/.spot-connect; do
    [ -d $place ] || continue
    stat -L -c '%a %n' $place
    grep -rlaE 'correct-horse-battery|PRIVATE KEY' $place | while read -r file; do stat -c '%a %n' "$file"; done
    find $place -name spec.json -o -name '*.pem' -o -name answers.key -o -path '*/scripts/*' -o -name log |
        while read -r file; do stat -c '%a %n' "$file"; done
    find $place \( -path '*/jobs/*' -o -path '*/runs/*' \) -type d | while read -r one; do stat -c '%a %n' "$one"; done
done
"""


@contextmanager
def watched() -> Iterator[set[str]]:
    """The arguments of all processes of this computer, the instances' among them, looked at again and again."""
    found: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    found.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@pytest.fixture
def sent(monkeypatch):
    """Every command that goes to an instance for our program; those that live for a moment are seen here."""
    commands = []
    run = agent.run

    def noted(connection, command, **options):
        commands.append(command)
        return run(connection, command, **options)

    monkeypatch.setattr(agent, "run", noted)
    return commands


def assert_nothing_told(arguments):
    ours = [words for words in arguments if "spot-connect" in words]
    assert any("agent-" in words for words in ours)
    # The test's own process has the words in its source, and not in its arguments.
    assert [words for words in arguments if SECRET in words or KEY in words] == []
    assert not any("{" in words for words in ours if "agent-" in words and "-c" not in words.split())


def modes(machine) -> dict[str, int]:
    lines = machine.run(FIND, cmd=True, return_output=True).splitlines()
    found = {name: int(mode, 8) for mode, _, name in (line.partition(" ") for line in lines)}
    return {name: mode for name, mode in found.items() if not name.endswith("/made")}


def test_a_detached_run_tells_its_environment_in_no_argument_and_no_file_of_others(cloud_home, sent):  # noqa: F811
    machine = SpotInstance("secrets", profile="t2.micro", local=True, reporter=Heard())
    try:
        usual = machine.run("umask; f=$(mktemp -u); echo x > $f; stat -c %a $f", cmd=True, return_output=True).split()
        with watched() as arguments:
            run = machine.run(
                LOOK.replace("_OUT_DIR", "_CHECKPOINT_DIR"), cmd=True, detach=True, environment={"SECRET": SECRET}
            )
            assert run.wait(PATIENCE) == 0
            log = run.log().decode()
        assert log.split() == ["umask", usual[0], "mode", usual[1], SECRET[::-1], "evah"]
        assert_nothing_told({*arguments, *sent})
        found = modes(machine)
        assert any(name.endswith("spec.json") for name in found)
        assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}
    finally:
        machine.terminate()


@pytest.mark.parametrize("filesystem", ["jobs-fs", None])
def test_jobs_tell_neither_the_key_of_the_run_nor_their_environment(start, manager, sent, filesystem):  # noqa: F811
    with watched() as arguments:
        run = start(LOOK, 2, n_jobs=3, filesystem=filesystem, env={"SECRET": SECRET})
        record = run.wait(PATIENCE)
    assert record.state == "succeeded"
    # Whoever was the head stays for the results.
    machine = next(line for line in manager.instances.values() if is_alive(line))
    usual = machine.run("umask; f=$(mktemp -u); echo x > $f; stat -c %a $f", cmd=True, return_output=True).split()
    assert run.logs(0).decode().split() == ["umask", usual[0], "mode", usual[1], SECRET[::-1], "evah"]
    assert_nothing_told({*arguments, *sent})
    found = modes(machine)
    assert any(name.endswith("tls.pem") for name in found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}
