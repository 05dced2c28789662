"""What the interactive shell promises, whatever server is at the other end."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from spot_connect.core.models import Address
from tests.boundary.ssh.servers import Proxy, Server, There

ROOT = Path(__file__).parents[3]
SECONDS = 30
# Once it says "started" it is the terminal's foreground job, and keys reach nothing else.
SLEEPER = """sh -c 'echo sta""rted; exec sleep 1000'"""

Start = Callable[..., "pexpect.spawn[bytes]"]


def program(server: Server, address: Address | None = None) -> list[str]:
    where = address or server.address
    words = [where.host, str(where.port), server.username, str(server.key_file)]
    return [sys.executable, "-m", "tests.boundary.ssh.shell_program", *words]


@pytest.fixture
def start(server: Server) -> Iterator[Start]:
    """Start the shell under a terminal of its own, between two looks at that terminal's settings."""
    started: list[pexpect.spawn[bytes]] = []

    def begin(address: Address | None = None) -> pexpect.spawn[bytes]:
        words = shlex.join(program(server, address))
        script = f'echo "before $(stty -g)"; {words}; echo "status $?"; echo "after $(stty -g)"'
        child = pexpect.spawn(
            "/bin/sh", ["-c", script], timeout=SECONDS, cwd=str(ROOT), dimensions=(24, 80), echo=False
        )
        child.delaybeforesend = None
        started.append(child)
        # The quotes keep the echo of what is typed from looking like the answer.
        child.send("echo rea''dy\r")
        child.expect(b"ready\r\n")
        return child

    yield begin
    for child in started:
        child.close(force=True)


