"""The floors of docs/architecture.md, read from the imports themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "spot_connect"
MAY_IMPORT = {
    "core": {"core"},
    "aws": {"aws", "core"},
    "ssh": {"ssh", "core"},
    "store": {"store", "core"},
    "screen": {"screen", "core"},
    "local": {"local", "core", "store.private"},
    "holding": {"holding", "ssh", "store", "core"},
    "launching": {"launching", "holding", "aws", "ssh", "store", "core", "local.service"},
    "market": {"market", "launching", "aws", "store", "core"},
    "doctor": {"doctor", "launching", "aws", "store", "core"},
    "interruption": {"interruption"},
    "crew": {"crew", "interruption", "core.booting", "core.packages", "core.untrusted"},
    "jobs": {"jobs", "crew", "runs", "market", "launching", "transfers", "ssh", "store", "core"},
    "transfers": {"transfers", "ssh", "core"},
    "runs": {"runs", "market", "launching", "ssh", "aws", "store", "core"},
    "keras_callback": {"interruption"},
    "bash_scripts": {"core"},
    "spotted": {"runs", "launching", "transfers", "ssh", "store", "screen", "core"},
    "sutils": {"doctor", "launching", "market", "aws", "store", "screen", "core"},
    "many_instances": {"spotted", "sutils", "runs", "launching", "transfers", "store", "screen", "core"},
    "instance_manager": {"many_instances", "spotted", "jobs", "launching", "core"},
    "console": {
        *("jobs", "instance_manager", "holding", "doctor"),
        *("console", "spotted", "sutils", "market", "runs", "launching", "aws", "store", "screen", "core"),
        *("local.service", ""),
    },
    "connect": {"console"},
}
ONLY_IN = {
    "boto3": {"aws", "crew"},
    "botocore": {"aws"},
    "paramiko": {"ssh"},
    "rich": {"screen"},
    "matplotlib": {"screen"},
    "moto": {"local"},
    "asyncssh": {"local"},
    "distributed": {"crew"},
    "dask": {"crew"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def is_module(name: str) -> bool:
    return PACKAGE.joinpath(*name.split(".")).with_suffix(".py").exists()


def allowed(target: str, rooms: set[str]) -> bool:
    return any(target == name or target.startswith(f"{name}.") for name in rooms)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_imports_from_a_floor_above(path):
    if room(path) == "__init__":
        assert not imported(path)
        return
    ours = {name.removeprefix("spot_connect.") for name in imported(path) if name.startswith("spot_connect.")}
    wrong = {name for name in ours if is_module(name) and not allowed(name, MAY_IMPORT[room(path)])}
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_boundary_library_is_imported_in_its_own_room_only(path):
    strangers = {name.partition(".")[0] for name in imported(path)} & set(ONLY_IN)
    assert all(room(path) in ONLY_IN[name] for name in strangers)


def calls(path: Path, *names: str) -> list[str]:
    return [
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names
    ]


def test_only_waiting_sleeps():
    sleepers = {str(path.relative_to(PACKAGE)) for path in MODULES if calls(path, "time.sleep", "sleep")}
    assert sleepers == set()


def test_only_the_screen_prints():
    printers = {room(path) for path in MODULES if calls(path, "print")}
    assert printers <= {"screen"}
