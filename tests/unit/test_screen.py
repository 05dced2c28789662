import io

import pytest

from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import Passage
from spot_connect.screen.tables import room_beside, show_table


def test_every_line_of_a_rehearsal_says_local():
    stream = io.StringIO()
    screen = Screen(local=True, stream=stream)
    screen.note("one")
    screen.warn("two")
    with screen.step("three"), screen.transfer("four", 5) as bar:
        bar.advance(5)
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["LOCAL"] * 4


def test_without_a_terminal_there_are_no_control_characters():
    stream = io.StringIO()
    with Screen(stream=stream).step("waiting"):
        pass
    assert stream.getvalue() == "waiting ...\n"


def test_a_character_that_arrives_in_two_parts_is_whole_in_a_notebook():
    stream = io.StringIO()
    passage = Passage(stream)
    for part in ("ü".encode()[:1], "ü".encode()[1:]):
        passage(part)
    assert stream.getvalue() == "ü"


def test_a_pipe_gets_plain_columns(capsys):
    show_table(["name", "state"], [["a long name", "up"], ["b", "down"]])
    assert capsys.readouterr().out == "name         state\na long name  up\nb            down\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_no_figure_is_cut_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    row = ["a-machine-of-mine", "running", "t2.micro", "us-east-1a", "$0.0032", "17m", "$0.0009", "i-0123456789abcdef0"]
    show_table(["name", "state", "type", "zone", "price/h", "age", "cost", "id"], [row])
    assert terminal.getvalue().splitlines()[-1].split() == row


@pytest.mark.parametrize(
    ("terminal", "encoding", "room"), [(True, "utf-8", 80 - 9), (False, "utf-8", 0), (True, "ascii", 0)]
)
def test_the_room_beside_a_table_is_what_a_terminal_has_left(monkeypatch, terminal, encoding, room):
    class Stream:
        def isatty(self):
            return terminal

    stream = Stream()
    stream.encoding = encoding
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", "80")
    assert room_beside(["a", "b"], [["one", "12"]], "▁█") == room
    assert room_beside(["a"], [["x" * 90]], "▁█") == 0
