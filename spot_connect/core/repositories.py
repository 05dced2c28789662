"""Links of git repositories, and what is secret in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from spot_connect.core.errors import UsageError

_HTTP = ("http", "https")
_CONTROL = frozenset("\0\r\n")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository by a link that has nothing secret in it, and the login that stood there."""

    link: str
    site: str = ""
    """Scheme, host and port: nobody else is told the login."""
    username: str = field(default="", repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def has_login(self) -> bool:
        """Whether there is something to tell the site."""
        return bool(self.site)

    @property
    def login(self) -> bytes:
        """The login in two lines, as the scripts of :mod:`spot_connect.core.scripts` read it from their input."""
        return f"{self.username}\n{self.password or ''}\n".encode() if self.has_login else b""


def repository(link: str) -> Repository:
    r"""The repository of a link as git takes it; of an HTTP link, user name and password stand apart.

    Raises:
        UsageError: the login in it has more than one line.

    Example:
        >>> found = repository("https://me:se%40cret@example.com/a.git")
        >>> found.link, found.login
        ('https://example.com/a.git', b'me\nse@cret\n')
    """
    try:
        parts = urlsplit(link)
    except ValueError as error:
        raise UsageError(f"cannot use the repository {link}", str(error)) from error
    before, sign, place = parts.netloc.rpartition("@")
    if parts.scheme.lower() not in _HTTP or not sign:
        return Repository(link)
    user, has_password, password = before.partition(":")
    username, secret = unquote(user), unquote(password) if has_password else None
    if _CONTROL.intersection(username + (secret or "")):
        raise UsageError(f"cannot use the repository {link}", "its login has more than one line")
    return Repository(parts._replace(netloc=place).geturl(), f"{parts.scheme}://{place}", username, secret)
