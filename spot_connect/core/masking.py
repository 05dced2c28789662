"""Passwords in links, which are not to be shown: everything that is told goes through here.

It imports nothing before there is something to mask.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

_MASK = "***"
_LINK = r"([A-Za-z][A-Za-z0-9+.-]*)://([^\s/?#]*)(\S*)"
_PARAMETER = r"([?&][\w.-]*(?:token|secret|password|passwd|signature|credential|key)[\w.-]*=)[^\s&#'\"]+"


def masked(text: str) -> str:
    """``text`` with a mask in place of every user name and password in a link, and of keys among its parameters.

    Example:
        >>> masked("cannot clone https://me:secret@example.com/a.git?access_token=x1 to a")
        'cannot clone https://***@example.com/a.git?access_token=*** to a'
        >>> masked("cannot clone ssh://git@example.com:22/a.git")
        'cannot clone ssh://git@example.com:22/a.git'
    """
    if "://" not in text or not ("@" in text or "=" in text):
        return text
    import re

    return re.sub(_PARAMETER, rf"\g<1>{_MASK}", re.sub(_LINK, _without_login, text), flags=re.IGNORECASE)


def _without_login(found: re.Match[str]) -> str:
    scheme, place, rest = found.groups()
    login, sign, _ = place.rpartition("@")
    _, colon, word = place.partition(":")
    # A password may have any sign in it, though in a link it should be encoded; a port is none.
    if colon and not word.isdecimal() and "@" in place + rest:
        return f"{scheme}://{_MASK}@{(place + rest).rpartition('@')[2]}"
    if sign and scheme.lower() != "ssh":
        place = f"{_MASK}@{place[len(login) + 1 :]}"
    return f"{scheme}://{place}{masked(rest)}"
