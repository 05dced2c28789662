"""The one HTTPS request that is not botocore's trusts whom botocore trusts."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from spot_connect.aws.networks import own_address
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsUnreachable


class _Tells(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"203.0.113.7\n")

    def log_message(self, *_):
        pass


@pytest.fixture
def bundle(tmp_path):
    """The certificate of an authority that no system knows, which vouches for the loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a company's proxy")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "bundle.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.with_name("key.pem").write_bytes(secret)
    return path


@pytest.fixture
def url(bundle):
    server = HTTPServer(("127.0.0.1", 0), _Tells)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(bundle, bundle.with_name("key.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_who_is_not_known_is_not_believed(url):
    with pytest.raises(AwsUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        own_address(Cloud("us-east-1"), url)


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_the_users_own_bundle_counts(monkeypatch, bundle, url, name):
    monkeypatch.setenv(name, str(bundle))
    assert own_address(Cloud("us-east-1"), url) == "203.0.113.7"


def test_the_bundle_of_the_aws_profile_counts(tmp_path, bundle, url):
    (tmp_path / "aws-config").write_text(f"[default]\nca_bundle = {bundle}\n")
    assert own_address(Cloud("us-east-1"), url) == "203.0.113.7"


def test_a_python_without_certificates_of_the_system_trusts_those_of_botocore(monkeypatch, tmp_path, bundle, url):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setattr("botocore.httpsession.where", lambda: str(bundle))
    assert own_address(Cloud("us-east-1"), url) == "203.0.113.7"


def test_a_bundle_that_is_not_there_is_named(monkeypatch, tmp_path, url):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "no bundle"))
    with pytest.raises(AwsUnreachable, match="no bundle"):
        own_address(Cloud("us-east-1"), url)
