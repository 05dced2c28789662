"""Who may talk to the local cloud.

The daemon runs user data as the user, so whoever can call it can run programs. A page in the user's
browser can send requests to the loopback address, and so can every other user of the computer; they must
not get in, whatever they send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from spot_connect.local.peers import Place
from spot_connect.local.replies import Wsgi, refuse
from spot_connect.local.signed import access_key

METADATA = "/_imds/"
CONTROL = "/_spot_connect/"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})
_HOSTS = frozenset({"127.0.0.1", "localhost"})
_OWN_PAGES = frozenset({"none", "same-origin"})


class Gate:
    """Lets a request through to ``inner`` when it comes from a program that knows our access key.

    ``knows`` tells whether an access key id is one of ours, ``admits`` whether a connection from the second
    place to the first one comes from a user of ours. The metadata service and the control interface are let
    through to do their own, stricter checks.
    """

    def __init__(self, inner: Wsgi, knows: Callable[[str], bool], admits: Callable[[Place, Place], bool]) -> None:
        self._inner = inner
        self._knows = knows
        self._admits = admits

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        reason = self._from_a_stranger(environ) or _from_a_browser(environ) or self._unknown(environ)
        if not reason:
            return self._inner(environ, start_response)
        return refuse(environ, "AuthFailure", reason, 403)(environ, start_response)

    def _from_a_stranger(self, environ: dict[str, Any]) -> str:
        near = (environ["SERVER_NAME"], int(environ["SERVER_PORT"]))
        far = (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"]))
        return "" if self._admits(near, far) else "This is the local cloud of another user of this computer."

    def _unknown(self, environ: dict[str, Any]) -> str:
        path = environ.get("PATH_INFO", "")
        if path.startswith((METADATA, CONTROL)):
            return ""
        if path.startswith("/moto-api"):
            return "This address is not part of the local cloud."
        if self._knows(access_key(environ)):
            return ""
        return (
            "AWS was not able to validate the provided access credentials. "
            "This is the local cloud of spot-connect: its keys are told by `spot_connect local env`."
        )


def _from_a_browser(environ: dict[str, Any]) -> str:
    if environ.get("REQUEST_METHOD") not in _METHODS:
        return "The local cloud does not know this method."
    if "HTTP_ORIGIN" in environ:
        return "The local cloud does not answer web pages."
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in _OWN_PAGES:
        return "The local cloud does not answer web pages."
    # A name that an attacker's DNS server points at 127.0.0.1 arrives here as Host.
    if environ.get("HTTP_HOST", "").partition(":")[0] not in _HOSTS:
        return "The local cloud is called 127.0.0.1 or localhost."
    return ""
