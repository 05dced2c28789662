"""What is sent before its turn has come, each time to save a round trip.

Whatever the server would have had to say first is guessed; where the guess was wrong, the line is given up, and the
next one keeps to the order.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.common import cMSG_CHANNEL_OPEN, cMSG_CHANNEL_REQUEST
from paramiko.kex_ecdh_nist import KexNistp256

from spot_connect.core.waiting import SYSTEM_CLOCK
from spot_connect.ssh._pieces import Pieces

if TYPE_CHECKING:
    from spot_connect.ssh._transport import Transport

_EXCHANGE_REPLY = 31
_FIRST_NUMBER = 0


class Exchange(KexNistp256):
    """A key exchange that is begun before the server has said which it wants: the first one that we name."""

    def begin(self) -> None:
        """Send our half."""
        super().start_kex()

    def start_kex(self) -> None:
        """Wait for the other half, now that the guess has proved right."""
        self.transport._expect_packet(_EXCHANGE_REPLY)  # type: ignore[attr-defined]


class Login(AuthHandler):
    """Sends its request right behind the one for the service, which no OpenSSH refuses."""

    round_trip = 0.0

    def auth_publickey(self, username: str, key: paramiko.PKey, event: threading.Event) -> None:
        """Ask for the service and for the login."""
        self._asked = SYSTEM_CLOCK.now()
        super().auth_publickey(username, key, event)
        accepted = paramiko.Message()
        accepted.add_string("ssh-userauth")
        accepted.rewind()
        super()._parse_service_accept(accepted)  # type: ignore[misc]

    def _parse_service_accept(self, _message: paramiko.Message) -> None:
        # Nothing is left to do; but this is the one answer that costs the server nothing.
        self.round_trip = SYSTEM_CLOCK.now() - self._asked


class Session:
    """A session that is asked for before the login was answered, and in it a command, if one is given."""

    def __init__(self, transport: Transport, window: int, packet: int, command: str = "") -> None:
        self.command = command
        self._transport = transport
        with transport.lock:
            self._number = transport._next_channel()  # type: ignore[attr-defined]
            self._channel = paramiko.Channel(self._number)
            self._opened = transport.channel_events[self._number] = threading.Event()
            transport.channels_seen[self._number] = True
            transport._channels.put(self._number, self._channel)  # type: ignore[attr-defined]
            self._channel._set_transport(transport)  # type: ignore[attr-defined]
            self._channel._set_window(window, packet)  # type: ignore[attr-defined]
        transport._send_user_message(self._request(window, packet))  # type: ignore[attr-defined]
        if command:
            keep_pieces(self._channel)
            transport._send_user_message(_request_to_run(command, _FIRST_NUMBER))  # type: ignore[attr-defined]

    def _request(self, window: int, packet: int) -> paramiko.Message:
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string("session")
        for number in (self._number, window, packet):
            message.add_int(number)
        return message

    @property
    def unopened(self) -> paramiko.Channel:
        """The session while nobody knows yet whether it is opened.

        It is addressed by the number 0, which OpenSSH gives to the first.
        """
        return self._channel

    def is_first(self, seconds: float) -> bool:
        """Whether the server has opened it under the number 0, even if what was asked for there has ended by now."""
        opened = self._opened.wait(seconds) and bool(self._channel.active)
        return opened and self._channel.remote_chanid == _FIRST_NUMBER

    def channel(self, seconds: float) -> paramiko.Channel | None:
        """The session; none when the server did not open it, gave it another number than was guessed, or is gone.

        What was asked for in it may have ended by now.
        """
        if not self.command:
            opened = self._opened.wait(seconds) and not self._channel.closed and bool(self._channel.active)
        else:
            opened = self.is_first(seconds) and self._transport.is_active()
        return self._channel if opened else None


def keep_pieces(channel: paramiko.Channel) -> None:
    """Let what arrives on a channel, on which nothing has been asked yet, be kept in `Pieces`."""
    changed = threading.Condition()
    channel.in_buffer, channel.in_stderr_buffer = Pieces(changed), Pieces(changed)  # type: ignore[assignment]


def ask_to_run(channel: paramiko.Channel, command: str) -> None:
    """Ask for a command as paramiko does, but leave the answer to come: it would cost a round trip."""
    channel.get_transport()._send_user_message(  # type: ignore[attr-defined]
        _request_to_run(command, channel.remote_chanid)
    )


def _request_to_run(command: str, number: int) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(number)
    message.add_string("exec")
    message.add_boolean(True)  # noqa: FBT003
    message.add_string(command)
    return message
