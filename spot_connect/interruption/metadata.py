"""The instance metadata service, version 2, asked with the standard library alone.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import time
import urllib.parse
from datetime import datetime, timezone
from typing import Any, Callable  # noqa: UP035 - Python 3.7 has it there

ADDRESS = "http://169.254.169.254"
ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
_TOKEN_SECONDS = "21600"  # noqa: S105 - a time
_PATIENCE = 2.0
_LONGEST = 256 * 1024
"""More than any answer of the service is long, its heads included."""


class Unreachable(Exception):
    """There is no metadata service here, or it does not answer, or what answers is none."""


class Metadata:
    """One instance's metadata. The token is asked for once, and again when the service no longer takes it.

    Whatever is at that address may be something else, or somebody: it is heard for two seconds and a quarter of a
    megabyte at most, and never followed to another address.

    Args:
        base: where the service is; that of the environment, else EC2's own address.
        clock: seconds that pass, for tests.
    """

    def __init__(self, base: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._base = (base or os.environ.get(ENDPOINT) or ADDRESS).rstrip("/")
        self._clock = clock
        self._token = ""

    def get(self, path: str) -> str | None:
        """What the service tells at ``latest/meta-data/<path>``; ``None`` where it has nothing.

        Raises:
            Unreachable: it does not answer.
        """
        for fresh in (not self._token, True):
            if fresh:
                self._token = self._new_token()
            code, said = self._ask("GET", "meta-data/" + path, "X-aws-ec2-metadata-token", self._token)
            if code == 200:
                return said
            if code == 404:
                return None
            if code != 401 or fresh:
                raise Unreachable(f"{self._place} answers {code}")
        raise AssertionError("unreachable")

    def interruption(self) -> float | None:
        """When EC2 takes the instance away, in seconds since the epoch; ``None`` without a notice.

        Raises:
            Unreachable: the service does not answer, or with something that is no notice.
        """
        return self._moment("spot/instance-action", "time")

    def rebalance(self) -> float | None:
        """When EC2 recommended to move elsewhere, in seconds since the epoch; ``None`` when it did not.

        Raises:
            Unreachable: the service does not answer, or with something that is no recommendation.
        """
        return self._moment("events/recommendations/rebalance", "noticeTime")

    def _moment(self, path: str, key: str) -> float | None:
        said = self.get(path)
        if not said:
            return None
        try:
            text = json.loads(said)[key]
            return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
        except (ValueError, TypeError, LookupError, RecursionError, OverflowError) as error:
            raise Unreachable(f"{self._place} tells of {path} what cannot be read: {said[:100]!a}") from error

    def _new_token(self) -> str:
        code, token = self._ask("PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds", _TOKEN_SECONDS)
        if code != 200:
            raise Unreachable(f"{self._place} gives no token: {code}")
        # It is sent back in a header, where it could be more than one.
        if not token.isascii() or not token.isprintable():
            raise Unreachable(f"{self._place} gives a token that is none: {token[:100]!a}")
        return token

    @property
    def _place(self) -> str:
        """Where it is, as others may read it: on the local cloud the path is a secret."""
        return "/".join(self._base.split("/", 3)[:3])

    def _ask(self, method: str, path: str, header: str, value: str) -> tuple[int, str]:
        until = self._clock() + _PATIENCE
        sock = None
        try:
            # Neither a proxy of the user's, which would tell of its own machine, nor an address of another kind.
            parts = urllib.parse.urlsplit(self._base)
            if parts.scheme != "http" or not parts.hostname:
                raise Unreachable(f"{self._place} is no address of a metadata service")
            connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=_PATIENCE)
            connection.connect()
            sock = connection.sock
            connection.sock = _Bounded(sock, until, self._clock)
            connection.request(method, f"{parts.path}/latest/{path}", headers={header: value})
            answer = connection.getresponse()
            # With a number, because room is made at once for as much as the answer says that it is long.
            said = answer.read(_LONGEST)
            if answer.length:
                raise OSError("the answer broke off")
            return answer.status, said.decode("utf-8", "replace")
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = str(error).encode("unicode_escape").decode("ascii")[:200]
            raise Unreachable(f"{self._place} does not answer: {why}") from error
        finally:
            if sock is not None:
                sock.close()


class _Bounded:
    """A connected socket of which only so much is read, and only for so long, however slowly it comes."""

    def __init__(self, sock: Any, until: float, clock: Callable[[], float]) -> None:
        self._sock = sock
        self._until = until
        self._clock = clock
        self.sendall = sock.sendall

    def close(self) -> None:
        """Nothing: :mod:`http.client` lets go of it before it has read what came."""

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What :mod:`http.client` reads the answer from."""
        return io.BufferedReader(_Reading(self._sock, self._until, self._clock))


class _Reading(io.RawIOBase):
    def __init__(self, sock: Any, until: float, clock: Callable[[], float]) -> None:
        super().__init__()
        self._sock = sock
        self._until = until
        self._clock = clock
        self._left = _LONGEST

    def readable(self) -> bool:
        """It is all that it is for."""
        return True

    def readinto(self, target: Any) -> int:
        """Take what has come.

        Raises:
            OSError: it came too late, or it is too much.
        """
        seconds = self._until - self._clock()
        if seconds <= 0:
            raise OSError(f"no whole answer in {_PATIENCE:g} s")
        if self._left <= 0:
            raise OSError("the answer is too long")
        self._sock.settimeout(seconds)
        count = int(self._sock.recv_into(memoryview(target)[: self._left]))
        self._left -= count
        return count


def own_address() -> str:
    """Where its neighbours find this machine: its address on the network that the metadata service is on."""
    host = urllib.parse.urlsplit(os.environ.get(ENDPOINT) or ADDRESS).hostname
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        unsent.connect((host, 80))
        return str(unsent.getsockname()[0])
