"""The one maker of AWS clients."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from spot_connect.aws.refusals import asking
from spot_connect.aws.service_models import Cache, quick_session
from spot_connect.core.sharing import Shared


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to send calls instead of AWS, and the keys that open it."""

    url: str
    access_key: str
    secret_key: str


class _Clients:
    """The clients of one session, made once each; boto3 sessions are not thread-safe, their clients are."""

    def __init__(self, endpoint: Endpoint | None, cache: Cache | None) -> None:
        self._endpoint = endpoint
        self._cache = cache
        self._lock = threading.Lock()
        self._session: Any = None
        self._made: dict[tuple[str, str, int], Any] = {}
        self._shared: dict[Hashable, Shared[Any, Any]] = {}

    def get(self, service: str, region: str, attempts: int) -> Any:
        key = (service, region, attempts)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._make(service, region, attempts)
            return self._made[key]

    def shared(self, question: Hashable, ask: Callable[[Collection[Any]], Mapping[Any, Any]]) -> Shared[Any, Any]:
        with self._lock:
            return self._shared.setdefault(question, Shared(ask))

    def default_region(self) -> str:
        with self._lock, asking("read your AWS configuration"):
            return self._opened().region_name or ""

    def _opened(self) -> Any:
        if self._session is None:
            import boto3

            self._session = boto3.session.Session(botocore_session=quick_session(self._cache), **self._keys())
        return self._session

    def _keys(self) -> dict[str, str]:
        if self._endpoint is None:
            return {}
        return {
            "aws_access_key_id": self._endpoint.access_key,
            "aws_secret_access_key": self._endpoint.secret_key,
        }

    def _make(self, service: str, region: str, attempts: int) -> Any:
        from botocore.config import Config

        config = Config(
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=32,
            retries={"mode": "standard", "total_max_attempts": attempts},
        )
        url = self._endpoint.url if self._endpoint else None
        with asking(f"open the {service} service in {region}"):
            return self._opened().client(service, region_name=region, endpoint_url=url, config=config)


class Cloud:
    """AWS in one Region, or whatever stands at ``endpoint``.

    Args:
        region: the Region every call goes to.
        endpoint: another place to send calls to, with its own keys; ``None`` is AWS itself.
        cache: where to keep what makes the next process start sooner.

    Example:
        >>> Cloud("us-east-1").region
        'us-east-1'
    """

    def __init__(
        self,
        region: str,
        endpoint: Endpoint | None = None,
        *,
        cache: Cache | None = None,
        clients: _Clients | None = None,
    ) -> None:
        self.region = region
        self._clients = clients or _Clients(endpoint, cache)

    def __repr__(self) -> str:
        return f"Cloud({self.region!r})"

    def in_region(self, region: str) -> Cloud:
        """The same account in another Region."""
        return self if region == self.region else Cloud(region, clients=self._clients)

    def client(self, service: str) -> Any:
        """The boto3 client of ``service``; made once, usable from any thread."""
        return self._clients.get(service, self.region, 5)

    @property
    def ec2(self) -> Any:
        """The EC2 client."""
        return self.client("ec2")

    @property
    def ec2_once(self) -> Any:
        """An EC2 client that never retries by itself: lack of capacity is a 5xx, which botocore would repeat."""
        return self._clients.get("ec2", self.region, 1)

    def shared(self, question: Hashable, ask: Callable[[Collection[Any]], Mapping[Any, Any]]) -> Shared[Any, Any]:
        """What answers ``question`` here, by ``ask``, for all threads together."""
        return self._clients.shared((self.region, question), ask)

    def configured_region(self) -> str:
        """The Region of the user's AWS configuration; empty when there is none."""
        return self._clients.default_region()
