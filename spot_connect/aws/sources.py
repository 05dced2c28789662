"""Where the user's credentials come from, and what makes them work again when they do not.

botocore tries its sources in an order of its own (Boto3 guide, "Credentials",
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html). What is added here is that a failure
says which source it was, whatever the source has raised.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spot_connect.core import terminal

_MARK = "CredentialsFrom"

_ADVICE = {
    "env": "They are those of AWS_ACCESS_KEY_ID and the variables beside it: renew them, or unset them.",
    "shared-credentials-file": "They are those of the profile {profile} in {credentials_file}: renew them there.",
    "config-file": "They are those of the profile {profile} in {config_file}: renew them there.",
    "sso": "Run `aws sso login{option}`.",
    "sso-role": "See sso_account_id and sso_role_name of the profile {login_profile}: you may not use them.",
    "login": "Run `aws login{option}`.",
    "custom-process": "See what the credential_process of the profile {profile} does when you run it yourself.",
    "assume-role": "See role_arn, mfa_serial and where the keys to assume it come from, in the profile {profile}; "
    "the role must trust whoever assumes it.",
    "assume-role-with-web-identity": "See the file of AWS_WEB_IDENTITY_TOKEN_FILE (or web_identity_token_file), and "
    "whether the role trusts its issuer.",
    "container-role": "They come from AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI: see whether it answers.",
    "iam-role": "They come from the role of this instance: see whether it has one, and its metadata service.",
}
"""What to do when the keys of a source are missing or refused, by botocore's name of the source."""


_PLACES = {
    "env": "AWS_ACCESS_KEY_ID and the variables beside it",
    "shared-credentials-file": "the profile {profile} in {credentials_file}",
    "config-file": "the profile {profile} in {config_file}",
    "sso": "the login of `aws sso login`, profile {login_profile}",
    "login": "the login of `aws login`, profile {login_profile}",
    "custom-process": "the credential_process of the profile {profile}",
    "assume-role": "the role of the profile {profile}",
    "assume-role-with-web-identity": "the role of a web identity, AWS_WEB_IDENTITY_TOKEN_FILE or the profile {profile}",
    "container-role": "the container's role",
    "iam-role": "the role of this instance",
}
"""Where keys of a source come from, by botocore's name of the source."""


@dataclass(frozen=True, slots=True)
class Source:
    """One place that credentials come from.

    ``method`` is botocore's name of it, ``profile`` the AWS profile in use, ``login_profile`` the one at the end of its
    chain of ``source_profile``: where a login belongs to.
    """

    method: str
    profile: str
    login_profile: str
    config_file: str
    credentials_file: str

    def advice(self, method: str = "") -> str:
        """What makes the credentials of this source, or of another ``method`` on the same way, work again."""
        return self._filled(_ADVICE.get(method or self.method, ""))

    @property
    def place(self) -> str:
        """Where its keys come from, in words."""
        return self._filled(_PLACES.get(self.method, f"botocore's source {self.method}"))

    def _filled(self, text: str) -> str:
        return text.format(
            profile=self.profile,
            login_profile=self.login_profile,
            option=self._option,
            config_file=self.config_file,
            credentials_file=self.credentials_file,
        )

    @property
    def _option(self) -> str:
        return "" if self.login_profile == "default" else f" --profile {shlex.quote(self.login_profile)}"


@dataclass(frozen=True, slots=True)
class Login:
    """The keys in use: where they come from (``None`` where they were given by us), and until when they hold.

    ``expires`` is ``None`` where nothing says when, or never; keys that are ``temporary`` end sometime all the same.
    """

    source: Source | None
    expires: datetime | None
    temporary: bool


class SourceFailed(Exception):
    """A source has no credentials to give; ``cause`` is what it raised, of whatever class."""

    def __init__(self, source: Source, cause: Exception) -> None:
        super().__init__(source, cause)
        self.source = source
        self.cause = cause


class NobodyToAsk(Exception):
    """A code is needed for multi-factor authentication, and there is no terminal to ask for it at."""


