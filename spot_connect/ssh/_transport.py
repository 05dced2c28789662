"""paramiko's transport, set up for speed and able to tell the signal that ended a command."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping

import paramiko
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    cMSG_GLOBAL_REQUEST,
)

from spot_connect.core.untrusted import printable
from spot_connect.ssh._ahead import Exchange, Login
from spot_connect.ssh._line import Line
from spot_connect.ssh._packets import ChannelData, Packetizer

# Without a handler of its own, Python prints paramiko's tracebacks into our users' terminals.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
# The first is begun before the server has spoken. OpenSSH does it with OpenSSL, which costs the server 2 ms less than
# its own code for the next. No group exchange: it costs a round trip and some 40 ms more than any of these.
_CURVE = "curve25519-sha256"
"""RFC 8731's name for what paramiko knows by the older one alone."""
_EXCHANGES = (
    "ecdh-sha2-nistp256",
    _CURVE,
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "mlkem768x25519-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)
_MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
_HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
# RFC 4344 section 3.2 sets 2**32 blocks of 16 bytes, and so does OpenSSH. Ours lies a little above, so that the
# server always begins: when both begin at once, paramiko may wait half a minute for itself.
_REKEY_BYTES = 2**36 + 2**33
_REKEY_PACKETS = 2**31
_LEAST_UNDER_WAY = 512 * 1024
_CHANNEL_RATE = 250_000_000
_KEEPALIVE_SECONDS = 15
_LOOK_SECONDS = 5
# With each call of the kernel another thread takes the interpreter. OpenSSH grants room for about three packets at a
# time, so that more than a few at once bring nothing.
_PACKETS = 4

# By name and with Linux' numbers: a Windows client has no SIGKILL to look up.
_SIGNALS = {
    "HUP": 1,
    "INT": 2,
    "QUIT": 3,
    "ILL": 4,
    "TRAP": 5,
    "ABRT": 6,
    "BUS": 7,
    "FPE": 8,
    "KILL": 9,
    "USR1": 10,
    "SEGV": 11,
    "USR2": 12,
    "PIPE": 13,
    "ALRM": 14,
    "TERM": 15,
    "XCPU": 24,
    "XFSZ": 25,
    "SYS": 31,
}


def signal_status(name: str) -> int:
    """The shell's exit status for the end by a signal that SSH calls ``name``.

    Example:
        >>> signal_status("KILL")
        137
    """
    number = _SIGNALS.get(name.partition("@")[0].removeprefix("SIG"))
    return 128 + number if number else 255


_Handler = Callable[[paramiko.Channel, paramiko.Message], None]
_TABLE: dict[int, _Handler] = vars(paramiko.Transport)["_channel_handler_table"]
_OF_A_CHANNEL = frozenset(
    {
        MSG_CHANNEL_WINDOW_ADJUST,
        MSG_CHANNEL_DATA,
        MSG_CHANNEL_EXTENDED_DATA,
        MSG_CHANNEL_EOF,
        MSG_CHANNEL_CLOSE,
        MSG_CHANNEL_REQUEST,
    }
)


def _note_request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Handle a request as paramiko does, which knows exit-status only, and RFC 4254's exit-signal."""
    if message.get_text() == "exit-signal":
        message.get_boolean()
        channel.exit_status = signal_status(message.get_text())
        channel.status_event.set()
        return
    message.rewind()
    message.get_int()
    _TABLE[MSG_CHANNEL_REQUEST](channel, message)


def _note_room(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Take up more room for what we send; of OpenSSH's first grant no more than the line needs to be full.

    OpenSSH moves all that waits for a slow program in memory, again for each packet that comes: with its whole window
    waiting, that is most of what it does. It is known by opening a session without any room, and it grants again long
    before half of its window is used up, which other servers do not.
    """
    transport: Transport = channel.get_transport()  # type: ignore[assignment]
    _TABLE[MSG_CHANNEL_WINDOW_ADJUST](channel, message)
    if channel.chanid in transport.without_room:
        transport.without_room.discard(channel.chanid)
        with channel.lock:
            channel.out_window_size = min(channel.out_window_size, transport.most_under_way)


def _known(names: Iterable[str], table: Iterable[str]) -> tuple[str, ...]:
    known = frozenset(table)
    return tuple(name for name in names if name in known)


def _with_curve(exchanges: Mapping[str, type]) -> dict[str, type]:
    older = exchanges.get(f"{_CURVE}@libssh.org")
    return {**exchanges, **({_CURVE: older} if older else {})}


class Transport(paramiko.Transport):
    """An SSH client's transport over a ``Line``, not yet started."""

    _channel_handler_table = {  # noqa: RUF012 - paramiko's own form
        **_TABLE,
        MSG_CHANNEL_REQUEST: _note_request,
        MSG_CHANNEL_WINDOW_ADJUST: _note_room,
    }
    _preferred_ciphers = _known(_CIPHERS, vars(paramiko.Transport)["_cipher_info"])
    _preferred_macs = _known(_MACS, vars(paramiko.Transport)["_mac_info"])
    _kex_info = _with_curve(vars(paramiko.Transport)["_kex_info"])
    _preferred_kex = _known(_EXCHANGES, _kex_info)
    packetizer: Packetizer

    def __init__(self, line: Line, *, host_key_algorithms: Iterable[str], seconds: float, hasty: bool) -> None:
        self.closed_channels: set[int] = set()
        self._line = line
        self.without_room: set[int] = set()
        self._hasty = hasty
        self._exchange: Exchange | None = None
        self.farewell = ""
        """What the server said when it ended the line, if it said why."""
        super().__init__(line, packetizer_class=Packetizer)
        self.banner_timeout = seconds
        # How often it wakes up while nothing comes, to see whether a sign of life is due. The line's end wakes it, too.
        line.settimeout(min(seconds, _LOOK_SECONDS))
        self.packetizer.hold_back()
        # It would be a thread of its own, and whoever opens a connection looks at the clock already.
        self.packetizer.start_handshake = _no_timer  # type: ignore[assignment, method-assign]
        self.packetizer.REKEY_BYTES = self.packetizer.REKEY_BYTES_OVERFLOW_MAX = _REKEY_BYTES
        self.packetizer.REKEY_PACKETS = self.packetizer.REKEY_PACKETS_OVERFLOW_MAX = _REKEY_PACKETS
        self._preferred_keys = _known(_preferring(host_key_algorithms), vars(paramiko.Transport)["_key_info"])

    def _send_message(self, data: paramiko.Message) -> None:
        # paramiko decides with the channel locked what to send, and sends it unlocked: our answer to the server's
        # close can overtake it. OpenSSH drops the whole line at a message for a channel that is closed (RFC 4254,
        # 5.3), and every other command on it with it.
        kind, channel = _addressed(data)
        if kind in _OF_A_CHANNEL and channel in self.closed_channels:
            return
        if kind == MSG_CHANNEL_CLOSE:
            self.closed_channels.add(channel)
        super()._send_message(data)  # type: ignore[misc]

    def send_data(self, channel: paramiko.Channel, data: memoryview) -> int:
        """Send so much of the beginning of ``data`` as there is room for in a few packets; how much that was.

        Nothing is sent when the channel takes no more.

        Raises:
            OSError: it was closed.
        """
        pieces: list[memoryview] = []
        left = data
        with channel.lock:
            if channel.closed:
                raise OSError("the channel is closed")
            while left and len(pieces) < _PACKETS and (channel.out_window_size or not pieces):
                # It waits for room and takes one byte of it. It would keep 64 bytes of each packet free, and leave a
                # tiny one at the end of each piece; RFC 4254 (5.2) and OpenSSH's own client do not.
                if not channel._wait_for_send_window(1):  # type: ignore[attr-defined]
                    break
                size = min(len(left), channel.out_window_size + 1, channel.out_max_packet_size)
                channel.out_window_size -= size - 1
                pieces.append(left[:size])
                left = left[size:]
        if pieces:
            self._send_user_message(ChannelData(channel.remote_chanid, pieces))  # type: ignore[attr-defined]
        return len(data) - len(left)

    def _parse_channel_open_success(self, message: paramiko.Message) -> None:
        number = message.get_int()
        # The server uses the number of a closed channel again.
        self.closed_channels.discard(message.get_int())
        if not message.get_int():
            self.without_room.add(number)
        message.rewind()
        super()._parse_channel_open_success(message)  # type: ignore[misc]

    def _parse_channel_open(self, message: paramiko.Message) -> None:
        message.get_text()
        # As above; who connects to a port that we let in may come on any of them.
        self.closed_channels.discard(message.get_int())
        message.rewind()
        super()._parse_channel_open(message)  # type: ignore[misc]

    def _check_banner(self) -> None:
        # What the server says in its greeting changes nothing of what we say next.
        if self._hasty and self.preferred_kex[0] == _EXCHANGES[0]:
            self._send_kex_init()
            self._exchange = Exchange(self)
            self._exchange.begin()
        self.packetizer.let_go()
        try:
            super()._check_banner()  # type: ignore[misc]
        except paramiko.SSHException as error:
            if not self.packetizer.told:
                raise
            raise paramiko.SSHException(f"the server said {self.packetizer.told!r} and no more") from error

    def _send_kex_init(self) -> None:
        if self.local_kex_init is None:
            super()._send_kex_init()  # type: ignore[misc]

    def _activate_outbound(self) -> None:
        if self.takes_haste and not self.initial_kex_done:
            # The login comes next, and goes out together with it.
            self.packetizer.hold_back()
        super()._activate_outbound()  # type: ignore[misc]

    def _filter_algorithm(self, kind: str) -> tuple[str, ...]:
        # paramiko asks a dozen times for each connection which of them are disabled; none ever is.
        algorithms: tuple[str, ...] = getattr(self, f"_preferred_{kind}")
        return algorithms

    def _parse_kex_init(self, message: paramiko.Message) -> None:
        super()._parse_kex_init(message)  # type: ignore[misc]
        begun, self._exchange = self._exchange, None
        if begun and not isinstance(begun, type(self.kex_engine)):
            raise paramiko.SSHException("the server wants another key exchange than the one that was begun")
        self.kex_engine = begun or self.kex_engine

    def _parse_debug(self, message: paramiko.Message) -> None:
        """OpenSSH tells each login which line of the authorized keys let it in; paramiko takes its time to quote it."""

    def get_exception(self) -> Exception | None:
        """What has ended the line, if it was an error. It may quote the server, and tracebacks show it beside ours."""
        error = super().get_exception()
        if error:
            error.args = tuple(printable(part) if isinstance(part, str) else part for part in error.args)
        return error

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        message.get_int()
        self.farewell = message.get_binary().decode("utf-8", "replace") or "the server hung up"

    @property
    def greeted(self) -> bool:
        """Whether an SSH server is at the other end."""
        return bool(self.remote_version)

    @property
    def takes_haste(self) -> bool:
        """Whether the server is known to read on while it checks a login."""
        return self._hasty and self.remote_version.startswith("SSH-2.0-OpenSSH_")

    @contextlib.contextmanager
    def in_one_flight(self) -> Iterator[None]:
        """What is sent meanwhile goes out together."""
        self.packetizer.hold_back()
        try:
            yield
        finally:
            self.packetizer.let_go()

    def log_in_hastily(self, username: str, key: paramiko.PKey, done: threading.Event) -> None:
        """Ask for the login without waiting for the service that it needs."""
        self.auth_handler = Login(self)
        self.auth_handler.auth_publickey(username, key, done)

    @property
    def round_trip(self) -> float:
        """How long a hasty login's first answer took, in seconds; 0 when there was none."""
        return getattr(self.auth_handler, "round_trip", 0.0)

    @property
    def most_under_way(self) -> int:
        """How many bytes may be under way on one channel."""
        seconds = self.round_trip
        return max(_LEAST_UNDER_WAY, int(seconds * _CHANNEL_RATE)) if seconds else sys.maxsize

    def keep_alive(self) -> None:
        """From now on ask for a sign of life whenever nothing was sent for a while."""
        # A reference of the usual kind would keep a transport that nobody closed for ever.
        this = weakref.proxy(self)

        def ask() -> None:
            this.ask_for_life()

        self.packetizer.set_keepalive(_KEEPALIVE_SECONDS, ask)

    def ask_for_life(self) -> None:
        """Send what a server has to answer, as OpenSSH's own client does; paramiko's keepalive wants no answer."""
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)  # noqa: FBT003
        self._send_user_message(message)  # type: ignore[attr-defined]

    @property
    def heard(self) -> float:
        """When the server was heard last, in seconds since the epoch."""
        return self._line.heard

    def close(self) -> None:
        """End the transport, its channels and its thread."""
        super().close()
        # paramiko's close() does nothing when its thread never came up, and would leave the socket open.
        self.sock.close()


def _no_timer(_seconds: float) -> None:
    pass


def _addressed(data: paramiko.Message) -> tuple[int, int]:
    """The kind of a message, and the number after it: the channel that it is for, if it is for one."""
    with data.packet.getbuffer() as packet:
        return packet[0], int.from_bytes(packet[1:5], "big")


def _preferring(algorithms: Iterable[str]) -> tuple[str, ...]:
    wanted = {name for algorithm in algorithms for name in _signatures(algorithm)}
    return tuple(sorted(_HOST_KEYS, key=lambda name: name not in wanted))


def _signatures(algorithm: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256") if algorithm == "ssh-rsa" else (algorithm,)
