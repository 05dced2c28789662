"""One SSH connection to one instance: opened when first used, checked, kept and reopened."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from spot_connect.core.errors import (
    DeadlinePassed,
    SpotConnectError,
    SshError,
    SshLost,
    SshRefused,
)
from spot_connect.core.models import Address
from spot_connect.core.waiting import SYSTEM_CLOCK, Seen, wait_for
from spot_connect.ssh._pieces import Pieces
from spot_connect.ssh.dialling import Dialled, Dialling
from spot_connect.ssh.doubt import Doubt
from spot_connect.ssh.host_keys import HostKey
from spot_connect.ssh.key_files import load_key
from spot_connect.ssh.trouble import lost, reason, unreachable

if TYPE_CHECKING:
    import paramiko

    from spot_connect.ssh._ahead import Session
    from spot_connect.ssh._transport import Transport

    First = Callable[[paramiko.Channel], None]

WINDOW = 4 * 1024 * 1024
"""What one channel may hold of what nobody has read yet; many channels together stay small in memory."""
PACKET = 252 * 1024
"""Just below the 256 KB that OpenSSH takes as the longest packet, with room for its header."""
_AUTHENTICATION_SECONDS = 30.0
_CHANNEL_SECONDS = 30.0
_PROHIBITED = 1  # RFC 4254, 5.1
_USER_NAMES = (
    "The user name depends on the image: ec2-user on Amazon Linux, ubuntu on Ubuntu, admin on Debian, rocky, centos or"
    " fedora on those; give it with -un. The key must be the one the instance was launched with"
)


class Connection:
    """An SSH connection to ``address`` that opens at first use and again after the line broke while idle.

    Args:
        address: where the server listens; a name, an IPv4 or an IPv6 address.
        username: the login name.
        key_file: our private key, without a passphrase. No agent and no ``~/.ssh`` is asked.
        verify: called with the server's host key before anything is sent to it; it raises to refuse.
        known: host keys that the server is known by; it is asked for keys of their kinds first.
        connect_seconds: the longest that connecting, and the key exchange, may take each.
        begun: the first TCP connection, where somebody has begun to make it already.
        doubt: drops the line when the server turns out to be another one later.

    It may be used from several threads. An authentication refusal is never retried.

    Example:
        >>> from spot_connect.core.models import Address
        >>> connection = Connection(Address("203.0.113.7"), "ec2-user", Path("k.pem"), verify=lambda key: None)
        >>> connection.is_open
        False
    """

    def __init__(
        self,
        address: Address,
        username: str,
        key_file: Path,
        *,
        verify: Callable[[HostKey], None],
        known: tuple[HostKey, ...] = (),
        connect_seconds: float = 10.0,
        begun: Dialling | Dialled | None = None,
        doubt: Doubt | None = None,
    ) -> None:
        self.address = address
        self.username = username
        self.key_file = Path(key_file)
        self._verify = verify
        self._known = known
        self._seconds = connect_seconds
        self._begun = begun
        self.doubt = doubt or Doubt()
        self.doubt.watch(self)
        self.round_trip = 0.0
        """The shortest time in seconds that the server has taken to answer; 0 before it has."""
        self._lock = threading.RLock()
        self.transfers = threading.RLock()
        self._transport: Transport | None = None
        self._ahead: Session | None = None
        self._is_hasty = True
        self._sftp: paramiko.SFTPClient | None = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return f"{self.username}@{self.address}"

    @property
    def is_open(self) -> bool:
        """Whether a logged-in line is up, as far as this side can tell."""
        transport = self._transport
        return transport is not None and transport.is_active() and transport.is_authenticated()

    def open(self, first: First | None = None) -> None:
        """Connect, check the host key and log in, unless that is done already.

        Args:
            first: for this package's own use: called with a session as soon as the host key was checked, where the
                server takes what is asked of a session together with the login. Nothing is tried twice once it was
                called.

        Raises:
            UsageError: the key file is missing, broken or protected by a passphrase.
            SshUnreachable: nothing answers at the address, or not as an SSH server does.
            SshRefused: the server does not accept our key for this user name.
            HostKeyChanged: whatever ``verify`` raised, or what was found out about the server since.
            SshLost: the line broke while logging in.
        """
        self._open(_Early(first, ""))

    def _open(self, early: _Early) -> None:
        with self._lock:
            self.doubt.check()
            if self.is_open:
                return
            self.close()
            self._transport = self._connect(early)

    def go_on_with(self, connected: socket.socket) -> None:
        """Log in over this connection to the server, at the next opening; nothing was read from it or written."""
        with self._lock:
            before, self._begun = self._begun, Dialled(connected, self._seconds)
            if before:
                before.hang_up()

    def open_soon(self, command: str = "") -> None:
        """Begin to open it in the background; what goes wrong is raised by the next use, which tries again.

        Args:
            command: what :meth:`start` will be called with, if that is known; the login takes it along.
        """

        def begin() -> None:
            with contextlib.suppress(SpotConnectError):
                self._open(_Early(None, command))

        if not self.is_open:
            threading.Thread(target=begin, daemon=True, name="ssh-open").start()

    def prepare(self) -> None:
        """Ask for a session now, so that the next command need not wait for one: it costs one round trip then."""
        with self._lock:
            if self.is_open and self._transport and self._ahead is None:
                from spot_connect.ssh._ahead import Session

                self._ahead = Session(self._transport, WINDOW, PACKET)

    def answers(self, seconds: float, *, unless_heard_within: float = 0.0) -> bool:
        """Whether the server gives a sign of life within ``seconds``, or has given one that lately.

        A line that is up as far as this side can tell may be dead: the laptop slept, or its network is another one.

        Example:
            >>> Connection(Address("203.0.113.7"), "ec2-user", Path("k.pem"), verify=lambda key: None).answers(1)
            False
        """
        transport = self._transport
        if transport is None or not transport.is_active():
            return False
        before = transport.heard
        # A clock that was set back tells nothing.
        if 0 <= time.time() - before < unless_heard_within:
            return True
        transport.ask_for_life()

        def look() -> Seen[bool]:
            return Seen((transport.heard != before) or None)

        try:
            return wait_for("sign of life", look, seconds=seconds, every=0.01)
        except DeadlinePassed:
            return False

    def close(self) -> None:
        """End the line; the next use opens a new one."""
        with self._lock:
            transport, self._transport, self._sftp, self._ahead = self._transport, None, None, None
            if transport:
                transport.close()

    def drop(self) -> bool:
        """End the line at once, whoever uses it; whether it was up."""
        # Who opens it holds the lock, for as long as the server takes to answer.
        transport = self._transport
        was_up = self.is_open
        if transport:
            transport.close()
        return was_up

    def another(self) -> Connection:
        """A second line to the same server, not yet opened."""
        made = Connection(
            self.address,
            self.username,
            self.key_file,
            verify=self._verify,
            known=self._known,
            connect_seconds=self._seconds,
            doubt=self.doubt,
        )
        # What the server has not taken once it does not take again, and OpenSSH counts the lines that are given up.
        made._is_hasty = self._is_hasty
        return made

    def channel(self) -> paramiko.Channel:
        """A new session channel, for this package's own use.

        Raises:
            SshLost: the line broke, or the server opens no more sessions; and all that ``open`` raises.
        """
        return self._in_session("")

    def start(self, command: str) -> paramiko.Channel:
        """A new session in which ``command`` is asked for, for this package's own use.

        Its answer is left to come; its streams are kept in ``Pieces``.

        Raises:
            SshLost: as :meth:`channel`; the command may have been started twice.
        """
        return self._in_session(command)

    def _in_session(self, command: str) -> paramiko.Channel:
        for attempt in (1, 2):
            self._open(_Early(None, command))
            used = self._transport
            try:
                return self._session(command)
            except SshLost as error:
                # The line had died while idle. Nothing has been asked of the server, so ask again on a new one.
                has_died = isinstance(error.__cause__, EOFError) or used is None or not used.is_active()
                if attempt == 2 or not has_died:
                    raise
                self._give_up(used)
        raise AssertionError("unreachable")

    def _give_up(self, died: Transport | None) -> None:
        """Close a line that nobody has noticed yet is dead, unless another thread has opened the next one already."""
        with self._lock:
            if self._transport is died:
                self.close()

    def way_to(self, target: Address) -> paramiko.Channel:
        """A TCP connection that the instance makes to ``target``, for this package's own use.

        Raises:
            SshError: the server allows no forwarding, or nothing listens there.
            SshLost: the line broke; and all that ``open`` raises.
        """
        from paramiko import ChannelException

        self.open()
        with self._lock:
            transport = self._transport
        with lost(self, f"the way to {target}"):
            if transport is None:
                raise EOFError("the connection was closed")
            ends = (target.host, target.port), ("127.0.0.1", 0)
            try:
                return transport.open_channel("direct-tcpip", *ends, WINDOW, PACKET, _CHANNEL_SECONDS)
            except ChannelException as error:
                advice = "Is AllowTcpForwarding off in its sshd_config?" if error.code == _PROHIBITED else ""
                raise SshError(f"{self} does not connect us to {target}", error.text.lower(), advice) from error

    def sftp(self) -> paramiko.SFTPClient:
        """The connection's SFTP client, opened once, for this package's own use."""
        with self._lock:
            if self._sftp is None or self._sftp.sock.closed:
                self._sftp = self._new_sftp()
            return self._sftp

    def drop_sftp(self) -> None:
        """Forget the SFTP client: an interruption may have left answers underway that belong to nobody."""
        with self._lock:
            sftp, self._sftp = self._sftp, None
            if sftp:
                with contextlib.suppress(Exception):
                    sftp.close()

    def _new_sftp(self) -> paramiko.SFTPClient:
        from paramiko import SFTPClient

        channel = self.channel()
        channel.in_buffer = Pieces(threading.Condition())  # type: ignore[assignment]
        with lost(self, "the file transfer service"):
            channel.invoke_subsystem("sftp")
            return SFTPClient(channel)

    def _session(self, command: str) -> paramiko.Channel:
        from spot_connect.ssh._ahead import ask_to_run, keep_pieces

        with lost(self, "a session"):
            session, asked = self._session_ahead(command) or (self._new_session(), "")
            if command and not asked:
                keep_pieces(session)
                ask_to_run(session, command)
            return session

    def _session_ahead(self, command: str) -> tuple[paramiko.Channel, str] | None:
        """The session that came with the login, unless it is for something else; and the command that runs in it."""
        with self._lock:
            ahead = self._ahead
            if not ahead or ahead.command not in ("", command):
                return None
            self._ahead = None
        if session := ahead.channel(_CHANNEL_SECONDS):
            return session, ahead.command
        self._is_hasty = False
        return None

    def _new_session(self) -> paramiko.Channel:
        with self._lock:
            transport = self._transport
        if transport is None:
            raise EOFError("the connection was closed")
        asked = SYSTEM_CLOCK.now()
        session = transport.open_session(WINDOW, PACKET, timeout=_CHANNEL_SECONDS)
        self._note_round_trip(SYSTEM_CLOCK.now() - asked)
        return session

    def _note_round_trip(self, seconds: float) -> None:
        if seconds:
            self.round_trip = min(self.round_trip or seconds, seconds)

    def _connect(self, early: _Early) -> Transport:
        try:
            return self._connected(early)
        except SshLost:
            if not self._is_hasty:
                raise
            # It may want another key exchange, or hang up at what comes too early.
            self._is_hasty = False
            if early.was_called:
                raise
            return self._connected(early)

    def _connected(self, early: _Early) -> Transport:
        key, connected = self._key_and_socket()
        transport = self._transport_to(connected)
        try:
            self._shake_hands(transport)
            self._check_host_key(transport)
            self._log_in(transport, key, early)
            # What was found out meanwhile has dropped the lines that were there.
            self.doubt.check()
        except BaseException:
            transport.close()
            raise
        self._note_round_trip(transport.round_trip)
        transport.keep_alive()
        return transport

    def _key_and_socket(self) -> tuple[paramiko.PKey, socket.socket]:
        begun = self._begun_to_dial()
        try:
            # What this imports takes as long as a round trip.
            key = load_key(self.key_file)
        except BaseException:
            if begun:
                begun.hang_up()
            raise
        try:
            return key, begun.connected() if begun else socket.create_connection(self._place, self._seconds)
        except OSError as error:
            raise unreachable(self.address, reason(error)) from error

    def _begun_to_dial(self) -> Dialling | Dialled | None:
        begun, self._begun = self._begun, None
        if begun or "paramiko" in sys.modules:
            # A thread for each of a hundred instances only makes all of them wait for each other.
            return begun
        return Dialling(*self._place, self._seconds)

    @property
    def _place(self) -> tuple[str, int]:
        return self.address.host, self.address.port

    def _transport_to(self, connected: socket.socket) -> Transport:
        from spot_connect.ssh._line import Line
        from spot_connect.ssh._transport import Transport

        algorithms = (key.algorithm for key in self._known)
        return Transport(Line(connected), host_key_algorithms=algorithms, seconds=self._seconds, hasty=self._is_hasty)

    def _shake_hands(self, transport: Transport) -> None:
        done = threading.Event()
        transport.start_client(event=done)
        # Twice: the banner and the exchange may each take their time.
        finished = done.wait(2 * self._seconds)
        if finished and transport.is_active():
            return
        error = transport.get_exception()
        said = reason(error) if error else "the key exchange did not end in time"
        if transport.greeted and self._is_hasty:
            raise SshLost(f"the line to {self.address} broke while logging in", said, "Try again.") from error
        raise unreachable(self.address, said) from error

    def _check_host_key(self, transport: Transport) -> None:
        key = transport.get_remote_server_key()
        self._verify(HostKey(key.get_name(), key.get_base64()))

    def _log_in(self, transport: Transport, key: paramiko.PKey, early: _Early) -> None:
        from paramiko import AuthenticationException, SSHException

        done = threading.Event()
        error: Exception | None = None
        try:
            self._ask_for_login(transport, key, done, early)
            answered = done.wait(_AUTHENTICATION_SECONDS)
        except Exception as raised:  # noqa: BLE001 - paramiko raises whatever ended its thread
            answered, error = True, raised
        if transport.is_authenticated():
            self._settle(early)
            return
        error = error or transport.get_exception()
        if answered and (isinstance(error, AuthenticationException) or (error is None and transport.is_active())):
            raise self._refusal(error) from error
        if transport.farewell and not self._is_hasty:
            # A server that forgives no failure says good-bye rather than no.
            raise self._refusal(SSHException(transport.farewell))
        said = reason(error) if error else "no answer to the login" if not answered else "the server hung up"
        raise SshLost(f"the line to {self.address} broke while logging in", said, "Try again.") from error

    def _ask_for_login(self, transport: Transport, key: paramiko.PKey, done: threading.Event, early: _Early) -> None:
        from spot_connect.ssh._ahead import Session

        with transport.in_one_flight():
            # How to sign with an RSA key is for the server to say first.
            if not transport.takes_haste or key.get_name() == "ssh-rsa":
                transport.auth_publickey(self.username, key, done)
                return
            transport.log_in_hastily(self.username, key, done)
            self._ahead = Session(transport, WINDOW, PACKET, early.command)
            early(self._ahead.unopened)

    def _settle(self, early: _Early) -> None:
        """See that a session that was used before it was open is what it was taken for."""
        if not early.was_called:
            return
        ahead, self._ahead = self._ahead, None
        if ahead is None or not ahead.is_first(_CHANNEL_SECONDS):
            raise SshLost(f"a session on {self} was lost", "the server opened another one than expected")

    def _refusal(self, error: Exception | None) -> SshRefused:
        said = reason(error) if error and str(error) else "permission denied (publickey)"
        return SshRefused(
            f"cannot log in to {self.address} as {self.username}",
            said,
            f"{_USER_NAMES}; it was {self.key_file}.",
        )


class _Early:
    """What goes out with the login: a command that may be asked for twice, or whatever a function asks for, once."""

    def __init__(self, function: First | None, command: str) -> None:
        self.command = command
        self.was_called = False
        self._function = function

    def __call__(self, channel: paramiko.Channel) -> None:
        if self._function and not self.was_called:
            self.was_called = True
            self._function(channel)
