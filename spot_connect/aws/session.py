"""The one maker of AWS clients."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from spot_connect.aws.consistency import Recent, patient
from spot_connect.aws.refusals import asking, note_place
from spot_connect.aws.service_models import Cache, quick_session
from spot_connect.aws.sources import Login, login_of, watch
from spot_connect.core.errors import AwsError
from spot_connect.core.sharing import Shared
from spot_connect.core.untrusted import printable


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to send calls instead of AWS, and the keys that open it."""

    url: str
    access_key: str
    secret_key: str


class _Clients:
    """The clients of one session, made once each; boto3 sessions are not thread-safe, their clients are."""

    def __init__(self, endpoint: Endpoint | None, cache: Cache | None, *, is_signing: bool = True) -> None:
        self.endpoint = endpoint
        self._cache = cache
        self._is_signing = is_signing
        self._lock = threading.Lock()
        self._session: Any = None
        self._maker: Any = None
        self._is_logged_in = False
        self._made: dict[tuple[str, str, int], Any] = {}
        self._shared: dict[Hashable, Shared[Any, Any]] = {}
        self.recent = Recent(endpoint.url if endpoint else "", cache)

    def get(self, service: str, region: str, attempts: int) -> Any:
        key = (service, region, attempts)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._make(service, region, attempts)
            return self._made[key]

    def shared(self, question: Hashable, ask: Callable[[Collection[Any]], Mapping[Any, Any]]) -> Shared[Any, Any]:
        with self._lock:
            return self._shared.setdefault(question, Shared(ask))

    def ca_bundle(self) -> str:
        with self._lock, asking("read your AWS configuration"):
            chosen: str = self._opened().get_config_variable("ca_bundle") or ""
            return chosen

    def log_in(self, region: str) -> None:
        with self._lock:
            self._log_in(region)

    def login(self, region: str) -> Login:
        with self._lock:
            self._log_in(region)
            return login_of(self._opened().get_credentials())

    def unsigned(self) -> _Clients:
        return _Clients(self.endpoint, self._cache, is_signing=False)

    def _log_in(self, region: str) -> None:
        if self._is_logged_in:
            return
        from botocore.exceptions import NoCredentialsError

        try:
            with _heeding("log in to AWS"):
                session = self._opened()
                if self.endpoint is None:
                    watch(session, region)
                credentials = session.get_credentials()
                if credentials is None:
                    raise NoCredentialsError
                credentials.get_frozen_credentials()
        except BaseException:
            # It would keep what it has read of the user's files, also when they have been mended.
            self._session = None
            raise
        self._is_logged_in = True

    def _opened(self) -> Any:
        """The botocore session."""
        if self._session is None:
            session = quick_session(self._cache, None if self.endpoint is None else _nobodys_settings())
            if self.endpoint is not None:
                session.set_credentials(self.endpoint.access_key, self.endpoint.secret_key)
            session.register("after-call", lambda **said: note_place(local=self.endpoint is not None, **said))
            session.register("creating-client-class", self._make_patient)
            self._session = session
        return self._session

    def _make_patient(self, base_classes: list[type], **_: Any) -> None:
        base_classes.insert(0, patient(self.recent))

    def _make(self, service: str, region: str, attempts: int) -> Any:
        from botocore import UNSIGNED
        from botocore.config import Config

        if self._is_signing:
            self._log_in(region)
        config = Config(
            signature_version=None if self._is_signing else UNSIGNED,
            # The local cloud is on this computer: there is no proxy on the way.
            proxies=None if self.endpoint is None else {},
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=32,
            retries={"mode": "standard", "total_max_attempts": attempts},
        )
        url = self.endpoint.url if self.endpoint else None
        with _heeding(f"open the {service} service in {region}"):
            return self._boto3().client(service, region_name=region, endpoint_url=url, config=config)

    def _boto3(self) -> Any:
        if self._maker is None:
            import boto3

            self._maker = boto3.session.Session(botocore_session=self._opened())
        return self._maker


@contextmanager
def _heeding(what: str) -> Iterator[None]:
    """As :func:`asking`, where botocore reads settings: what is wrong with some of them it says as Python does."""
    try:
        with asking(what):
            yield
    except ValueError as error:
        advice = "Correct it: it is in a variable that begins with AWS_, or in ~/.aws/config."
        raise AwsError(f"cannot {what}", f"an AWS setting is wrong: {printable(str(error))}", advice) from error


def _nobodys_settings() -> dict[str, tuple[None, None, Any, Any]]:
    """What botocore sets where the user sets nothing: no variable is looked at, and no file."""
    from botocore.session import Session

    usual = {name: (None, None, default, kind) for name, (_, _, default, kind) in Session.SESSION_VARIABLES.items()}
    files = dict.fromkeys(("config_file", "credentials_file"), (None, None, None, None))
    return {**usual, **files}


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

    @property
    def is_local(self) -> bool:
        """Whether it is not AWS itself that is called."""
        return self._clients.endpoint is not None

    def unsigned(self) -> Cloud:
        """The same Region without credentials: it waits for none, and is answered with a refusal."""
        return Cloud(self.region, clients=self._clients.unsigned())

    def client(self, service: str) -> Any:
        """The boto3 client of ``service``; made once, usable from any thread."""
        return self._clients.get(service, self.region, 5)

    @property
    def recent(self) -> Recent:
        """What was made moments ago, of which some of AWS's servers may not have heard."""
        return self._clients.recent

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

    def log_in(self) -> None:
        """Find the credentials that all calls are made with, where this has not been done; else the first call does.

        It may ask at the terminal for a code of multi-factor authentication, so it should not be left to a thread.

        Raises:
            NoCredentials: there are none, or they have expired; the advice fits their source.
        """
        self._clients.log_in(self.region)

    def login(self) -> Login:
        """Where the credentials come from, and until when they hold.

        Raises:
            NoCredentials: there are none, or they have expired; the advice fits their source.
        """
        return self._clients.login(self.region)

    def ca_bundle(self) -> str:
        """The file with the certificates that AWS calls are checked against; empty for botocore's own."""
        return self._clients.ca_bundle()
