"""Text from the other side on its way to a screen, through every door that there is."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spot_connect.console.completing import show_words
from spot_connect.console.exits import tell
from spot_connect.console.listing import _COLUMNS, _cells
from spot_connect.core.errors import PartlyFailed, SpotConnectError, SshError, UnreadableAnswer
from spot_connect.core.models import SpotPrice
from spot_connect.core.names import NAME_TAG
from spot_connect.core.price_course import Course
from spot_connect.core.untrusted import printable
from spot_connect.jobs.crew import Crew
from spot_connect.jobs.run import JobRun
from spot_connect.launching.listing import Line
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import Labelled, Passage, Readable, confirmed, say, say_json
from spot_connect.screen.tables import show_table
from spot_connect.ssh.host_keys import fingerprints_in_console, host_keys_in_console
from tests.security.test_hostile_tags import seen

SIGNS = st.text(st.sampled_from("ab [/]=:\\\r\n\t\x00\x07\x1b\x7f\x85\x9b\x9d\u2028\u202e\u2066\ufeff東"), max_size=30)
NASTY = (
    "a[/b]",
    "[link=http://x]vm1[/link]",
    "[bold",
    ":smile:",
    "vm1\nspot_connect: all is well",
    "\x1b]0;x\x07",
    "\x9b2J",
    "vm\u202e1mv",
    "\x1b[1A\x1b[2K",
)
TEXT = st.sampled_from(NASTY) | SIGNS | st.text(max_size=40)


class Terminal(io.StringIO):
    """Where rich draws, and wide enough not to break lines."""

    def isatty(self):
        return True


def harmless(text: str) -> bool:
    """Whether a terminal would only show it, but for the colours and positions that we have it draw ourselves."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\n", "").isprintable()


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")


@given(TEXT, TEXT, TEXT)
def test_an_error_is_one_line_wherever_it_is_shown(what, said, advice):
    error = SpotConnectError(what, said, advice)
    assert str(error).isprintable()
    assert all(isinstance(part, str) and part.isprintable() for part in error.args)
    both = PartlyFailed({}, {what: error, "b": SshError("x", said)})
    assert str(both).isprintable()
    screen = io.StringIO()
    with redirect_stderr(screen):
        tell(error, debug=False)
        tell(ValueError(said), debug=False)
    assert all(line.startswith(("spot_connect: ", "  ")) for line in screen.getvalue().splitlines())
    assert harmless(screen.getvalue())


@given(TEXT)
def test_a_traceback_of_others_gives_the_terminal_no_commands(said):
    screen = io.StringIO()
    try:
        try:
            raise OSError(said)
        except OSError as cause:
            raise SshError("cannot reach vm1", said) from cause
    except SshError as error:
        with redirect_stderr(screen):
            tell(error, debug=True)
    assert harmless(screen.getvalue())


@given(TEXT)
def test_a_note_a_wait_and_a_transfer_are_one_line_each(text):
    for stream in (io.StringIO(), Terminal()):
        screen = Screen(local=True, stream=stream)
        screen.note(text)
        screen.warn(text)
        if isinstance(stream, Terminal):
            assert stream.getvalue().count("\n") == 2
            continue
        with screen.step(text), screen.transfer(text, 5):
            pass
        lines = stream.getvalue().split("\n")
        assert len(lines) == 5
        assert all(line.startswith("LOCAL ") and line.isprintable() for line in lines[:-1])


@pytest.mark.parametrize("text", NASTY)
def test_what_is_drawn_on_a_terminal_has_no_markup_and_no_commands(text):
    stream = Terminal()
    screen = Screen(stream=stream)
    with screen.step(text), screen.transfer(text, 5):
        screen.note(text)
    assert printable(text) in stream.getvalue()
    # What rich draws with: colours, the cursor, and lines that are cleared.
    rest = re.sub(r"\x1b\[[0-9;?]*[mAKhl]|\r", "", stream.getvalue())
    assert harmless(rest)
    assert "\x1b]" not in stream.getvalue()


