"""paramiko's packets, with fewer copies where the cipher is AES-GCM."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Protocol

import paramiko.packet
from paramiko.common import MSG_CHANNEL_DATA, cMSG_CHANNEL_DATA

from spot_connect.ssh._line import Line

if TYPE_CHECKING:
    from typing_extensions import Buffer

_LENGTH = 4
_TAG = 16
_BLOCK = 16
_LAST_NUMBER = 0xFFFFFFFF
_NOISE = 4096


class _Engine(Protocol):
    """What encrypts, or decrypts."""

    def encrypt(self, nonce: bytes, data: bytes, associated: bytes, /) -> bytes:
        """The data encrypted, and the tag behind it."""

    def decrypt(self, nonce: bytes, data: memoryview, associated: memoryview, /) -> bytes:
        """The data; raises if the tag is not theirs."""


class ChannelData(paramiko.Message):
    """Data for a channel (RFC 4254, 5.2) in one packet or several, which is not copied before it is encrypted.

    Args:
        channel: the server's number of it.
        pieces: what to send, each as much as fits into a packet.
    """

    def __init__(self, channel: int, pieces: Sequence[memoryview]) -> None:
        super().__init__()
        self.add_byte(cMSG_CHANNEL_DATA)
        self.add_int(channel)
        self._pieces = pieces

    def packets(self) -> Iterator[tuple[bytes, memoryview]]:
        """What is in each packet: its beginning, and the data after that."""
        head = self.asbytes()
        return ((head + len(piece).to_bytes(_LENGTH, "big"), piece) for piece in self._pieces)


class Packetizer(paramiko.packet.Packetizer):
    """The usual one, which copies each packet of AES-GCM (RFC 5647) a few times less.

    It has its parent's name, because Python files the private state that both work on under the name of the class. The
    parent does all that is rare: other ciphers, packets that have not arrived whole, and whatever comes near a new key
    exchange.
    """

    __aead_in: bool
    __aead_out: bool
    __block_engine_in: _Engine
    __block_engine_out: _Engine
    __compress_engine_in: object
    __compress_engine_out: object
    __dump_packets: bool
    __iv_in: bytes
    __iv_out: bytes
    __need_rekey: bool
    __received_bytes: int
    __received_packets: int
    __sent_bytes: int
    __sent_packets: int
    __sequence_number_in: int
    __sequence_number_out: int
    __write_lock: threading.RLock
    _initial_kex_done: bool

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self.told = ""
        """The last line that the server has said before its packets."""
        self._line = line
        self._noise = b""
        self._held: list[Buffer] | None = None

    def readline(self, timeout: float) -> str:
        """The next line of what comes before packets."""
        self.told = str(super().readline(timeout))
        return self.told

    def hold_back(self) -> None:
        """Let what is sent from now on wait for more, so that the server wakes up once for all of it."""
        with self.__write_lock:
            self._held = self._held or []

    def let_go(self) -> None:
        """Send what was held back, and from now on everything at once."""
        with self.__write_lock:
            held, self._held = self._held, None
            if held:
                # The line may be gone by now, and whoever reads will hear of it.
                with contextlib.suppress(EOFError):
                    super().write_all(b"".join(held))

    def write_all(self, out: Buffer) -> None:
        """Send all of it, or hold it back."""
        if self._held is None:
            super().write_all(out)
        else:
            self._held.append(out)

    def read_message(self) -> tuple[int, paramiko.Message]:
        """The next message, and its kind."""
        way = (self.__aead_in, self.__compress_engine_in, self.__received_bytes, self.__received_packets)
        sealed = self._line.whole_packet(_TAG) if self.__is_usual(*way) else None
        if not sealed:
            return super().read_message()
        plain = self.__block_engine_in.decrypt(self.__iv_in, sealed[_LENGTH:], sealed[:_LENGTH])
        message = _message(plain)
        message.seqno = self.__sequence_number_in
        self.__iv_in = self._inc_iv_counter(self.__iv_in)  # type: ignore[attr-defined]
        self.__sequence_number_in = (self.__sequence_number_in + 1) & _LAST_NUMBER
        self.__received_bytes += len(sealed)
        self.__received_packets += 1
        return plain[1], message

    def send_message(self, data: paramiko.Message) -> None:
        """Encrypt a message and send it; data for a channel in one go, as each is a chance for others to wake up."""
        packets = data.packets() if isinstance(data, ChannelData) else ((data.asbytes(), b""),)
        with self.__write_lock:
            way = (self.__aead_out, self.__compress_engine_out, self.__sent_bytes, self.__sent_packets)
            if self.__is_usual(*way):
                self.write_all(memoryview(b"".join(part for packet in packets for part in self.__sealed(*packet))))
                return
            for head, rest in packets:
                super().send_message(paramiko.Message(head + rest))

    def __sealed(self, head: bytes, rest: bytes | memoryview) -> tuple[bytes, bytes]:
        size = len(head) + len(rest)
        padding = 3 + _BLOCK - (size + _LENGTH) % _BLOCK
        length = (1 + size + padding).to_bytes(_LENGTH, "big")
        plain = b"".join((bytes((padding,)), head, rest, self.__padding(padding)))
        sealed = self.__block_engine_out.encrypt(self.__iv_out, plain, length)
        self.__iv_out = self._inc_iv_counter(self.__iv_out)  # type: ignore[attr-defined]
        self.__sequence_number_out = (self.__sequence_number_out + 1) & _LAST_NUMBER
        self.__sent_bytes += len(length) + len(sealed)
        self.__sent_packets += 1
        return length, sealed

    def __padding(self, size: int) -> bytes:
        # Random, as RFC 4253 wants it (6), but not asked for one packet at a time.
        if len(self._noise) < size:
            self._noise = os.urandom(_NOISE)
        padding, self._noise = self._noise[:size], self._noise[size:]
        return padding

    def __is_usual(self, aead: bool, compressor: object, size: int, packets: int) -> bool:
        return (
            aead
            and self._initial_kex_done
            and not (self.__need_rekey or self.__dump_packets or compressor)
            and size < self.REKEY_BYTES
            and packets < self.REKEY_PACKETS
        )


def _message(plain: bytes) -> paramiko.Message:
    """What is in a packet behind the padding's length and the kind."""
    if plain[1] != MSG_CHANNEL_DATA:
        return paramiko.Message(plain[2 : len(plain) - plain[0]])
    # Whoever takes it reads on from where it stands, as far as its own length says.
    message = paramiko.Message()
    message.packet = BytesIO(plain)
    message.packet.seek(2)
    return message
