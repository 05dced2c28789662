"""The walkthrough notebook, run from its first cell to its last against a local cloud of its own."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from spot_connect.local import service

PATH = Path(__file__).resolve().parents[2] / "examples" / "walkthrough.ipynb"
CELL_SECONDS = 60
_TOLD = (
    "hello from the first boot",
    "total 10",
    "exit status: 3",
    "kept for later",
    "together 45",
    "['ready\\n', 'ready\\n']",
    "a b c",
    "with status 0",
    "['in/letters.txt', 'out/letters.txt']",
)


@pytest.fixture
def notebook():
    return nbformat.read(PATH, as_version=nbformat.NO_CONVERT)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell):
    return "".join(output.get("text", "") for output in cell.outputs if output.get("name") == "stdout")


def test_it_is_valid_and_stored_without_outputs(notebook):
    nbformat.validate(notebook)
    assert notebook.nbformat == 4
    for cell in code_of(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert "execution" not in cell.metadata


def test_its_first_code_cell_chooses_the_local_cloud(notebook):
    assert 'os.environ["SPOT_CONNECT_LOCAL"] = "1"' in code_of(notebook)[0].source


@pytest.mark.timeout(240)
def test_it_runs_from_end_to_end(notebook, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(home))
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    where = {"metadata": {"path": tmp_path}}
    try:
        NotebookClient(notebook, kernel_name="python3", timeout=CELL_SECONDS, resources=where).execute()
        assert service.status(home) is None, "its last cell stops the local cloud"
    finally:
        service.down(home)
    told = "\n".join(printed(cell) for cell in code_of(notebook))
    for line in _TOLD:
        assert line in told, line
