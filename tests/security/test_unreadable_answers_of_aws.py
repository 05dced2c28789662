"""What comes in the place of an answer of AWS: a page of a network, a cut answer, or a tag that breaks it."""

from __future__ import annotations

import http.server
import threading

import pytest

from spot_connect.aws.instances import managed
from spot_connect.aws.session import Cloud, Endpoint
from spot_connect.core.errors import AwsUnreachable

PAGE = b"<!DOCTYPE html><html><body>\x1b[2JPlease log in<br></body>"
BROKEN = b'<?xml version="1.0"?><DescribeInstancesResponse><tagSet><value>\x1b]0;x\x07</value></tagSet>'


class Answering(http.server.BaseHTTPRequestHandler):
    """A server that answers all questions alike."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def answering():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join(20)
    server.server_close()


@pytest.mark.parametrize("content", [PAGE, BROKEN, BROKEN[:40], b"\x00\xff", b"no"])
def test_what_is_no_answer_is_one_line_without_what_came(answering, content):
    answering.content = content
    cloud = Cloud("us-east-1", Endpoint(f"http://127.0.0.1:{answering.server_port}", "key", "secret"))
    with pytest.raises(AwsUnreachable) as caught:
        managed(cloud)
    assert "no answer of AWS" in caught.value.said
    assert "log in<br>" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", ["\x1b]0;x\x07", "\x00", "a\x08", "\ufffe"])
def test_the_local_cloud_takes_no_tag_that_no_answer_could_hold(cloud_home, value):
    from botocore.exceptions import ClientError

    from spot_connect.local import service
    from tests.local_cloud import LocalCloud

    ec2 = LocalCloud(cloud_home, service.up(cloud_home).endpoint).client("ec2")
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.create_tags(Resources=[group], Tags=[{"Key": "spot-connect:name", "Value": value}])
    ec2.create_tags(Resources=[group], Tags=[{"Key": "x", "Value": "line\nend \x9b \u202e"}])
    assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["Tags"]
