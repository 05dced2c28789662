"""The two places work can happen: AWS, and the local cloud."""

from __future__ import annotations

import os
import shlex
from contextlib import ExitStack
from functools import cached_property, lru_cache
from pathlib import Path

from spot_connect.aws import networks
from spot_connect.aws.session import Cloud, Endpoint
from spot_connect.aws.settings import configured_region
from spot_connect.core.profiles import Profile
from spot_connect.core.reporting import Reporter, Silent
from spot_connect.core.sharing import Shared
from spot_connect.store.cache import CacheFiles
from spot_connect.store.keys import KeyFiles
from spot_connect.store.pins import Pins
from spot_connect.store.profiles import ProfileFile
from spot_connect.store.regions import RegionHints
from spot_connect.store.settings import Settings
from spot_connect.store.ssh_aliases import SshAliases
from spot_connect.store.state import State, home, realm
from spot_connect.store.where import efs_must_encrypt, is_strict, local_is_chosen, standing_tags

_LOOPBACK = "127.0.0.1"
_OWN_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}


class Realm:
    """AWS or the local cloud, with the files that belong to it; nothing is opened before it is used.

    Keys and pins of a rehearsal never mix with real ones. It reads the user's profiles until it changes them: then it
    has a copy of its own.

    Attributes:
        strict_host_key: no host key is accepted that the console of its instance does not show; by default as
            ``SPOT_CONNECT_STRICT_HOST_KEY`` says.
        efs_must_encrypt: no file system is mounted that cannot be encrypted in transit; by default as
            ``SPOT_CONNECT_EFS_TLS`` says.
    """

    def __init__(
        self,
        *,
        local: bool,
        reporter: Reporter | None = None,
        strict_host_key: bool | None = None,
        efs_tls: str | None = None,
    ) -> None:
        self.is_local = local
        self.strict_host_key = is_strict(strict_host_key)
        self.efs_must_encrypt = efs_must_encrypt(efs_tls)
        self._reporter = reporter or Silent()
        self.state: State = realm(local=local)
        self.pins = Pins(self.state)
        self.aliases = SshAliases(self.state)
        self.hints = RegionHints(self.state)
        self.profiles = ProfileFile(self.state)

    def cloud(self, region: str) -> Cloud:
        """AWS, or the local cloud, in ``region``.

        Raises:
            NoCredentials: there is no way into AWS; the advice fits where the credentials come from.
        """
        cloud = self._anywhere.in_region(region)
        cloud.log_in()
        return cloud

    def unopened_cloud(self, region: str) -> Cloud:
        """The same, before anybody has looked for credentials: the first call does that."""
        return self._anywhere.in_region(region)

    @cached_property
    def default_region(self) -> str:
        """Where to work if nothing says otherwise.

        That is the Region that the user has moved the profiles to, else that of the AWS settings, else that of most
        profiles.
        """
        return self.profiles.chosen_region() or self._configured_region or self.profiles.default_region()

    def region_of(self, profile: Profile | None) -> str:
        """Where a profile is launched: its own Region if somebody has chosen that, else as the AWS settings say."""
        if profile is None or not profile.region:
            return self.default_region
        return (self._configured_region if profile.is_movable else "") or profile.region

    @cached_property
    def _configured_region(self) -> str:
        return "" if self.is_local else configured_region()

    @cached_property
    def own_address(self) -> str:
        """The address that instances see us come from; the local cloud never asks the network."""
        return _LOOPBACK if self.is_local else _own_address(self._anywhere)

    @cached_property
    def tags(self) -> dict[str, str]:
        """The tags that everything gets that is made, as ``SPOT_CONNECT_TAGS`` says.

        Raises:
            UsageError: one of them is none that a user may give.
        """
        return standing_tags()

    def keys(self, directory: str, reporter: Reporter) -> KeyFiles:
        """Private keys in ``directory``, or in the realm's own place."""
        return KeyFiles(directory or Settings(self.state).key_directory, reporter)

    @cached_property
    def _anywhere(self) -> Cloud:
        endpoint = self._endpoint()
        return _shared(endpoint, () if endpoint else _identity())

    def _endpoint(self) -> Endpoint | None:
        if not self.is_local:
            return None
        from spot_connect.local import service

        with ExitStack() as steps:
            there = service.ensure_up(on_wait=lambda text: steps.enter_context(self._reporter.step(text)))
        return Endpoint(there.url, there.access_key, there.secret_key)


_own_address: Shared[Cloud, str] = Shared(lambda clouds: {cloud: networks.own_address(cloud) for cloud in clouds})


def _identity() -> tuple[object, ...]:
    """What decides in whose name AWS is called; a notebook, or its user elsewhere, may change it between two calls."""
    said = sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    return (*said, *(_stamp(os.environ.get(name) or usual) for name, usual in _OWN_FILES.items()))


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = Path(path).expanduser().stat()
    except (OSError, RuntimeError):
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _shared(endpoint: Endpoint | None, identity: tuple[object, ...]) -> Cloud:
    """One set of AWS clients a process and identity: to make them takes longer than most calls."""
    return Cloud("us-east-1", endpoint, cache=CacheFiles(State(home())))


def choose_realm(
    local: bool | None = None,
    reporter: Reporter | None = None,
    *,
    strict_host_key: bool | None = None,
    efs_tls: str | None = None,
) -> Realm:
    """The realm asked for by argument or environment; never the local cloud unless it was asked for.

    The reporter hears when the local cloud has to be started first, which takes seconds.

    Example:
        >>> choose_realm(local=False).is_local
        False
    """
    return Realm(local=local_is_chosen(local), reporter=reporter, strict_host_key=strict_host_key, efs_tls=efs_tls)


def typed(realm: Realm, *words: str) -> str:
    """What to type for these words in the same realm, so that who follows advice on a rehearsal stays there.

    Example:
        >>> typed(Realm(local=True), "terminate", "my vm")
        "spot_connect --local terminate 'my vm'"
    """
    return shlex.join(["spot_connect", *(["--local"] if realm.is_local else []), *words])
