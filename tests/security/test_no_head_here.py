"""No scheduler runs on the user's computer, where any job could have it run Python."""

from __future__ import annotations

import pytest

from spot_connect.connect import main
from spot_connect.core.errors import UsageError
from spot_connect.instance_manager import InstanceManager


@pytest.mark.parametrize("verb", ["run_distributed_jobs", "cluster"])
def test_this_computer_is_refused_as_the_head_and_what_to_take_is_said(verb, tmp_path, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(tmp_path / "home"))
    manager = InstanceManager(local=True)
    given = {"run_distributed_jobs": ("never", 1, "true", "t2.micro"), "cluster": (1, "t2.micro")}
    with pytest.raises(UsageError, match=r"head cannot be 'client'.*file system.*on-demand"):
        getattr(manager, verb)(*given[verb], head="client")
    assert manager.fleets == {}


def test_it_is_refused_on_the_line_too(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(tmp_path / "home"))
    script = tmp_path / "job.sh"
    script.write_text("true\n")
    words = ["jobs", "--local", "run", "never", "-p", "t2.micro", "-s", str(script), "--head", "client"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "on-demand" in said
    assert "Traceback" not in said
