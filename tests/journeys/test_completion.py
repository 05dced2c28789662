"""The TAB key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.journeys.conftest import SCRIPT


def offered(person, *words: str) -> list[str]:
    result = person.types("completion", "words", *words)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("term",), ["terminate"]),
        (("--local", "pri"), ["prices"]),
        (("--resu",), ["--resume"]),
        (("-n", "x", "-a", ""), ["False", "True"]),
        (("-n", "x", "--local", "-p", "t2.mi"), ["t2.micro"]),
        (("-reg", "eu-west-"), ["eu-west-1", "eu-west-2", "eu-west-3"]),
        (("-u", ""), []),
        (("x", ""), []),
        (("local", "fault", "thr"), ["throttling"]),
        (("local", "fault", "capacity", "--ti"), ["--times"]),
        (("local", "nonsense", ""), []),
        (("find", "--arch", "a"), ["arm64"]),
        (("find", "--arch", "arm64", "--cur"), ["--current"]),
        (("prices", "t2.micro", "t2.na"), ["t2.nano"]),
    ],
)
def test_what_may_come_next_is_offered(person, words, expected):
    assert offered(person, *words) == expected


def test_machines_are_offered_by_name(person, machine):
    for words in ((), ("-n",), ("terminate",), ("terminate", "other"), ("logs",), ("local", "fault", "line")):
        assert machine in offered(person, *words, ""), words
    assert machine not in offered(person, "logs", machine, "")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_at_tab(person, machine, shell):
    program = shutil.which(shell)
    if not program:
        pytest.skip(f"{shell} is not installed")
    person.environment["PATH"] = f"{Path(SCRIPT).parent}:{person.environment['PATH']}"
    (person.directory / "a file.txt").touch()
    words, before = {"bash": ("--norc", ""), "zsh": ("-f", "autoload -Uz compinit; compinit -u; ")}[shell]
    terminal = person.sits_at_program(program, words, "-i")
    terminal.sendline(f'{before}eval "$(spot_connect completion {shell})"; echo REA""DY')
    terminal.expect("READY")
    terminal.send(f"spot_connect termi\t{machine[:-1]}\t")
    terminal.expect_exact("terminate")
    terminal.expect_exact(machine)
    terminal.send("\x15spot_connect -u a\\ f\t")
    terminal.expect_exact("file.txt")
    terminal.close(force=True)
