from __future__ import annotations

import threading

import pytest

from spot_connect.ssh._pieces import Pieces


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
def test_all_that_was_fed_is_read_in_order(size: int) -> None:
    pieces = Pieces(threading.Condition())
    for piece in (b"abcd", b"", b"efgh", b"i"):
        pieces.feed(piece)
    pieces.close()
    got = list(iter(lambda: pieces.read(size), b""))
    assert b"".join(got) == b"abcdefghi"
    assert max(map(len, got)) <= size


def test_a_read_ends_when_the_channel_does() -> None:
    pieces = Pieces(threading.Condition())
    thread = threading.Thread(target=pieces.close)
    thread.start()
    assert pieces.read(10) == b""
    thread.join()


def test_a_read_may_give_up() -> None:
    assert Pieces(threading.Condition()).read(10, 0.0) == b""


def test_what_is_gathered_is_waited_for_and_read_in_one() -> None:
    pieces = Pieces(threading.Condition())
    feeding = threading.Thread(target=lambda: [pieces.feed(b"abc") for _ in range(100)])
    feeding.start()
    pieces.gather(300, 60)
    assert pieces.read(1000) == b"abc" * 100
    feeding.join()


@pytest.mark.parametrize("closed", [True, False])
def test_what_does_not_come_is_not_waited_for(closed: bool) -> None:
    pieces = Pieces(threading.Condition())
    pieces.feed(b"abc")
    if closed:
        pieces.close()
    pieces.gather(4, 60 if closed else 0.01)
    assert pieces.read(10) == b"abc"
