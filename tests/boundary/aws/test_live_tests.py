"""The tests of a real account run here against a local cloud, as somebody runs them against AWS."""

from __future__ import annotations

import os
import socketserver
import ssl
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from spot_connect.local import service
from tests.live.leftovers import Leftovers
from tests.local_cloud import running_local_cloud

ROOT = Path(__file__).parents[3]
WHO = "checkip.amazonaws.com"
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def certificate(tmp_path):
    """Of an authority that vouches for the one name that tells us our address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, WHO)])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(WHO)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    path.with_name("key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture
def proxy(certificate):
    """A proxy behind which there is nothing but whoever tells us our address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    class Tells(socketserver.StreamRequestHandler):
        def handle(self):
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with context.wrap_socket(self.request, server_side=True) as line:
                line.recv(4096)
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n127.0.0.1")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tells) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def run(environment, *words):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", "tests/live", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_they_are_green_on_a_local_cloud_and_leave_nothing(tmp_path, monkeypatch, proxy, certificate):
    with running_local_cloud(tmp_path / "cloud") as local:
        access = service.environment(local.endpoint)
        del access["AWS_ENDPOINT_URL"]
        environment = {
            **access,
            "SPOT_CONNECT_HOME": str(local.home),
            "HTTPS_PROXY": proxy,
            "AWS_CA_BUNDLE": str(certificate),
        }
        done = run(environment, "--live", "--live-endpoint", local.endpoint.url)
        assert done.returncode == 0, done.stdout
        assert "skipped" not in done.stdout
        for name, value in access.items():
            monkeypatch.setenv(name, value)
        assert not any(Leftovers("spot-connect-live-", local.endpoint.url).everything().values())


def test_without_being_asked_for_they_do_not_run():
    done = run({})
    assert done.returncode == 0, done.stdout
    assert "passed" not in done.stdout
    assert "with --live alone" in done.stdout


def test_what_a_failed_test_leaves_is_deleted_too(tmp_path, monkeypatch):
    with running_local_cloud(tmp_path / "cloud") as local:
        for name, value in service.environment(local.endpoint).items():
            monkeypatch.setenv(name, value)
        left = Leftovers("spot-connect-live-x", local.endpoint.url)
        tag = [{"Key": "Name", "Value": "spot-connect-live-x-1"}]
        group = local.client("ec2").create_security_group(GroupName="SG-spot-connect-live-x", Description="x")[
            "GroupId"
        ]
        specification = [{"ResourceType": "instance", "Tags": tag}]
        local.run(TagSpecifications=specification, SecurityGroupIds=[group])
        kept = local.run()["InstanceId"]
        target = local.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
        made = local.client("efs").create_file_system(CreationToken="spot-connect-live-x-fs")["FileSystemId"]
        _available(local, made)
        local.client("efs").create_mount_target(FileSystemId=made, SubnetId=target, SecurityGroups=[group])
        local.client("ec2").create_key_pair(KeyName="KP-spot-connect-live-x-1")
        assert sum(map(len, left.everything().values())) == 4
        left.clear()
        assert not any(left.everything().values())
        assert local.instance(kept)["State"]["Name"] in ("pending", "running")
        local.end(kept)


def _available(local, file_system):
    from spot_connect.core.waiting import Seen, wait_for

    def look():
        [found] = local.client("efs").describe_file_systems(FileSystemId=file_system)["FileSystems"]
        return Seen(found["LifeCycleState"] == "available" or None)

    wait_for("file system", look, seconds=60, every=0.1)
