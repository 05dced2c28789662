from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import TypeVar

import paramiko
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_REQUEST
from paramiko.packet import Packetizer as Theirs

from spot_connect.ssh._line import Line
from spot_connect.ssh._packets import ChannelData
from spot_connect.ssh._packets import Packetizer as Ours
from spot_connect.ssh._transport import Transport

_KEY, _IV = os.urandom(16), os.urandom(12)
_SIZES = (0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15, 16, 17, 100, 4096, 32768, 70000, 250_000, 5, 300_000, 1)

P = TypeVar("P", bound=Theirs)
Ends = tuple[Ours, Theirs, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = Line(socket.create_connection(listener.getsockname()))
        far, _ = listener.accept()
        with near, far:
            yield _keyed(Ours(near)), _keyed(Theirs(far)), far


def test_both_sides_read_what_the_other_sends(ends: Ends) -> None:
    ours, theirs, _ = ends
    for sender, reader in ((theirs, ours), (ours, theirs)):
        sending = threading.Thread(target=_send_all, args=(sender,), daemon=True)
        sending.start()
        got = [reader.read_message() for _ in range(2 * len(_SIZES))]
        sending.join()
        assert [message.seqno for _, message in got] == list(range(len(got)))  # type: ignore[attr-defined]
        for size, (kind, message) in zip(_SIZES, got[::2], strict=True):
            assert kind == MSG_CHANNEL_DATA
            assert message.get_int() == 7
            assert message.get_binary() == _content(size)
        for size, (kind, message) in zip(_SIZES, got[1::2], strict=True):
            assert kind == MSG_CHANNEL_REQUEST
            assert message.get_remainder() == _content(size)
            message.rewind()
            assert message.asbytes() == _content(size)


@pytest.mark.parametrize("usual", [True, False])
def test_data_for_a_channel_arrives_as_it_was_given(ends: Ends, usual: bool) -> None:
    ours, theirs, _ = ends
    # Near a new key exchange it goes the parent's way.
    ours.REKEY_BYTES = ours.REKEY_BYTES if usual else 0
    for size in (1, 100, 32768):
        whole = memoryview(b"before" + _content(size))
        ours.send_message(ChannelData(7, [whole[6:]]))
        assert _data(theirs) == (7, _content(size))


@pytest.mark.parametrize("usual", [True, False])
def test_several_pieces_of_data_travel_as_a_packet_each(ends: Ends, usual: bool) -> None:
    ours, theirs, _ = ends
    ours.REKEY_BYTES = ours.REKEY_BYTES if usual else 0
    whole = memoryview(_content(70_000))
    ours.send_message(ChannelData(7, [whole[:32_000], whole[32_000:64_000], whole[64_000:]]))
    ours.send_message(_message(MSG_CHANNEL_REQUEST, b"next"))
    assert [_data(theirs) for _ in range(3)] == [(7, bytes(whole[at : at + 32_000])) for at in (0, 32_000, 64_000)]
    kind, message = theirs.read_message()
    assert (kind, message.get_remainder()) == (MSG_CHANNEL_REQUEST, b"next")


def test_no_more_data_is_sent_than_the_server_has_room_for(ends: Ends) -> None:
    ours, theirs, _ = ends
    transport = _transport(ours)
    channel = _channel(transport, room=70_000)
    whole = memoryview(_content(200_000))
    assert transport.send_data(channel, whole) == 70_000
    assert channel.out_window_size == 0
    sizes = [len(_data(theirs)[1]) for _ in range(3)]
    assert sizes == [32_768, 32_768, 70_000 - 2 * 32_768]


def test_a_few_packets_are_sent_at_once_and_no_more(ends: Ends) -> None:
    ours, theirs, _ = ends
    transport = _transport(ours)
    channel = _channel(transport, room=1_000_000)
    whole = memoryview(_content(300_000))
    sent = transport.send_data(channel, whole)
    assert 32_768 < sent < 300_000
    assert b"".join(_data(theirs)[1] for _ in range(sent // 32_768)) == whole[:sent]


def test_what_is_held_back_goes_out_in_its_order_when_it_is_let_go(ends: Ends) -> None:
    ours, theirs, far = ends
    far.settimeout(0)
    ours.hold_back()
    ours.send_message(_message(MSG_CHANNEL_REQUEST, b"first"))
    ours.hold_back()
    ours.send_message(ChannelData(7, [memoryview(b"second")]))
    with pytest.raises(BlockingIOError):
        far.recv(1)
    ours.let_go()
    far.settimeout(None)
    ours.send_message(_message(MSG_CHANNEL_REQUEST, b"third"))
    assert theirs.read_message()[1].get_remainder() == b"first"
    assert _data(theirs) == (7, b"second")
    assert theirs.read_message()[1].get_remainder() == b"third"


def test_letting_go_of_a_line_that_is_gone_is_no_failure(ends: Ends) -> None:
    ours, _, _ = ends
    ours.hold_back()
    ours.send_message(_message(MSG_CHANNEL_REQUEST, b"never heard"))
    ours._line.close()
    ours.let_go()
    with pytest.raises(EOFError):
        ours.send_message(_message(MSG_CHANNEL_REQUEST, b"next"))


def test_a_closed_channel_takes_no_data(ends: Ends) -> None:
    ours, _, _ = ends
    transport = _transport(ours)
    channel = _channel(transport, room=1000)
    channel.closed = True
    with pytest.raises(OSError, match="closed"):
        transport.send_data(channel, memoryview(b"data"))


def test_a_packet_that_was_changed_on_its_way_is_refused(ends: Ends) -> None:
    ours, _, far = ends
    caught = _Caught()
    sealing = _keyed(Theirs(caught))  # type: ignore[arg-type]
    for _ in range(3):
        sealing.send_message(_message(MSG_CHANNEL_DATA, b"x" * 100))
    first, second, third = caught.sent
    far.sendall(first + second[:40] + bytes([second[40] ^ 1]) + second[41:] + third)
    assert ours.read_message()[1].get_remainder()[:1] == b"x"
    with pytest.raises(InvalidTag):
        ours.read_message()


def test_neither_order_nor_repetition_goes_unnoticed(ends: Ends) -> None:
    ours, _, far = ends
    caught = _Caught()
    sealing = _keyed(Theirs(caught))  # type: ignore[arg-type]
    sealing.send_message(_message(MSG_CHANNEL_DATA, b"x" * 100))
    far.sendall(caught.sent[0] * 2)
    ours.read_message()
    with pytest.raises(InvalidTag):
        ours.read_message()


@pytest.mark.parametrize("limit", ["REKEY_BYTES", "REKEY_PACKETS"])
@pytest.mark.parametrize("reads", [True, False])
def test_a_new_key_is_asked_for_in_time(ends: Ends, limit: str, reads: bool) -> None:
    ours, theirs, _ = ends
    setattr(ours, limit, 10_000 if limit == "REKEY_BYTES" else 10)
    sender, reader = (theirs, ours) if reads else (ours, theirs)
    for _ in range(12):
        sender.send_message(_message(MSG_CHANNEL_DATA, b"x" * 980))
    for number in range(12):
        assert not reads or ours.need_rekey() == (number > 10)
        reader.read_message()
    assert ours.need_rekey()


@pytest.mark.parametrize("reads", [True, False])
def test_no_new_key_is_asked_for_below_the_limits(ends: Ends, reads: bool) -> None:
    ours, theirs, _ = ends
    ours.REKEY_BYTES, ours.REKEY_PACKETS = 12_500, 13
    sender, reader = (theirs, ours) if reads else (ours, theirs)
    for _ in range(12):
        sender.send_message(_message(MSG_CHANNEL_DATA, b"x" * 980))
        reader.read_message()
    assert not ours.need_rekey()


class _Caught:
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> int:
        self.sent.append(data)
        return len(data)


def _keyed(packetizer: P) -> P:
    packetizer.set_outbound_cipher(AESGCM(_KEY), 16, None, 16, b"", aead=True, iv_out=_IV)  # type: ignore[arg-type]
    packetizer.set_inbound_cipher(AESGCM(_KEY), 16, None, 16, b"", aead=True, iv_in=_IV)  # type: ignore[arg-type]
    packetizer._initial_kex_done = True  # type: ignore[attr-defined]
    return packetizer


def _transport(packetizer: Ours) -> Transport:
    transport = Transport(packetizer._line, host_key_algorithms=(), seconds=5, hasty=False)
    packetizer.let_go()
    transport.packetizer = packetizer
    transport.active = True
    transport.clear_to_send.set()
    return transport


def _channel(transport: Transport, *, room: int) -> paramiko.Channel:
    channel = paramiko.Channel(0)
    channel._set_transport(transport)
    channel._set_window(1 << 20, 1 << 15)
    channel._set_remote_channel(7, room, 1 << 15)
    return channel


def _data(reader: Theirs) -> tuple[int, bytes]:
    """The channel and the data of the next packet, which holds nothing else."""
    kind, message = reader.read_message()
    found = (message.get_int(), message.get_binary())
    assert kind == MSG_CHANNEL_DATA
    assert not message.get_remainder()
    return found


def _send_all(sender: Theirs) -> None:
    for size in _SIZES:
        data = paramiko.Message()
        data.add_int(7)
        data.add_string(_content(size))
        sender.send_message(_message(MSG_CHANNEL_DATA, data.asbytes()))
        sender.send_message(_message(MSG_CHANNEL_REQUEST, _content(size)))


def _message(kind: int, content: bytes) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(bytes([kind]))
    message.add_bytes(content)
    return message


def _content(size: int) -> bytes:
    return bytes(number % 251 for number in range(size))
