"""Answers in the shapes that AWS clients can read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from spot_connect.local.signed import scope

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def json_reply(content: object, status: int = 200) -> Response:
    """``content`` as JSON."""
    return Response(json.dumps(content), status, content_type="application/json")


def text_reply(content: str, status: int = 200) -> Response:
    """``content`` as it is."""
    return Response(content, status, content_type="text/plain")


def refuse(environ: dict[str, Any], code: str, message: str, status: int) -> Response:
    """An error that the client of the addressed service understands."""
    _, service = scope(environ)
    if service == "elasticfilesystem" or "json" in environ.get("CONTENT_TYPE", ""):
        reply = json_reply({"__type": code, "ErrorCode": code, "message": message, "Message": message}, status)
        reply.headers["X-Amzn-ErrorType"] = code
        return reply
    return Response(_xml(service, code, escape(message)), status, content_type="text/xml")


def ec2_refusal(code: str, message: str, status: int) -> tuple[str, dict[str, str | int]]:
    """An error of EC2 as moto's methods may return it."""
    return _xml("ec2", code, escape(message)), {"status": status, "Content-Type": "text/xml"}


def _xml(service: str, code: str, message: str) -> str:
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    if service == "s3":
        body = f"<Error>{error}</Error>"
    elif service == "ec2" or not service:
        body = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>local</RequestID></Response>"
    else:
        body = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId>local</RequestId></ErrorResponse>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'
