"""The ignore rules, held against git's own answer."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from spot_connect.transfers.entries import sifted_tree

PARTS = [
    *("a", "b", "foo", "foo.txt", "bar.py", "*", "**", "*.txt", "f?o", "[ab]", "[!a]", "[^b]*", "\\*", "a b", " a"),
    *("a\\ ", ".x", "[a-c]x", "[[:alpha:]]", "!b", "#c", "\\#c", "\\!b", "fo*o", "a**b", "[]a]", "[a", "x\\", "?"),
    *("[\\]]", "é", "A", "{a,b}", "$", "(a)", "a+", ".*", "[!]a-]", "[[:nothing:]]", "[a-", "[b-a]", "[[:digit:]x]"),
]
NAMES = [
    *("a", "b", "foo", "foo.txt", "bar.py", "a b", " a", "a ", ".x", "ax", "cx", "!b", "#c", "fooo", "aXb", "[a"),
    *("x", "é", "A", "*", "{a,b}", "$", "(a)", "a+", "]", "-", "7"),
]

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


def pattern(choice: random.Random) -> str:
    made = "/".join(choice.choice(PARTS) for _ in range(choice.choice([1, 1, 1, 2, 2, 3])))
    made = ("/" if choice.random() < 0.2 else "") + made + ("/" if choice.random() < 0.25 else "")
    return ("!" if choice.random() < 0.25 else "") + made + (" " if choice.random() < 0.1 else "")


def grow(folder: Path, choice: random.Random, depth: int = 0) -> None:
    for name in choice.sample(NAMES, 9):
        if depth < 2 and choice.random() < 0.4:
            (folder / name).mkdir()
            grow(folder / name, choice, depth + 1)
        else:
            (folder / name).touch()
        if choice.random() < 0.1:
            write_rules(folder, choice)


def write_rules(folder: Path, choice: random.Random) -> None:
    lines = [pattern(choice) for _ in range(choice.randint(1, 4))]
    (folder / ".gitignore").write_text("\n".join(lines) + choice.choice(["\n", "\r\n", ""]))


def git_keeps(root: Path, folder: Path) -> set[str]:
    below = [path for path in folder.rglob("*") if ".git" not in path.parts]
    asked = "\0".join(str(path.relative_to(root)) for path in below)
    command = ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "-z", "--stdin", "--no-index"]
    told = subprocess.run(command, cwd=root, input=asked, capture_output=True, text=True, check=False).stdout
    ignored = set(told.split("\0"))
    return {str(path.relative_to(folder)) for path in below if str(path.relative_to(root)) not in ignored}


@pytest.mark.parametrize("seed", range(40))
def test_what_is_left_out_is_what_git_ignores(tmp_path: Path, seed: int) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    choice = random.Random(seed)
    grow(tmp_path, choice)
    write_rules(tmp_path, choice)
    folders = [tmp_path, *(path for path in tmp_path.iterdir() if path.is_dir() and path.name != ".git")]
    for folder in folders:
        if folder != tmp_path and folder.name not in git_keeps(tmp_path, tmp_path):
            continue
        tree = sifted_tree(folder, b"top")
        kept = {entry.name.decode() for entry in tree.entries if entry.name}
        assert kept == git_keeps(tmp_path, folder), (tmp_path / ".gitignore").read_text()