@given(TEXT, TEXT)
def test_any_text_is_one_row_of_a_table(text, title):
    for stream in (io.StringIO(), Terminal()):
        with redirect_stdout(stream):
            show_table(["name", "state", "id"], [[text, "running", text], ["b", "up", "x"]], title=title)
        lines = stream.getvalue().split("\n")[:-1]
        titles = bool(title) if isinstance(stream, Terminal) else 0
        assert len(lines) == 3 + titles
        assert harmless(stream.getvalue())


@given(TEXT)
@example("ab " * 60)
@example("\u4e2d\u6587 " * 60)
def test_no_part_of_a_folded_cell_stands_where_a_row_begins(text):
    stream = Terminal()
    with redirect_stdout(stream):
        show_table(["run", "state", "what"], [["r1", "failed", text], ["r2", "failed", "x"]])
    _, *lines = stream.getvalue().split("\n")[:-1]
    assert [line for line in lines if not line.startswith(" ")] == [lines[0], lines[-1]]
    assert lines[0].startswith("r1 ")
    assert lines[-1].startswith("r2 ")


@pytest.mark.parametrize("text", ["a[/b]", "[link=http://x]vm1[/link]", "[bold", ":smile:", "[red]x[/red]"])
def test_markup_in_a_cell_is_shown_as_it_is(text):
    stream = Terminal()
    with redirect_stdout(stream):
        show_table(["name"], [[text]], title=text)
    assert stream.getvalue().count(text) == 2
    assert "\x1b]8" not in stream.getvalue()


@given(st.text(min_size=1, max_size=60) | TEXT.filter(bool))
@example("a[/b]")
def test_a_machine_of_any_name_is_one_row_of_the_list(name):
    instance = seen(**{NAME_TAG: name})
    line = Line(instance, Decimal("0.01"), timedelta(minutes=3), None)
    for stream in (io.StringIO(), Terminal()):
        with redirect_stdout(stream):
            show_table(_COLUMNS, [_cells(line)])
        rows = [row for row in stream.getvalue().split("\n") if row.strip()]
        assert len(rows) == 2
        assert rows[1].rstrip().endswith(instance.id)
        assert harmless(stream.getvalue())


@given(TEXT, st.lists(TEXT, max_size=4))
def test_data_lines_are_as_many_as_there_are_and_json_is_ascii(text, several):
    stream = io.StringIO()
    with redirect_stdout(stream):
        say(text, *several)
    assert stream.getvalue().count("\n") == 1 + len(several)
    assert harmless(stream.getvalue())
    stream = io.StringIO()
    with redirect_stdout(stream):
        say_json({"name": text})
    assert stream.getvalue().isascii()
    assert "\x1b" not in stream.getvalue()
    assert json.loads(stream.getvalue()) == {"name": text}


@given(TEXT, st.binary(max_size=40))
def test_a_label_is_one_word_before_bytes_that_stay_as_they_are(name, written):
    stream = io.TextIOWrapper(io.BytesIO())
    with Labelled(Passage(stream), name) as hear:
        hear(written)
    shown = stream.buffer.getvalue()
    label = f"{printable(name)}: ".encode()
    assert b"\n".join(line.removeprefix(label) for line in shown.split(b"\n")) == (
        written if written.endswith(b"\n") or not written else written + b"\n"
    )


def test_a_question_is_one_line(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal("no\n"))
    with redirect_stderr(stream):
        assert not confirmed("go on with\n\x1b[2Jvm1?")
    assert stream.getvalue().isprintable()


@given(st.lists(st.binary(max_size=40) | TEXT.map(lambda text: text.encode(errors="replace"))))
def test_any_console_output_is_lines_that_are_fit_to_show(pieces):
    stream = io.StringIO()
    with Readable(stream) as show:
        for piece in pieces:
            show(piece)
    assert harmless(stream.getvalue())
    whole = b"".join(pieces)
    assert stream.getvalue().count("\n") == whole.count(b"\n") + (not whole.endswith(b"\n") and bool(whole))


def test_a_console_that_never_ends_its_line_is_shown_on_the_way():
    stream = io.StringIO()
    with Readable(stream) as show:
        for _ in range(100):
            show(b"." * 1000)
        assert stream.getvalue().count(".") > 60_000
    assert stream.getvalue().count(".") == 100_000


