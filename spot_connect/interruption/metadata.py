"""The instance metadata service, version 2, asked with the standard library alone.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

from __future__ import annotations

import json
import os
import socket
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone

ADDRESS = "http://169.254.169.254"
ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
_TOKEN_SECONDS = "21600"  # noqa: S105 - a time
_PATIENCE = 2.0


class Unreachable(Exception):
    """There is no metadata service here, or it does not answer."""


class Metadata:
    """One instance's metadata. The token is asked for once, and again when the service no longer takes it."""

    def __init__(self, base: str = "") -> None:
        self._base = (base or os.environ.get(ENDPOINT) or ADDRESS).rstrip("/")
        self._token = ""
        # A proxy of the user's would be asked about its own machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> str | None:
        """What the service tells at ``latest/meta-data/<path>``; ``None`` where it has nothing.

        Raises:
            Unreachable: it does not answer.
        """
        for fresh in (not self._token, True):
            if fresh:
                self._token = self._ask("PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds", _TOKEN_SECONDS)
            try:
                return self._ask("GET", "meta-data/" + path, "X-aws-ec2-metadata-token", self._token)
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return None
                if error.code != 401 or fresh:
                    raise Unreachable(f"{self._base} answers {error.code}") from error
        raise AssertionError("unreachable")

    def interruption(self) -> float | None:
        """When EC2 takes the instance away, in seconds since the epoch; ``None`` without a notice.

        Raises:
            Unreachable: the service does not answer.
        """
        said = self.get("spot/instance-action")
        return _moment(json.loads(said)["time"]) if said else None

    def rebalance(self) -> float | None:
        """When EC2 recommended to move elsewhere, in seconds since the epoch; ``None`` when it did not.

        Raises:
            Unreachable: the service does not answer.
        """
        said = self.get("events/recommendations/rebalance")
        return _moment(json.loads(said)["noticeTime"]) if said else None

    def _ask(self, method: str, path: str, header: str, value: str) -> str:
        request = urllib.request.Request(f"{self._base}/latest/{path}", headers={header: value}, method=method)  # noqa: S310 - http
        try:
            with self._opener.open(request, timeout=_PATIENCE) as answer:
                return str(answer.read().decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            if method == "PUT":
                raise Unreachable(f"{self._base} gives no token: {error.code}") from error
            raise
        except OSError as error:
            raise Unreachable(f"{self._base} does not answer: {error}") from error


def _moment(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()


def own_address() -> str:
    """Where its neighbours find this machine: its address on the network that the metadata service is on."""
    host = urllib.parse.urlsplit(os.environ.get(ENDPOINT) or ADDRESS).hostname
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        unsent.connect((host, 80))
        return str(unsent.getsockname()[0])