def watch(session: Any, region: str) -> None:
    """Make the credentials of a botocore session say where they come from when they fail.

    Keys of a role or a login are kept where the AWS command line keeps them, so that a code is asked for once.
    """
    from botocore.credentials import create_credential_resolver

    if not session.get_config_variable("region"):
        # A login is renewed in the Region of the session, and botocore knows no AWS_REGION.
        session.set_config_variable("region", region)
    resolver = create_credential_resolver(session, cache=_kept_keys(), region_name=region)
    resolver.get_provider("assume-role")._prompter = _ask
    session.register_component("credential_provider", _Watched(session, resolver))


def login_of(credentials: Any) -> Login:
    """What is known of a botocore session's credentials, which have been asked for once."""
    source = credentials.source if isinstance(credentials, _Credentials) else None
    # botocore tells nowhere else when keys that it can renew are to end.
    expires = getattr(credentials, "_expiry_time", None)
    return Login(source, expires, bool(credentials.get_frozen_credentials().token))


def source_of(response: Mapping[str, Any]) -> Source | None:
    """Whose keys an answer of AWS was about, where AWS refused something."""
    found = response.get("ResponseMetadata", {}).get(_MARK)
    return found if isinstance(found, Source) else None


class _Watched:
    """botocore's credential resolver, with a name for what fails."""

    def __init__(self, session: Any, resolver: Any) -> None:
        self._session = session
        self._resolver = resolver

    def load_credentials(self) -> Any:
        for provider in self._resolver.providers:
            source = _source(self._session, provider.METHOD)
            with _naming(source):
                found = provider.load()
            if found is not None:
                self._session.register("after-call", lambda source=source, **said: _mark(source, **said))
                return _Credentials(found, source)
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resolver, name)


class _Credentials:
    """botocore's credentials, which may have to be renewed whenever they are used."""

    def __init__(self, inner: Any, source: Source) -> None:
        self._inner = inner
        self.source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get_frozen_credentials(self) -> Any:
        with _naming(self.source):
            return self._inner.get_frozen_credentials()


def _mark(source: Source, parsed: dict[str, Any], **_: Any) -> None:
    if "Error" in parsed:
        parsed.setdefault("ResponseMetadata", {})[_MARK] = source


@contextmanager
def _naming(source: Source) -> Iterator[None]:
    try:
        yield
    except SourceFailed:
        raise
    except Exception as error:
        raise SourceFailed(source, error) from error


def _source(session: Any, method: str) -> Source:
    profile = session.get_config_variable("profile") or "default"
    files = (session.get_config_variable(name) for name in ("config_file", "credentials_file"))
    return Source(method, profile, _end_of_chain(session.full_config["profiles"], profile), *files)


def _end_of_chain(profiles: Mapping[str, Mapping[str, str]], profile: str) -> str:
    """The profile that the keys for its roles come from in the end."""
    passed = [profile]
    while (following := profiles.get(passed[-1], {}).get("source_profile")) and following not in passed:
        passed.append(following)
    return passed[-1]


def _ask(question: str) -> str:
    import getpass
    import warnings

    def ask() -> str:
        with warnings.catch_warnings():
            # Without a terminal getpass warns, and would then take the code from what is piped into a command.
            warnings.simplefilter("error", getpass.GetPassWarning)
            try:
                return getpass.getpass(question)
            except (getpass.GetPassWarning, EOFError) as error:
                raise NobodyToAsk from error

    return terminal.put(ask)


def _kept_keys() -> Any:
    from botocore.utils import JSONFileCache

    class KeptKeys(JSONFileCache):  # type: ignore[misc]
        """A file that cannot be read counts as none, and one that cannot be written costs the next process a call."""

        def __contains__(self, key: str) -> bool:
            try:
                return "Expiration" in self[key]["Credentials"]
            except (KeyError, TypeError):
                return False

        def __setitem__(self, key: str, value: Any) -> None:
            with suppress(OSError):
                super().__setitem__(key, value)

    return KeptKeys(os.path.expanduser(os.path.join("~", ".aws", "cli", "cache")))  # noqa: PTH111, PTH118
