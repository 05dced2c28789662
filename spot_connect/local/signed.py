"""What a signed request says of its signer."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs

_SIGNED = re.compile(r"(?:Credential=|AWS )([A-Za-z0-9]{4,128})[/:]")
_SCOPE = re.compile(r"Credential=[^/,]+/\d{8}/([^/,]*)/([^/,]*)/aws4_request")


def access_key(environ: dict[str, Any]) -> str:
    """The access key id that the request claims; empty when there is none."""
    signed: re.Match[str] | None = _SIGNED.search(str(environ.get("HTTP_AUTHORIZATION", "")))
    if signed:
        return signed.group(1)
    query = parse_qs(str(environ.get("QUERY_STRING", "")))
    scope = query.get("X-Amz-Credential", [""])[0]
    return scope.partition("/")[0] or query.get("AWSAccessKeyId", [""])[0]


def scope(environ: dict[str, Any]) -> tuple[str, str]:
    """Region and service that the request was signed for; empty when it does not tell."""
    found = _SCOPE.search(str(environ.get("HTTP_AUTHORIZATION", "")))
    return (found.group(1), found.group(2)) if found else ("", "")
