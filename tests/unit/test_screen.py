import io
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pyte
import pytest

from spot_connect.core.terminal import alone
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import Labelled, Passage
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


class Terminal(io.StringIO):
    def isatty(self):
        return True

    @property
    def lines(self):
        """What somebody sees on it, without spinners."""
        screen = pyte.Screen(80, 500)
        pyte.Stream(screen).feed(self.getvalue().replace("\n", "\r\n"))
        return [re.sub("^[⠀-⣿] ", "", line.rstrip()) for line in screen.display if line.strip()]

    def shows(self, *lines):
        """Wait for the drawing that shows exactly those."""
        wait_for("the drawing", lambda: Seen(self.lines == [*lines] or None, str(self.lines)), seconds=60, every=0.02)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def test_what_is_under_way_at_once_is_seen_until_its_own_end(terminal):
    screen = Screen(local=True, stream=terminal)
    begun = ExitStack(), ExitStack()
    begun[0].enter_context(screen.step("one"))
    assert terminal.lines == ["LOCAL one"]
    begun[1].enter_context(screen.step("two"))
    terminal.shows("LOCAL one", "LOCAL two")
    begun[0].close()
    terminal.shows("LOCAL two")
    begun[1].close()
    assert terminal.lines == []
    with screen.step("three"):
        assert terminal.lines == ["LOCAL three"]
    assert terminal.lines == []


def test_lines_are_whole_and_above_what_is_under_way(terminal):
    screen = Screen(stream=terminal)
    screen.note("before")
    with screen.step("waiting"):
        screen.note("x" * 100)
        terminal.shows("before", "x" * 80, "x" * 20, "waiting")
        screen.note(":smile: [bold]")
    screen.note("after")
    assert terminal.lines == ["before", "x" * 80, "x" * 20, ":smile: [bold]", "after"]
    assert f"{'x' * 100}\n" in terminal.getvalue()


def test_a_bar_stays_where_others_go_on(terminal):
    screen = Screen(stream=terminal)
    with screen.step("waiting"):
        with screen.transfer("data.csv", 2_000_000) as bar:
            bar.advance(2_000_000)
        wait_for("the bar", lambda: Seen(terminal.lines[1:] == ["waiting"] or None, ""), seconds=60, every=0.02)
        [first, _] = terminal.lines
        assert first.startswith("data.csv ━━━")
        assert "2.0/2.0 MB" in first
    assert terminal.lines == [first]


def test_a_bar_that_was_broken_off_shows_how_far_it_came(terminal):
    broken = Screen(stream=terminal).transfer("data.csv", 2_000_000)
    broken.__enter__().advance(1_000_000)
    broken.__exit__(OSError, OSError("gone"), None)
    assert "1.0/2.0 MB" in terminal.lines[0]


def test_any_number_of_threads_may_draw(terminal):
    screen = Screen(stream=terminal)
    together = threading.Barrier(8)

    def work(number):
        together.wait()
        for turn in range(10):
            with screen.step(f"step {number}"), screen.transfer(f"file {number}", 10) as bar:
                screen.note(f"note {number}:{turn} :smile: [bold]")
                bar.advance(10)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    lines = terminal.lines
    notes = sorted(line for line in lines if line.startswith("note"))
    assert notes == sorted(f"note {number}:{turn} :smile: [bold]" for number in range(8) for turn in range(10))
    assert len([line for line in lines if line.startswith("file ") and "10/10" in line]) == 80
    assert len(lines) == 160


def test_two_that_draw_on_one_terminal_do_not_draw_over_one_another(terminal, monkeypatch):
    monkeypatch.setattr("sys.stderr", terminal)
    one, other, third = Screen(), Screen(local=True), Screen()
    with one.step("one"):
        with other.step("two"):
            terminal.shows("one", "LOCAL two")
            third.note("a line")
            terminal.shows("a line", "one", "LOCAL two")
        terminal.shows("a line", "one")
    assert terminal.lines == ["a line"]


def test_who_asks_a_question_has_the_terminal_alone(terminal):
    screen = Screen(stream=terminal)
    with screen.step("launching"):
        assert "launching" in terminal.getvalue()
        with alone():
            before = terminal.getvalue()
            other = threading.Thread(target=screen.note, args=["from another thread"])
            other.start()
            assert terminal.getvalue() == before
        other.join()
        terminal.shows("from another thread", "launching")


def test_what_does_not_fit_is_counted(terminal):
    screen = Screen(stream=terminal)
    with ExitStack() as begun:
        for number in range(30):
            begun.enter_context(screen.step(f"step {number}"))
        terminal.shows(*(f"step {number}" for number in range(10)), "... and 20 more")
    assert terminal.lines == []


def test_a_character_that_arrives_in_two_parts_is_whole_in_a_notebook():
    stream = io.StringIO()
    passage = Passage(stream)
    for part in ("ü".encode()[:1], "ü".encode()[1:]):
        passage(part)
    assert stream.getvalue() == "ü"


def test_lines_of_one_of_several_are_whole_and_have_its_name():
    stream = io.StringIO()
    with Labelled(Passage(stream), "vm1") as one, Labelled(Passage(stream), "vm2") as other:
        for hear, part in ((one, b"a"), (other, b"b\n\nb"), (one, b"a\na\n"), (other, b"\n"), (one, b"end")):
            hear(part)
    assert stream.getvalue() == "vm2: b\nvm2: \nvm1: aa\nvm1: a\nvm2: b\nvm1: end\n"


def test_a_line_that_does_not_end_is_not_kept_for_ever():
    stream = io.StringIO()
    with Labelled(Passage(stream), "vm1") as hear:
        for _ in range(100):
            hear(b"." * 1000)
        assert stream.getvalue().count(".") > 60_000
    assert stream.getvalue().count(".") == 100_000


def test_a_pipe_gets_plain_columns(capsys):
    show_table(["name", "state"], [["a long name", "up"], ["b", "down"]])
    assert capsys.readouterr().out == "name         state\na long name  up\nb            down\n"


def test_no_figure_is_cut_on_a_narrow_terminal(monkeypatch, terminal):
    monkeypatch.setenv("COLUMNS", "30")
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