def finish(child: pexpect.spawn[bytes]) -> int:
    """The status that was reported, once the terminal is known to be as it was."""
    before = child.before
    child.expect(rb"status (\d+)\r\nafter (\S+)\r\n")
    status, after = child.match.groups()
    child.expect(pexpect.EOF)
    assert child.terminal == after, before
    return int(status)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every spawned child remember the settings its terminal started with."""
    plain = pexpect.spawn.__init__

    def remembering(self: pexpect.spawn[bytes], *arguments: object, **options: object) -> None:
        plain(self, *arguments, **options)
        self.expect(rb"before (\S+)\r\n")
        self.terminal = self.match[1]

    monkeypatch.setattr(pexpect.spawn, "__init__", remembering)


def test_the_shells_status_comes_back_and_the_terminal_is_restored(start: Start) -> None:
    child = start()
    child.send("exit 37\r")
    assert finish(child) == 37


def test_the_end_of_input_ends_the_shell(start: Start) -> None:
    child = start()
    child.send("(exit 5)\r")
    # What is typed before the shell reads again may be lost to it.
    while child.expect([rb"status (?=\d)", pexpect.TIMEOUT], timeout=0.5):
        child.send("\x04")
    child.expect(rb"^5\r\n")


def test_a_shell_ended_by_a_signal_is_128_and_its_number(start: Start) -> None:
    child = start()
    child.send("kill -9 $$\r")
    assert finish(child) == 137


def test_it_has_a_terminal_of_the_right_kind_and_size(start: Start) -> None:
    child = start()
    child.send("tty; echo $TERM; stty size\r")
    child.expect(rb"/dev/pts/\d+\r\n[a-z0-9-]+\r\n24 80\r\n")
    child.send("exit\r")
    assert finish(child) == 0


def test_resizing_reaches_the_instance(start: Start) -> None:
    child = start()
    # Without job control, so that the shell itself is in the group that is told.
    child.send("""bash -c 'trap "stty size; exit" WINCH; echo wait""ing; while :; do sleep 0.05; done'\r""")
    child.expect(b"waiting")
    child.setwinsize(33, 101)
    child.expect(b"33 101\r\n")
    child.send("exit 0\r")
    assert finish(child) == 0


def test_ctrl_c_reaches_the_program_there(start: Start) -> None:
    child = start()
    child.send(SLEEPER + "\r")
    child.expect(b"started")
    child.send("\x03")
    child.send("echo st=$?.\r")
    child.expect(rb"st=130\.")
    child.send("exit 0\r")
    assert finish(child) == 0


def test_ctrl_z_and_ctrl_backslash_reach_the_program_there(start: Start) -> None:
    child = start()
    child.send(SLEEPER + "\r")
    child.expect(b"started")
    child.send("\x1a")
    child.expect(b"Stopped")
    child.send(f"kill %1; {SLEEPER}\r")
    child.expect(b"started\r\n")
    child.send("\x1c")
    child.send("echo st=$?.\r")
    child.expect(rb"st=131\.")
    child.send("exit 0\r")
    assert finish(child) == 0


@pytest.mark.skipif(not shutil.which("vi"), reason="vi is not installed")
def test_vi_draws_and_saves(start: Start, there: There) -> None:
    child = start()
    child.send(f"vi {there.folder}/file; echo do''ne\r")
    child.expect(b"~")
    child.send("ihello from vi\x1b:wq\r")
    # What is typed before vi has gone is lost.
    child.expect(b"done")
    assert there.read("file") == b"hello from vi\n"
    child.send("exit 0\r")
    assert finish(child) == 0


@pytest.mark.skipif(not shutil.which("top"), reason="top is not installed")
def test_top_draws_and_quits(start: Start) -> None:
    child = start()
    child.send("top; echo do''ne\r")
    child.expect(b"load average")
    child.send("q")
    # What is typed before top has gone is lost.
    child.expect(b"done")
    child.send("exit 4\r")
    assert finish(child) == 4


def test_much_output_arrives_whole_and_in_order(start: Start) -> None:
    child = start()
    child.send("stty -opost; seq 200000; echo do''ne; exit 6\r")
    child.expect(rb"[\r\n]1\n")
    child.expect(b"done")
    assert child.before == b"".join(b"%d\n" % number for number in range(2, 200001))
    assert finish(child) == 6


def test_a_long_paste_arrives_whole(start: Start, there: There) -> None:
    child = start()
    child.send(f"stty raw -echo; echo go''on; head -c 300000 > {there.folder}/pasted; stty sane; exit 7\r")
    child.expect(b"goon")
    child.send(b"0123456789" * 30000)
    assert finish(child) == 7
    assert there.read("pasted") == b"0123456789" * 30000


def test_the_escape_drops_the_line(start: Start) -> None:
    child = start()
    child.send("sleep 1000\r")
    child.send("~.")
    assert finish(child) == 255


def test_a_lost_line_restores_the_terminal(start: Start, proxy: Proxy) -> None:
    child = start(proxy.address)
    proxy.cut()
    child.expect(b"SshLost")
    assert finish(child) == 5


@pytest.mark.parametrize("name", ["TERM", "HUP"])
def test_a_signal_here_restores_the_terminal(start: Start, name: str) -> None:
    child = start()
    # Told by its arguments: the shell between the terminal and it has other ones.
    listing = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True, text=True, check=True)
    subprocess.run(["kill", f"-{name}", *listing.stdout.split()], check=True)
    assert finish(child) == {"TERM": 143, "HUP": 129}[name]


def test_piped_commands_run_and_their_status_comes_back(server: Server) -> None:
    done = subprocess.run(
        program(server),
        input=b"echo out\necho err >&2\ntest -t 0 && echo terminal\nexit 37\n",
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (37, b"out\n", b"err\n")


def test_a_pipe_that_stays_open_does_not_keep_the_shell(server: Server) -> None:
    with subprocess.Popen(
        program(server), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin and process.stdout and process.stderr  # noqa: PT018 - for the type checker
        process.stdin.write(b"exit 3\n")
        process.stdin.flush()
        assert process.wait(SECONDS) == 3
        assert (process.stdout.read(), process.stderr.read()) == (b"", b"")


def test_the_end_of_a_pipe_ends_the_shell(server: Server) -> None:
    done = subprocess.run(program(server), input=b"echo out\n(exit 9)", capture_output=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (9, b"out\n")
