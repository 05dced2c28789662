"""Whatever comes over the socket of a held line is a frame or a clean refusal; a claimed length takes no room."""

from __future__ import annotations

import resource
import socket
import struct
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot_connect.core.errors import SshLost
from spot_connect.holding import calling, frames
from spot_connect.holding.frames import Request, Wire
from spot_connect.holding.holder import read_request
from spot_connect.holding.talking import Streams, Talk

NOTHING = Streams(None, lambda _: None, lambda _: None)
KINDS = (frames.REQUEST, frames.INPUT, frames.BEGUN, frames.UNUSED, frames.ROOM, frames.OUT, frames.ENDED, frames.LOST)
HEAD = struct.Struct("!cI")


def sent(data: bytes) -> Wire:
    """A wire on which that was said before the other side went."""
    near, far = socket.socketpair()

    def say():
        with far:
            far.sendall(data)

    thread = threading.Thread(target=say)
    thread.start()
    thread.join() if len(data) < 100_000 else None
    return Wire(near)


def frame(kind: bytes, payload: bytes) -> bytes:
    return HEAD.pack(kind, len(payload)) + payload


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_the_end(data):
    with sent(data) as wire:
        heard = 0
        try:
            while True:
                kind, payload = wire.receive()
                heard += len(kind) + 4 + len(payload)
        except (EOFError, ConnectionError):
            assert heard <= len(data)


@given(st.integers(64 * 1024 * 1024 + 1, 2**32 - 1), st.sampled_from(KINDS))
def test_a_frame_that_is_too_long_is_refused_at_its_head(size, kind):
    with sent(HEAD.pack(kind, size) + b"x") as wire, pytest.raises(ConnectionError, match="that is no frame"):
        wire.receive()


def test_a_length_that_is_only_claimed_takes_no_room():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with sent(HEAD.pack(frames.REQUEST, 64 * 1024 * 1024) + b"x") as wire, pytest.raises(EOFError):
        wire.receive()
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 16 * 1024 * 1024


@given(st.one_of(st.binary(max_size=200), st.text().map(lambda text: text.encode(errors="replace"))))
def test_any_request_is_one_of_this_version_or_none(payload):
    with sent(frame(frames.REQUEST, payload)) as wire:
        request = read_request(wire)
    assert request is None or 0 <= request.seconds < float("inf")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "-1", "1e999", "x", ""])
def test_a_time_that_is_none_is_no_request(seconds):
    said = Request("vm1", 600, "true").to_bytes().replace(b" 600 ", f" {seconds} ".encode())
    with sent(frame(frames.REQUEST, said)) as wire:
        assert read_request(wire) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=30)), max_size=5), st.binary(max_size=9))
def test_any_holder_is_heard_to_a_status_a_refusal_or_a_lost_line(said, rest):
    told: list[str] = []
    data = b"".join(frame(kind, payload) for kind, payload in said) + rest
    with sent(data) as wire:
        talk = Talk(wire, "vm1", NOTHING, told.append)
        try:
            status = talk.finish()
        except SshLost:
            return
    assert status is not None or told


@given(st.binary(max_size=60))
def test_any_first_answer_of_a_holder_means_go_on_or_go_another_way(answer):
    with sent(answer) as wire:
        # What is sent to a side that has gone may fail here, which is one more of the ways.
        assert calling._begun(wire, Request("vm1", 600, "true"), lambda _: None) in (True, False)
