"""The table in docs/security.md: each line names a test that is there, and each file of tests here stands in a line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def lines_of_the_table() -> list[str]:
    table = PAGE.read_text(encoding="utf-8").partition("## The threat model")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [line for line in lines if not line.startswith(("| Who | ", "| ---"))]


def names_of_tests_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_there_is_a_table():
    assert len(lines_of_the_table()) > 20


@pytest.mark.parametrize("line", lines_of_the_table(), ids=lambda line: line.split(" | ")[1][:60])
def test_a_line_names_a_test_that_is_there(line):
    cells = [cell.strip() for cell in line.strip("|").split(" | ")]
    assert len(cells) == 4
    assert all(cells)
    named = NAMED.findall(cells[3])
    assert named
    for path, name in named:
        assert (ROOT / path).exists(), path
        assert not name or name in names_of_tests_in(ROOT / path), name


def test_every_file_of_tests_stands_in_the_table():
    named = {path for line in lines_of_the_table() for path, _ in NAMED.findall(line)}
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "security").rglob("test_*.py")}
    assert files - named == {"tests/security/test_threat_model.py"}
