"""The endpoints of AWS that give credentials, and EC2 to use them with: a small HTTP server on the loopback."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, str]


def at(seconds: float) -> str:
    """The moment in so many seconds, as AWS writes it."""
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def error(kind: str, message: str = "no", status: int = 400) -> Answer:
    """An error of the services that speak JSON."""
    return status, json.dumps({"__type": kind, "message": message})


def xml_error(code: str, message: str = "no", status: int = 400) -> Answer:
    """An error of STS."""
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return status, text


@dataclass
class Asked:
    """One request: to which service, what for, and with whose key, made for which Region."""

    service: str
    path: str
    said: dict[str, str]
    headers: dict[str, str]
    key: str
    region: str = ""


@dataclass
class Endpoints:
    """What was asked, and what is answered instead of the usual.

    ``instead`` has a function of the request by service. ``seconds`` is how long the keys last that are given. The
    clock of these endpoints is ``ahead`` by so many seconds.
    """

    url: str = ""
    seconds: float = 3600
    ahead: float = 0
    asked: list[Asked] = field(default_factory=list)
    instead: dict[str, Callable[[Asked], Answer]] = field(default_factory=dict)
    _given: int = 0

    def of(self, service: str) -> list[Asked]:
        """What one service was asked."""
        return [one for one in self.asked if one.service == service]

    @property
    def keys(self) -> list[str]:
        """The keys that EC2 has seen, in order."""
        return [one.key for one in self.of("ec2")]

    def environment(self) -> dict[str, str]:
        """What leads botocore here."""
        names = {"SSO": "sso", "SSO_OIDC": "oidc", "STS": "sts", "SIGNIN": "signin", "EC2": "ec2"}
        return {f"AWS_ENDPOINT_URL_{name}": f"{self.url}/{place}" for name, place in names.items()}

    def answer(self, asked: Asked) -> Answer:
        """The status and the text for a request."""
        self.asked.append(asked)
        instead = self.instead.get(asked.service)
        return instead(asked) if instead else getattr(self, f"_{asked.service}")(asked)

    def _key(self, kind: str) -> str:
        self._given += 1
        return f"{kind}KEY{self._given:013}"

    def _ec2(self, asked: Asked) -> Answer:
        return 200, f"<{asked.said['Action']}Response><reservationSet/></{asked.said['Action']}Response>"

    def _sts(self, asked: Asked) -> Answer:
        action = asked.said["Action"]
        if action == "GetCallerIdentity":
            return self._identity(asked)
        credentials = (
            f"<Credentials><AccessKeyId>{self._key('ROLE')}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            f"<SessionToken>t</SessionToken><Expiration>{at(self.seconds)}</Expiration></Credentials>"
        )
        user = (
            f"<AssumedRoleUser><Arn>{asked.said['RoleArn']}</Arn><AssumedRoleId>r:s</AssumedRoleId></AssumedRoleUser>"
        )
        return 200, f"<{action}Response><{action}Result>{credentials}{user}</{action}Result></{action}Response>"

    def _identity(self, asked: Asked) -> Answer:
        if not asked.key:
            return xml_error("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        said = "<Arn>arn:aws:iam::123456789012:user/me</Arn><UserId>AIDA</UserId><Account>123456789012</Account>"
        result = f"<GetCallerIdentityResult>{said}</GetCallerIdentityResult>"
        return 200, f"<GetCallerIdentityResponse>{result}</GetCallerIdentityResponse>"

    def _sso(self, asked: Asked) -> Answer:
        found = {
            "accessKeyId": self._key("SSO"),
            "secretAccessKey": "s",
            "sessionToken": "t",
            "expiration": (datetime.now(timezone.utc).timestamp() + self.seconds) * 1000,
        }
        return 200, json.dumps({"roleCredentials": found})

    def _oidc(self, asked: Asked) -> Answer:
        return 200, json.dumps({"accessToken": "renewed", "expiresIn": 3600, "refreshToken": "next"})

    def _signin(self, asked: Asked) -> Answer:
        keys = {"accessKeyId": self._key("LOGIN"), "secretAccessKey": "s", "sessionToken": "t"}
        said = {"accessToken": keys, "tokenType": "aws_sigv4", "expiresIn": 900, "refreshToken": "next"}
        return 200, json.dumps(said)

    def _container(self, asked: Asked) -> Answer:
        return 200, json.dumps(self._metadata("CONTAINER"))

    def _imds(self, asked: Asked) -> Answer:
        if asked.path == "/latest/api/token":
            return 200, "token"
        if asked.path.endswith("/security-credentials/"):
            return 200, "my-role"
        return 200, json.dumps({"Code": "Success", **self._metadata("IMDS")})

    def _metadata(self, kind: str) -> dict[str, str]:
        return {
            "AccessKeyId": self._key(kind),
            "SecretAccessKey": "s",
            "Token": "t",
            "Expiration": at(self.seconds),
        }


def _handler(endpoints: Endpoints) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            parts = urlsplit(self.path)
            _, service, *rest = parts.path.split("/")
            signed = re.search(r"Credential=([^/]+)/\d+/([^/]+)/", self.headers.get("Authorization", ""))
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = _said(body) | _form(parts.query)
            asked = Asked(service, "/" + "/".join(rest), said, headers, *(signed.groups() if signed else ("", "")))
            status, text = endpoints.answer(asked)
            self.send_response(status)
            if text.startswith('{"__type"'):
                self.send_header("x-amzn-errortype", json.loads(text)["__type"])
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = _reply  # noqa: N815

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((timestamp or time.time()) + endpoints.ahead)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _said(body: str) -> dict[str, str]:
    return json.loads(body) if body.startswith("{") else _form(body)


def _form(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}


@contextmanager
def serving() -> Iterator[Endpoints]:
    """The endpoints, for as long as the context is open."""
    endpoints = Endpoints()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(endpoints))
    server.daemon_threads = True
    endpoints.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield endpoints
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
