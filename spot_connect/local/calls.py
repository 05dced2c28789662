"""What a request asks of AWS, read from its text with AWS's own description of the service."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spot_connect.local.signed import access_key, scope

RECORD = "SPOT_CONNECT_LOCAL_CALLS"
_SIGNED_AS = {"elasticfilesystem": "efs", "servicequotas": "service-quotas"}
"""Services whose requests are signed by another name than their clients have."""
_LONGEST = 65536
"""Bytes of a value that are written down; no request but the upload of a file holds more."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: ``service`` by the name that IAM has for it, what it asks, and of whom it comes."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    region: str
    access_key: str
    agent: str

    @property
    def action(self) -> str:
        """The operation as policies name it."""
        return f"{self.service}:{self.operation}"


def call_of(environ: dict[str, Any]) -> Call | None:
    """What the request asks; ``None`` when that cannot be told, as of a service that botocore does not describe.

    The body can still be read afterwards.
    """
    from moto.core.parse import PROTOCOL_PARSERS
    from moto.core.request import Request, determine_request_protocol
    from moto.core.routing import get_service_router
    from moto.core.utils import get_service_model

    region, service = scope(environ)
    name = _SIGNED_AS.get(service, service)
    body = _body(environ, service)
    request = Request({**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
    try:
        model = get_service_model(name)
        operation = _operation(request)
        found: dict[str, Any] = {}
        if not operation:
            matched, told = get_service_router(name).match(request)
            operation, found = matched.name, dict(told)
        described = model.operation_model(operation)
        parser = PROTOCOL_PARSERS[determine_request_protocol(model, request.content_type)](described)
        parameters = parser.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.data if not request.form else b"",
                "url_path": request.path,
                "url_params": found,
            }
        )
    except Exception:  # noqa: BLE001 - whatever it is that cannot be read, moto says what AWS would
        return None
    agent = str(environ.get("HTTP_USER_AGENT", ""))
    return Call(service, operation, parameters, region, access_key(environ), agent)


class Record:
    """Writes calls down, a line of JSON each, where the variable ``SPOT_CONNECT_LOCAL_CALLS`` names a file."""

    def __init__(self) -> None:
        self._path = os.environ.get(RECORD, "")

    def __bool__(self) -> bool:
        return bool(self._path)

    def write(self, call: Call) -> None:
        """Add the call at the end of the file, which only its owner can read."""
        line = json.dumps(asdict(call), default=_plain).encode() + b"\n"
        # One write, so that the lines of several clouds do not mix.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, line)
        finally:
            os.close(file)


def _body(environ: dict[str, Any], service: str) -> bytes:
    """The body, left to be read again; none of a file that is put into S3, or of one whose length is not told."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not length or (service == "s3" and environ["REQUEST_METHOD"] == "PUT"):
        return b""
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _operation(request: Any) -> str:
    """What is asked, where the request names it; services of the REST kind tell it by method and path."""
    return str(request.values.get("Action") or request.headers.get("X-Amz-Target", "").rpartition(".")[2])


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value[:_LONGEST].decode("utf-8", "backslashreplace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
