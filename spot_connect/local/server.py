"""The web application: the gate, and behind it the control interface, the metadata and AWS."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from werkzeug.serving import BaseWSGIServer, make_server

from spot_connect.core.profiles import nearest
from spot_connect.local import extra_services
from spot_connect.local.calls import Record, call_of
from spot_connect.local.cloud import ACCOUNT
from spot_connect.local.control import Control
from spot_connect.local.gate import CONTROL, METADATA, Gate
from spot_connect.local.imds import Metadata
from spot_connect.local.peers import admission
from spot_connect.local.replies import Wsgi, refuse
from spot_connect.local.rights import Denial
from spot_connect.local.signed import scope

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud
    from spot_connect.local.faults import CallFault
    from spot_connect.local.state import Saver

log = logging.getLogger("spot_connect.local")


class Router:
    """Sends a request to the part of the cloud that answers it."""

    def __init__(self, cloud: Cloud, saver: Saver, control: Control) -> None:
        self._parts: dict[str, Wsgi] = {CONTROL: control, METADATA: Metadata(cloud)}
        self._extra = extra_services.handlers(cloud)
        self._faults = cloud.faults
        self._lag = cloud.lag
        self._rights = cloud.rights
        self._saver = saver
        self._record = Record()
        self._moto = _moto()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        for prefix, part in self._parts.items():
            if path.startswith(prefix):
                return part(environ, start_response)
        region, service = scope(environ)
        refusal = self._refusal(environ, region, service)
        if refusal:
            return refuse(environ, refusal.code, refusal.message, refusal.status)(environ, start_response)
        handler = self._extra.get(service)
        if handler:
            return handler(environ, start_response)
        with self._lag.call():
            unknown_yet = self._lag.refusal(service, region, environ)
            if unknown_yet:
                return refuse(environ, *unknown_yet)(environ, start_response)
            return self._answered(environ, start_response)

    def _answered(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._ask_moto(environ, start_response)
        with self._saver.changing():
            return self._ask_moto(environ, start_response)

    def _refusal(self, environ: dict[str, Any], region: str, service: str) -> Denial | CallFault | None:
        unknown = _no_region(region)
        if unknown:
            return Denial("InvalidParameterValue", unknown, 400)
        denial = self._heard(environ)
        if denial or service != "ec2" or not self._faults.await_calls():
            return denial
        return self._faults.at_call(_action(environ))

    def _heard(self, environ: dict[str, Any]) -> Denial | None:
        """How the call is refused for want of rights, if it is; it is written down where that is asked for."""
        self._rights.forget()
        enforced = self._faults.enforce_policies()
        call = call_of(environ) if self._record or enforced else None
        if call and self._record:
            self._record.write(call)
        return self._rights.refusal(call) if enforced else None

    def _ask_moto(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            return self._moto(environ, start_response)
        except NotImplementedError as error:
            # As moto leaves it this is a page with status 500, which clients cannot read and try again.
            return refuse(environ, "UnsupportedOperation", f"The local cloud cannot do this: {error}", 400)(
                environ, start_response
            )
        except Exception as error:
            log.exception("a request failed")
            return refuse(environ, "InternalError", f"The local cloud failed: {error!r}. See its log.", 500)(
                environ, start_response
            )


def _no_region(region: str) -> str:
    """What EC2 says of a Region that there is none of; empty when it is one, or none is told."""
    from moto.ec2.models import ec2_backends

    known = ec2_backends[ACCOUNT].regions
    if not region or region in known:
        return ""
    close = nearest(region, known)
    return f"Invalid region provided: {region}." + (f" Did you mean {' or '.join(close)}?" if close else "")


def _action(environ: dict[str, Any]) -> str:
    """What a request asks of EC2; its body can still be read afterwards."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    asked = parse_qs(f"{environ.get('QUERY_STRING', '')}&{body.decode('utf-8', 'replace')}")
    return asked.get("Action", [""])[0]


def serve(cloud: Cloud, saver: Saver, control: Control) -> BaseWSGIServer:
    """The server, bound to the loopback address; the port is in ``cloud.settings`` afterwards."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler

    class Handler(MotoRequestHandler):  # type: ignore[misc, unused-ignore]
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Keep the log for what matters."""

    app = Gate(Router(cloud, saver, control), cloud.knows, admission(_users(cloud)))
    port = cloud.settings.port
    try:
        server = _bind(port, app, Handler)
    except OSError:
        server = _bind(0, app, Handler)
        cloud.notes.append(f"Port {port} is taken by another program; set AWS_ENDPOINT_URL again.")
    cloud.settings.port = server.port
    return server


def _users(cloud: Cloud) -> set[int]:
    """Who may ask: the user whose cloud it is, root, who may do everything anyway, and whom instances run as."""
    return {os.geteuid(), 0, *([cloud.boxes.uid] if cloud.boxes.uid is not None else [])}


def _bind(port: int, app: Wsgi, handler: type) -> BaseWSGIServer:
    import socket

    # Werkzeug exits the program when the port is taken; a socket of ours tells us instead.
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    with listener:
        return make_server("127.0.0.1", port, app, threaded=True, request_handler=handler, fd=listener.fileno())


def _moto() -> Wsgi:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    application: Wsgi = DomainDispatcherApplication(create_backend_app)
    return application