KEYS = "-----BEGIN SSH HOST KEY KEYS-----"
MARKS = (
    KEYS,
    "ssh-ed25519 AAAA",
    "SHA256:",
    "-----BEGIN SSH HOST KEY FINGERPRINTS-----",
    "\n",
    "ecdsa-sha2-nistp٣ AAAA",
)


@given(st.lists(TEXT | st.sampled_from(MARKS)).map("".join))
def test_any_console_output_has_host_keys_or_none(text):
    for key in host_keys_in_console(text):
        assert re.fullmatch(r"[a-z0-9-]+ [A-Za-z0-9+/=]+", key.line)
        assert key.fingerprint.startswith("SHA256:")
    assert all(one.startswith("SHA256:") and len(one) == 50 for one in fingerprints_in_console(text))


@given(st.dictionaries(TEXT.filter(bool), st.just("us-east-1"), max_size=5))
def test_what_tab_offers_is_one_word_a_line_and_no_command_of_a_terminal(tmp_path_factory, names):
    home = tmp_path_factory.mktemp("home")
    (home / "regions.json").write_text(json.dumps(names))
    stream = io.StringIO()
    before, os.environ["SPOT_CONNECT_HOME"] = os.environ["SPOT_CONNECT_HOME"], str(home)
    try:
        with redirect_stdout(stream):
            show_words(["terminate", ""])
    finally:
        os.environ["SPOT_CONNECT_HOME"] = before
    assert set(stream.getvalue().split("\n")) - {""} == {name for name in names if name.isprintable()}


def test_a_label_of_a_picture_is_no_formula(tmp_path):
    pytest.importorskip("matplotlib")
    from spot_connect.screen.plots import draw_courses

    now = datetime(2026, 11, 29, tzinfo=timezone.utc)
    zone = r"us$\frac{$-east\x1b-1a$x$"
    prices = (SpotPrice("t2.micro", zone, Decimal("0.01"), now - timedelta(hours=1)),)
    draw_courses(tmp_path / "p.png", "$\\x$\n", [Course("t2.micro", zone, now - timedelta(hours=2), now, prices)])
    assert (tmp_path / "p.png").stat().st_size


class Answering(Crew):
    """Machines that answer what they are told to."""

    def __init__(self, told):
        self.name = "<b>w"
        self._told = told

    def ask(self, verb, asked):
        return [self._told]


def test_a_notebook_shows_text_and_no_html_of_an_instance():
    job = {"job": 0, "title": "<script>x</script>", "state": "<b>", "why": "<img src=x>\n", "instance": "<i>"}
    told = {"run": "r1", "state": "running", "name": "<b>w", "why": "<script>y</script>", "jobs": [job]}
    shown = JobRun("r1", Answering(told))._repr_html_()
    assert not re.search(r"<(?!/?(p|table|tr|th|td)>)", shown)


@pytest.mark.parametrize("number", ["../../x", "/etc", -1, True, None, 1.5, [], "0"])
def test_the_number_of_a_job_is_no_path(tmp_path, number):
    with pytest.raises(UnreadableAnswer):
        JobRun("r1", Answering({"paths": [[number, "/x"]]})).results(tmp_path / "here")
    assert not list(tmp_path.iterdir())


COMPLETED = 'COMP_WORDS=("$1" terminate ""); COMP_CWORD=2; _spot_connect "$1"'
TYPED = 'eval "set -- ${COMPREPLY[*]}"; printf "%s\\n" "$@"'


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_what_tab_puts_into_a_command_line_of_bash_is_a_word_and_no_command(tmp_path):
    names = ["$(touch pwned)", ";touch pwned", "&touch pwned&", "{a,b}", "a b", "*", "#x", "!!", "vm\nx", "\x1b[2J"]
    (tmp_path / "regions.json").write_text(json.dumps(dict.fromkeys(names, "us-east-1")))
    script = Path(sys.executable).with_name("spot_connect")
    environment = {**os.environ, "SPOT_CONNECT_HOME": str(tmp_path)}
    completed = subprocess.run(
        ["bash", "--norc", "-c", f'eval "$("$1" completion bash)"; {COMPLETED}; {TYPED}', "bash", str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    assert completed.stdout.splitlines() == sorted(name for name in names if name.isprintable())
    assert not (tmp_path / "pwned").exists()
