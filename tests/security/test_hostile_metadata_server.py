"""Whatever a metadata service answers, the watcher gets a time, nothing, or one kind of error."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spot_connect.interruption.metadata import Metadata, Unreachable

TOKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nt"


def reply(body: bytes, status: bytes = b"200 OK", *heads: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *heads]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Server:
    """It gives one answer after the other, in pieces, and remembers what it was asked."""

    def __init__(self, *answers):
        self.asked = []
        self._answers = itertools.chain(answers, itertools.repeat(answers[-1]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self):
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            with caller:
                try:
                    self.asked.append(caller.recv(65536))
                    answer = next(self._answers)
                    for piece in [answer] if isinstance(answer, bytes) else answer:
                        caller.sendall(piece)
                except OSError:
                    continue


@contextmanager
def answering(*answers):
    with Server(TOKEN, *answers) as server:
        yield Metadata(server.url), server


@pytest.mark.parametrize(
    "body",
    [
        b"<html>sign in</html>",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b"1",
        b"{}",
        b'{"time": 5}',
        b'{"time": null}',
        b'{"time": "tomorrow"}',
        b'{"time": "0000-00-00T00:00:00Z"}',
        b"[" * 100_000,
        b'{"time": ' + b"9" * 100_000 + b"}",
    ],
)
def test_a_notice_that_is_none_is_one_error(body):
    with answering(reply(body)) as (metadata, _), pytest.raises(Unreachable, match="what cannot be read"):
        metadata.interruption()


def test_a_true_notice_is_read():
    with answering(reply(b'{"action": "terminate", "time": "2026-11-29T12:00:00Z"}')) as (metadata, _):
        assert metadata.interruption() == 1795953600.0


def test_an_answer_without_end_is_not_read_to_its_end():
    sent = []

    def endless():
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            sent.append(65536)
            yield b"x" * 65536

    with answering(endless()) as (metadata, _), pytest.raises(Unreachable, match="too long"):
        metadata.get("instance-id")
    assert sum(sent) < 64 * 1024 * 1024


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n"],
)
def test_an_answer_that_drips_is_given_up(start):
    now = itertools.count(0.0, 0.3)  # each look at the clock is later: no time passes in truth

    def drip():
        yield start
        while True:
            yield b"x"

    with Server(TOKEN, drip()) as server:
        metadata = Metadata(server.url, clock=lambda: next(now))
        with pytest.raises(Unreachable, match="no whole answer in 2 s"):
            metadata.get("instance-id")


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See", b"307 Temporary", b"308 Permanent"])
def test_nobody_is_sent_elsewhere_with_the_token(status, tmp_path):
    (tmp_path / "secret").write_text("secret")
    with Server(reply(b"elsewhere")) as other:
        for place in (other.url.encode(), b"file://" + bytes(tmp_path / "secret"), b"ftp://127.0.0.1/"):
            sent_on = reply(b"", status, b"Location: " + place)
            refused = pytest.raises(Unreachable, match=f"answers {status[:3].decode()}")
            with answering(sent_on) as (metadata, _), refused:
                metadata.get("instance-id")
        assert other.asked == []


@pytest.mark.parametrize("token", [b"t\r\nX-Evil: 1", b"t\nX: 1", b"t\x00", "tö".encode(), b"t\x7f"])
def test_a_token_cannot_become_another_header(token):
    with Server(reply(token)) as server, pytest.raises(Unreachable, match="a token that is none"):
        Metadata(server.url).get("instance-id")
    assert len(server.asked) == 1


def test_the_secret_path_is_in_no_error():
    with answering(reply(b"", b"500 No")) as (_, server):
        metadata = Metadata(f"{server.url}/_imds/SECRET/")
        with pytest.raises(Unreachable) as caught:
            metadata.get("instance-id")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "base", ["file:///etc/passwd", "ftp://127.0.0.1", "nonsense", "http://[", "http://127.0.0.1:x"]
)
def test_an_address_of_another_kind_is_no_service(base):
    with pytest.raises(Unreachable):
        Metadata(base).get("instance-id")


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=200).map(reply),
        st.from_type(dict).map(lambda d: reply(json.dumps(str(d)).encode())),
    )
)
def test_any_answer_is_text_or_nothing_or_that_error(answer):
    with answering(answer) as (metadata, _):
        for ask in (lambda: metadata.get("instance-id"), metadata.interruption, metadata.rebalance):
            assert isinstance(_said(ask), str | float | None)


def _said(ask):
    try:
        return ask()
    except Unreachable as error:
        return None if str(error).isprintable() else error
