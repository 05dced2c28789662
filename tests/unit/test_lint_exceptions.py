"""Each exception from a rule of security says why it is one."""

from __future__ import annotations

import re

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXCEPTION = re.compile(r"# noqa: (?P<codes>[A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)*)(?P<why>.*)$")


@pytest.mark.parametrize("path", sorted(ROOT.glob("spot_connect/**/*.py")), ids=lambda path: path.stem)
def test_every_exception_in_the_package_has_a_reason(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        found = EXCEPTION.search(line)
        if found and re.search(r"\bS[0-9]", found["codes"]):
            assert re.fullmatch(r" - .{6,}", found["why"]), line


def test_no_rule_of_security_is_left_out_for_the_whole_package():
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    left_out = [*lint["ignore"], *(code for path, codes in _of_the_package(lint) for code in codes)]
    assert not [code for code in left_out if re.fullmatch(r"S[0-9]*", code)]


def _of_the_package(lint):
    return [(path, codes) for path, codes in lint["per-file-ignores"].items() if path.startswith("spot_connect")]
