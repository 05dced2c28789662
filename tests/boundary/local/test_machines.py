"""Behind each instance there is a machine that answers SSH, runs its user data, and ends with it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spot_connect.core.waiting import Seen, wait_for
from spot_connect.local import service
from tests.local_cloud import PATIENCE, running_local_cloud

MANY = 100
ONLY_THE_KEY = {"timeout": PATIENCE, "look_for_keys": False, "allow_agent": False}


class Login:
    """A key pair, and what one can do with it."""

    def __init__(self, cloud, name, key):
        self.cloud = cloud
        self.name = name
        self.key = key

    def address(self, instance_id):
        host, _, port = self.cloud.tags(instance_id)["spot-connect:ssh"].rpartition(":")
        return host, int(port)

    def connect(self, instance_id, user="ec2-user"):
        """An SSH connection, once the machine answers."""

        def look():
            client = paramiko.SSHClient()
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            host, port = self.address(instance_id)
            try:
                client.connect(host, port, user, pkey=self.key, **ONLY_THE_KEY)
            except (OSError, paramiko.SSHException) as error:
                client.close()
                if isinstance(error, paramiko.AuthenticationException):
                    raise
                return Seen(None, str(error))
            return Seen(client)

        return wait_for("SSH", look, seconds=PATIENCE, every=0.05)

    def output(self, instance_id, command, user="ec2-user"):
        """What the command writes there."""
        with self.connect(instance_id, user) as client:
            _, out, _ = client.exec_command(command, timeout=PATIENCE)
            return out.read().decode().strip()

    def wait(self, instance_id, command):
        """Until the command writes something."""
        return wait_for(command, lambda: Seen(self.output(instance_id, command) or None), seconds=PATIENCE, every=0.1)


@pytest.fixture(scope="module")
def login(cloud):
    private = Ed25519PrivateKey.generate()
    encoding, form = serialization.Encoding, serialization.PublicFormat
    public = private.public_key().public_bytes(encoding.OpenSSH, form.OpenSSH)
    text = private.private_bytes(encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    cloud.client("ec2").import_key_pair(KeyName="machines", PublicKeyMaterial=public)
    return Login(cloud, "machines", paramiko.Ed25519Key.from_private_key(io.StringIO(text.decode())))


def test_an_imported_key_opens_it_and_the_console_tells_its_host_key(cloud, ec2, login):
    instance_id = cloud.spot(KeyName=login.name)["InstanceId"]
    with login.connect(instance_id) as client:
        seen = client.get_transport().get_remote_server_key()
    console = ec2.get_console_output(InstanceId=instance_id)["Output"]
    assert f"{seen.get_name()} {seen.get_base64()}" in console


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_a_key_that_the_cloud_made_opens_it(cloud, ec2, name, kind):
    text = ec2.create_key_pair(KeyName=name, KeyType=kind)["KeyMaterial"]
    reader = paramiko.RSAKey if kind == "rsa" else paramiko.Ed25519Key
    login = Login(cloud, name, reader.from_private_key(io.StringIO(text)))
    assert login.output(cloud.run(KeyName=name)["InstanceId"], "echo here") == "here"


def test_another_key_and_another_user_do_not(cloud, ec2, login, name):
    ec2.create_key_pair(KeyName=name, KeyType="ed25519")
    other = cloud.run(KeyName=name)["InstanceId"]
    with pytest.raises(paramiko.AuthenticationException):
        login.connect(other)


def test_the_user_is_that_of_the_image_unless_a_tag_says_another(cloud, login):
    ubuntu = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    image = cloud.client("ssm").get_parameter(Name=ubuntu)["Parameter"]["Value"]
    instance_id = cloud.run(KeyName=login.name, ImageId=image)["InstanceId"]
    assert login.output(instance_id, "echo $USER", "ubuntu") == "ubuntu"
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "spot-connect:login", "Value": "maria"}]}]
    instance_id = cloud.run(KeyName=login.name, TagSpecifications=tags)["InstanceId"]
    assert login.output(instance_id, "echo $USER", "maria") == "maria"


@pytest.mark.parametrize("tag", ["../../tmp/x", "me\nroot::0:0::/:/bin/sh"], ids=["path", "line"])
def test_a_tag_that_is_no_login_makes_no_user(cloud, login, tag):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "spot-connect:login", "Value": tag}]}]
    instance_id = cloud.run(KeyName=login.name, TagSpecifications=tags)["InstanceId"]
    assert login.output(instance_id, "echo $USER", "ec2-user") == "ec2-user"


def test_user_data_runs_once(cloud, ec2, login):
    script = "#!/bin/bash\necho run >> /home/ec2-user/ran\n"
    instance_id = cloud.run(KeyName=login.name, UserData=script)["InstanceId"]
    assert login.wait(instance_id, "cat ran") == "run"
    ec2.stop_instances(InstanceIds=[instance_id])
    cloud.until(instance_id, "stopped")
    ec2.start_instances(InstanceIds=[instance_id])
    cloud.until(instance_id, "running")
    assert login.wait(instance_id, "cat ran") == "run"


def test_the_machine_knows_itself_and_its_cloud(cloud, login):
    instance_id = cloud.spot(KeyName=login.name)["InstanceId"]
    said = login.output(instance_id, "env")
    environment = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    assert environment["SPOT_CONNECT_BOX"] == instance_id
    assert environment["AWS_ENDPOINT_URL"] == cloud.endpoint.url
    assert environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"].startswith(f"{cloud.endpoint.url}/_imds/")
    assert instance_id not in environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
    assert environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert "AWS_SECRET_ACCESS_KEY" not in environment
    assert cloud.endpoint.secret_key not in said


def test_terminating_ends_the_machine_and_what_runs_in_it(cloud, login):
    instance_id = cloud.spot(KeyName=login.name)["InstanceId"]
    with login.connect(instance_id) as client:
        address = login.address(instance_id)
        _, out, _ = client.exec_command("sleep 1000", timeout=PATIENCE)
        cloud.end(instance_id)
        out.channel.recv_exit_status()
    probe = paramiko.SSHClient()
    probe.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    with pytest.raises(OSError, match=r"Unable to connect|refused"):
        probe.connect(*address, username="ec2-user", pkey=login.key, timeout=PATIENCE)


@pytest.mark.parametrize("behavior", ["terminate", "stop"])
def test_a_shutdown_inside_ends_a_spot_instance_and_tells_that_it_came_from_inside(cloud, login, behavior):
    instance_id = cloud.spot(KeyName=login.name, InstanceInitiatedShutdownBehavior=behavior)["InstanceId"]
    with login.connect(instance_id) as client:
        client.exec_command("sudo shutdown -h now")
        ended = cloud.until(instance_id, "terminated")
    assert ended["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_shutdown_inside_stops_an_on_demand_instance_and_keeps_its_files(cloud, ec2, login):
    instance_id = cloud.run(KeyName=login.name)["InstanceId"]
    with login.connect(instance_id) as client:
        client.exec_command("echo kept > file; sudo shutdown -h now")
        stopped = cloud.until(instance_id, "stopped")
    assert stopped["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    ec2.start_instances(InstanceIds=[instance_id])
    cloud.until(instance_id, "running")
    assert login.output(instance_id, "cat file") == "kept"


def test_a_reboot_from_inside_keeps_the_files(cloud, login):
    instance_id = cloud.spot(KeyName=login.name)["InstanceId"]
    with login.connect(instance_id) as client:
        _, out, _ = client.exec_command("echo kept > file; sudo reboot; sleep 1000", timeout=PATIENCE)
        out.channel.recv_exit_status()
    assert login.output(instance_id, "cat file") == "kept"
    assert cloud.instance(instance_id)["State"]["Name"] == "running"


def test_a_halted_machine_runs_on_and_answers_no_more(cloud, login):
    instance_id = cloud.spot(KeyName=login.name)["InstanceId"]
    with login.connect(instance_id) as client:
        _, out, _ = client.exec_command("sudo halt; sleep 1000", timeout=PATIENCE)
        out.channel.recv_exit_status()
    assert cloud.instance(instance_id)["State"]["Name"] == "running"
    cloud.end(instance_id)


def test_a_machine_may_end_itself_and_no_other(cloud, login):
    mine, other = (cloud.spot(KeyName=login.name)["InstanceId"] for _ in range(2))
    line = (
        'curl -s -o /dev/null -w "%{http_code}" -X POST -H "X-Spot-Connect-Token: $SPOT_CONNECT_BOX_TOKEN"'
        " $SPOT_CONNECT_CONTROL/instances/"
    )
    assert login.output(mine, f"{line}{other}/shutdown") == "403"
    assert login.output(mine, f"{line}{mine}/log") == "404"
    assert cloud.until(other, "running")


def test_a_reboot_ends_what_runs_and_keeps_the_files(cloud, ec2, login):
    instance_id = cloud.run(KeyName=login.name)["InstanceId"]
    with login.connect(instance_id) as client:
        _, out, _ = client.exec_command("echo kept > file; sync; echo ready; sleep 1000", timeout=PATIENCE)
        assert out.readline().strip() == "ready"
        ec2.reboot_instances(InstanceIds=[instance_id])
        out.channel.recv_exit_status()
    assert login.output(instance_id, "cat file") == "kept"


def test_files_in_the_home_are_back_after_down_and_up(tmp_path):
    home = tmp_path / "home"
    with running_local_cloud(home) as cloud:
        key = cloud.client("ec2").create_key_pair(KeyName="k", KeyType="ed25519")["KeyMaterial"]
        login = Login(cloud, "k", paramiko.Ed25519Key.from_private_key(io.StringIO(key)))
        instance_id = cloud.spot(KeyName="k")["InstanceId"]
        assert login.output(instance_id, "echo kept > file; echo done") == "done"
    with running_local_cloud(home) as cloud:
        login.cloud = cloud
        assert login.output(instance_id, "cat file") == "kept"


def test_a_hundred_instances_start_and_answer(tmp_path):
    with running_local_cloud(tmp_path / "home") as cloud:
        ec2 = cloud.client("ec2")
        key = ec2.create_key_pair(KeyName="k", KeyType="ed25519")["KeyMaterial"]
        login = Login(cloud, "k", paramiko.Ed25519Key.from_private_key(io.StringIO(key)))
        reply = ec2.run_instances(
            ImageId=cloud.image(),
            InstanceType="t3.micro",
            MinCount=MANY,
            MaxCount=MANY,
            KeyName="k",
            InstanceMarketOptions={"MarketType": "spot"},
        )
        ids = [one["InstanceId"] for one in reply["Instances"]]
        with ThreadPoolExecutor(8) as crowd:
            said = list(crowd.map(lambda one: login.output(one, "echo $SPOT_CONNECT_BOX"), ids))
        assert said == ids
        assert service.status(cloud.home).instances == {"running": MANY}


def test_the_aws_command_line_works_against_it(cloud, login):
    environment = {**os.environ, **service.environment(cloud.endpoint), "AWS_PAGER": ""}

    def aws(*words):
        command = [sys.executable, "-m", "awscli", *words, "--output", "text"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    launch = ["ec2", "run-instances", "--image-id", cloud.image(), "--instance-type", "t3.micro"]
    market = ["--instance-market-options", "MarketType=spot", "--key-name", login.name]
    instance_id = aws(*launch, *market, "--query", "Instances[0].InstanceId")
    aws("ec2", "wait", "instance-running", "--instance-ids", instance_id)
    assert login.output(instance_id, "echo here") == "here"
    aws("ec2", "terminate-instances", "--instance-ids", instance_id)
    assert "123456789012" in aws("sts", "get-caller-identity")
