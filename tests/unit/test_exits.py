import pytest

from spot_connect.console.ended import Terminated
from spot_connect.console.exits import tell
from spot_connect.core import errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.SpotConnectError("x"), 1),
        (errors.UsageError("x"), 2),
        (errors.NoCapacity("x"), 4),
        (errors.SshRefused("x"), 5),
        (errors.ScriptFailed("x", 37), 37),
        (KeyboardInterrupt(), 130),
        (Terminated(15), 143),
        (Terminated(1), 129),
        (RuntimeError("x"), 1),
    ],
)
def test_each_error_has_its_status(error, status, capsys):
    assert tell(error, debug=False) == status
    assert "Traceback" not in capsys.readouterr().err


def test_what_was_said_and_what_to_do_are_both_told(capsys):
    tell(errors.UsageError("cannot read x", "no such file", "Check the path."), debug=False)
    assert capsys.readouterr().err == "spot_connect: cannot read x: no such file\n  Check the path.\n"


def test_a_bug_says_so_and_debug_shows_where(capsys):
    try:
        raise RuntimeError("oops")
    except RuntimeError as error:
        tell(error, debug=False)
        assert "a bug in spot-connect: RuntimeError: oops" in capsys.readouterr().err
        tell(error, debug=True)
        assert "Traceback" in capsys.readouterr().err
