"""Who cannot get in: web pages, strangers' names for this computer, and keys that are not ours."""

from __future__ import annotations

import http.client
import json
import socket

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

RUN = "Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MinCount=1&MaxCount=1&UserData=IyEvYmluL3No"
MADE_UP = "AWS4-HMAC-SHA256 Credential=AKIAEVIL/20261122/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def send(cloud):
    def send(method="POST", path="/", body=RUN, **headers):
        host = cloud.endpoint.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.request(method, path, body, {**FORM, **headers})
        reply = connection.getresponse()
        reply.text = reply.read().decode()
        connection.close()
        return reply

    return send


@pytest.fixture
def ours(cloud):
    key = cloud.endpoint.access_key
    return f"AWS4-HMAC-SHA256 Credential={key}/20261122/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0"


def test_our_key_gets_in(send, ours):
    reply = send(body="Action=DescribeRegions&Version=2016-11-15", Authorization=ours)
    assert reply.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": "169.254.169.254"},
        {"Host": ""},
    ],
)
@pytest.mark.parametrize("path", ["/", "/_spot_connect/status", "/_imds/i-0123456789abcdef0/latest/meta-data/"])
def test_a_web_page_gets_nothing_even_with_our_key(send, ours, headers, path):
    reply = send(path=path, **{"Authorization": ours, **headers})
    assert reply.status == 403
    assert "Access-Control-Allow-Origin" not in reply.headers


def test_a_preflight_is_refused(send):
    reply = send("OPTIONS", Origin="https://evil.example", **{"Access-Control-Request-Method": "POST"})
    assert reply.status == 403
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/moto-api/reset", "/moto-api/data.json", "/bucket", "/latest/meta-data/"])
@pytest.mark.parametrize("authorization", ["", "nonsense", MADE_UP])
def test_who_does_not_know_our_key_gets_nothing(send, path, authorization):
    reply = send(path=path, Authorization=authorization)
    assert reply.status == 403
    assert "AuthFailure" in reply.text


def test_motos_own_interface_is_closed_to_us_too(send, ours):
    assert send(path="/moto-api/reset", Authorization=ours).status == 403


@pytest.mark.parametrize(
    ("service", "call", "parameters"),
    [
        ("ec2", "describe_regions", {}),
        ("sts", "get_caller_identity", {}),
        ("iam", "list_users", {}),
        ("s3", "list_buckets", {}),
        ("ssm", "get_parameter", {"Name": "x"}),
        ("efs", "describe_file_systems", {}),
        ("pricing", "get_products", {"ServiceCode": "AmazonEC2"}),
    ],
)
def test_a_real_key_is_refused_in_a_shape_that_its_client_reads(cloud, service, call, parameters):
    client = boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=cloud.endpoint.url,
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI",
    )
    with pytest.raises(ClientError) as caught:
        getattr(client, call)(**parameters)
    assert caught.value.response["Error"]["Code"] == "AuthFailure"
    assert "spot_connect local env" in caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_presigned_address_opens_the_door_to_its_object_only(cloud, send, name):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"content")
    url = s3.generate_presigned_url("get_object", {"Bucket": name, "Key": "k"}).removeprefix(cloud.endpoint.url)
    assert send("GET", url, body=None).text == "content"
    assert send("GET", url.replace(cloud.endpoint.access_key, "AKIAEVIL"), body=None).status == 403
    assert send("GET", f"/{name}/k", body=None).status == 403


def test_the_cloud_listens_on_the_loopback_address_only(cloud):
    port = int(cloud.endpoint.url.rpartition(":")[2])
    with socket.socket(socket.AF_INET) as everywhere:
        # Binding another loopback address shows that the daemon has not taken them all.
        everywhere.bind(("127.0.0.2", port))


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer wrong", "Basic c2VjcmV0"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "status"),
        ("POST", "shutdown"),
        ("POST", "reset"),
        ("POST", "clock"),
        ("POST", "instances/i-0123456789abcdef0/shutdown"),
        ("GET", "instances/i-0123456789abcdef0/log"),
        ("GET", "nothing"),
    ],
)
def test_the_control_interface_answers_its_owner_only(send, token, method, path):
    assert send(method, f"/_spot_connect/{path}", "{}", Authorization=token).status == 403


def test_the_access_key_does_not_open_the_control_interface(send, ours):
    assert send("POST", "/_spot_connect/shutdown", "{}", Authorization=ours).status == 403


def test_keys_made_in_the_cloud_are_keys_of_the_cloud(cloud, name):
    iam = cloud.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    user = cloud.client(
        "sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    ).get_caller_identity()
    assert user["Arn"].endswith(f"user/{name}")


def test_what_the_cloud_cannot_do_is_refused_once_and_in_words(cloud, refused):
    code, message = refused(cloud.client("ec2").describe_spot_datafeed_subscription)
    assert code == "UnsupportedOperation"
    assert message.startswith("The local cloud cannot do this")


def test_a_signature_in_the_query_is_read_too(cloud, send):
    request = AWSRequest("GET", f"{cloud.endpoint.url}/?Action=DescribeRegions&Version=2016-11-15")
    SigV4Auth(Credentials(cloud.endpoint.access_key, "any"), "ec2", "us-east-1").add_auth(request)
    reply = send("GET", "/?Action=DescribeRegions&Version=2016-11-15", None, **dict(request.headers.items()))
    assert reply.status == 200


def test_status_tells_the_owner(cloud):
    said = cloud.control("GET", "status")
    assert {"pid", "level", "description", "instances", "notes"} <= said.keys()
    assert json.dumps(said)
