"""A line between two network namespaces delays, slows down, loses and cuts what it carries; the table of its cells."""

import hashlib
import importlib
import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAMES = 4000
WAIT_SECONDS = 60


@pytest.fixture(autouse=True)
def _from_the_repository(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def link(_from_the_repository):
    return importlib.import_module("benchmarks.link")


@pytest.fixture
def real_links(_from_the_repository):
    return importlib.import_module("benchmarks.real_links")


@pytest.fixture
def line(link, tmp_path, monkeypatch):
    """What makes a line, or skips with the reason why there is none."""
    # Nothing leads out of namespaces that have no device but the line's.
    monkeypatch.setattr(socket.socket, "connect", socket.socket.__base__.connect)
    with ExitStack() as stack:

        def made(*arguments, **more):
            try:
                return stack.enter_context(link.real_link(tmp_path, link.Nature(*arguments, **more)))
            except link.NoLink as error:
                pytest.skip(str(error))

        yield made


def counts_when(line, is_enough):
    """What both ends have sent, as soon as it is enough."""
    end = time.monotonic() + WAIT_SECONDS
    while not is_enough(*(counts := line.counts())):
        assert time.monotonic() < end, counts
        time.sleep(0.01)
    return counts


def send(link, line, count, size=1000, pause_every=100):
    """Send as many datagrams to the far end as ``count`` says; who would take them there listens."""
    with line.far_end():
        taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        taker.bind((link.FAR, 0))
    with taker, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(count):
            sender.sendto(bytes(size), taker.getsockname())
            if number % pause_every == pause_every - 1:
                # The kernel drops by itself what the program was given no time to take.
                counts_when(line, lambda near, far, sent=number + 1: near.sent >= sent)
    return counts_when(line, lambda near, far: near.sent >= count)[0]


def stream(link, line, data):
    """Send data to the far end over TCP; what arrived there."""
    arrived = bytearray()

    def take():
        accepted, _ = listener.accept()
        with accepted:
            while piece := accepted.recv(1 << 20):
                arrived.extend(piece)

    with line.far_end():
        listener = socket.create_server((link.FAR, 0))
    with listener:
        taking = threading.Thread(target=take)
        taking.start()
        with socket.create_connection(listener.getsockname(), WAIT_SECONDS) as sender:
            sender.sendall(data)
        taking.join(WAIT_SECONDS)
    return bytes(arrived)


def test_what_is_sent_is_under_way_for_as_long_as_the_line_is(link, line):
    slow = line(1000, 2 * 3_600_000)
    near = send(link, slow, 50)
    assert (near.sent, near.lost, near.dropped, near.delivered) == (50, 0, 0, 0)


def test_what_is_sent_arrives_in_the_end(link, line):
    quick = line(1000, 20)
    send(link, quick, 50)
    near, _ = counts_when(quick, lambda near, far: near.delivered == near.sent)
    assert near.sent == 50


def test_a_slow_line_drops_what_its_queue_has_no_room_for(link, line):
    # In an hour it moves 450 bytes: whatever arrives finds the queue as full as the one before it has left it.
    stuck = line(0.000001, 20)
    near = send(link, stuck, 200)
    assert stuck.counts()[0].delivered == 0
    room = link.Nature(0.000001, 20).queue // 1066
    assert near.sent - near.dropped == room


def test_packets_are_lost_by_chance_about_as_often_as_was_asked_for(link, line):
    near = send(link, line(1000, 0.1, 10), FRAMES)
    assert near.sent == FRAMES
    assert FRAMES * 0.07 < near.lost < FRAMES * 0.13


def test_chance_is_that_of_the_seed(link, line, tmp_path):
    found = []
    for seed in (1, 1, 2):
        nature = link.Nature(1000, 0.1, 10, seed)
        try:
            with link.real_link(tmp_path, nature) as made:
                found.append(send(link, made, 500).lost)
        except link.NoLink as error:
            pytest.skip(str(error))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("percent", [0, 3])
def test_tcp_brings_everything_and_each_of_its_segments_is_a_packet_of_its_own(link, line, percent):
    data = os.urandom(4_000_000)
    made = line(1000, 4, percent)
    assert hashlib.sha256(stream(link, made, data)).digest() == hashlib.sha256(data).digest()
    near = made.counts()[0]
    assert near.sent >= len(data) // 1460
    assert bool(near.lost) == bool(percent)
    # Some of a large frame may be lost and the rest of it must not be.
    assert near.delivered >= len(data) // 1460


def test_nothing_is_left_of_a_line_and_who_made_it_is_where_it_was(link, line, tmp_path):
    before = Path("/proc/thread-self/ns/net").readlink()
    made = line(100, 20)
    near = Path("/proc/thread-self/ns/net").readlink()
    with made.far_end():
        far = Path("/proc/thread-self/ns/net").readlink()
    assert len({before, near, far}) == 3
    with link.real_link(tmp_path, link.Nature(100, 20)) as other:
        program = other.program
        assert program.poll() is None
    assert program.poll() == 0
    assert Path("/proc/thread-self/ns/net").readlink() == near


def test_who_may_not_make_a_line_hears_why(link, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(link.NoLink, match="only root"), link.real_link(tmp_path, link.Nature(100, 20)):
        pass


def test_the_measurement_is_skipped_with_a_word_where_there_is_no_line(real_links, monkeypatch, capsys):
    options = importlib.import_module("benchmarks.options").Options(cells="100/20/0/command")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert real_links.measure(options) == []
    assert "skipped: only root" in capsys.readouterr().err


def test_the_cells_are_all_combinations_and_patterns_choose_among_them(real_links):
    names = [cell.name for cell in real_links.cells()]
    assert len(names) == len(set(names)) == 2 * 2 * 3 * 5
    assert {cell.line for cell in real_links.cells("1000/80/0.1")} == {"1000/80/0.1"}
    assert len(real_links.cells("*/command")) == 12
    assert [cell.name for cell in real_links.cells("100/20/1/up, 1000/20/0/down")] == ["100/20/1/up", "1000/20/0/down"]
    with pytest.raises(SystemExit, match="no cell is like 10/10/10"):
        real_links.cells("10/10/10")


def test_the_goals_are_three_times_on_a_lossy_line_and_never_slower_on_any(real_links):
    goals = {cell.name: cell.goal for cell in real_links.cells()}
    assert goals["1000/80/0.1/up"] == goals["1000/80/0.1/down"] == 1 / 3
    assert {goal for name, goal in goals.items() if name.endswith("command")} == {0.4}
    assert {goal for name, goal in goals.items() if not name.startswith("1000/80/0.1/")} == {0.4, 1.0}


def test_a_cell_takes_a_peer_a_minute_or_so_and_is_never_so_small_that_one_connection_is_enough(real_links):
    for cell in real_links.cells("*/up"):
        assert 16 <= cell.megabytes <= 512
        assert cell.seconds < 90, cell


def test_the_better_peer_counts_and_the_roof_is_no_peer(real_links):
    sample = importlib.import_module("benchmarks.timing").Sample
    [cell] = real_links.cells("1000/80/0.1/up")
    number = real_links.number_of(
        cell,
        [
            sample("spot-connect", (2.0,)),
            sample("rsync -a", (9.0,)),
            sample("scp -r", (8.0,)),
            sample(real_links.ROOF, (1.0,)),
        ],
    )
    assert number.result == "0.25x"
    assert number.met
    assert "scp -r" in number.peer
    assert number.notes[-1] == "1.00 s four TCP streams; ours takes 2.00x as long"


def test_a_measurement_has_its_own_place_in_a_page_or_shares_the_common_one(tmp_path):
    run = importlib.import_module("benchmarks.run")
    number = importlib.import_module("benchmarks.timing").Number
    page = tmp_path / "page.md"
    own = "<!-- real_links: begin -->\nold\n<!-- real_links: end -->"
    page.write_text(f"a\n{own}\nb\n<!-- measured: begin --><!-- measured: end -->\n")
    run.update(page, {"real_links": [], "transfers": [number("mine", "1", "2", "0.5x")]})
    text = page.read_text()
    assert text.startswith("a\n<!-- real_links: begin -->\nold\n<!-- real_links: end -->\nb\n")
    assert "| mine" in text
    run.update(page, {"real_links": [number("line", "1", "2", "0.5x")]})
    text = page.read_text()
    assert "old" not in text
    assert text.index("| line") < text.index("\nb\n") < text.index("| mine")
    page.write_text("nothing here")
    with pytest.raises(SystemExit, match="no place for the table"):
        run.update(page, {"real_links": [number("line", "1", "2", "0.5x")]})


def test_a_part_of_the_cells_does_not_take_the_place_of_all(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("untouched")
    run = importlib.import_module("benchmarks.run")
    with pytest.raises(SystemExit) as ended:
        run.main(["real_links", "--cells", "100/20/0", "--update", str(page)])
    assert ended.value.code == 2
    assert page.read_text() == "untouched"


def test_the_program_is_built_without_a_warning(tmp_path):
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    command = [
        "cc",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        str(tmp_path / "link"),
        str(ROOT / "benchmarks/link.c"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
