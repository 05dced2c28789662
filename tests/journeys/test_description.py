"""The examples of the user's own description of the system, in its order, on the local cloud."""

from __future__ import annotations

import json

import pexpect
import pytest

from spot_connect import sutils
from spot_connect.core.errors import UsageError
from spot_connect.instance_manager import InstanceManager
from spot_connect.spotted import SpotInstance
from spot_connect.store import tables

PROMPT = r"[$#] $"


@pytest.fixture
def at_home(cloud_home, monkeypatch, tmp_path):
    """A Python session in a directory of its own that has chosen the local cloud."""
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(cloud_home))
    monkeypatch.setenv("SPOT_CONNECT_LOCAL", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(person, name):
    return [one for one in json.loads(person.types("list", "--json").stdout) if one["name"] == name]


# spot_connect -n instance_1 -p t2.micro -a True
def test_it_appears_under_its_name_with_its_type_and_leaves_an_open_prompt(person, cloud_home):
    terminal = person.sits_at("-n", "instance_1", "-p", "t2.micro", "-a", "True")
    terminal.expect(PROMPT)
    terminal.sendline("exit")
    terminal.expect(pexpect.EOF)
    [found] = listed(person, "instance_1")
    assert found["type"] == "t2.micro"
    assert (cloud_home / "local" / "client" / "key_pairs" / "KP-instance_1.pem").exists()
    assert person.types("-n", "instance_1", "-t", "True").returncode == 0
    assert listed(person, "instance_1") == []


# -u C:\Data\file.txt and -u C:\Data\file_1.txt,C:\MapData\file_2.zip with -r /home/ec2-user/efs/data
def test_one_file_and_a_list_of_files_go_where_remotepath_says(person, machine):
    person.writes("Data/file.txt", "0")
    person.writes("Data/file_1.txt", "1")
    person.writes("Map Data/file_2.zip", "2")
    assert person.types("-n", machine, "-u", "Data/file.txt").returncode == 0
    remote = "/home/ec2-user/efs/data"
    assert person.types("-n", machine, "-u", "Data/file_1.txt,Map Data/file_2.zip", "-r", remote).returncode == 0
    script = person.writes("look.sh", f"cat file.txt {remote}/file_1.txt {remote}/file_2.zip\n")
    assert person.types("-n", machine, "-s", str(script)).stdout == "012"


# spot_connect -n VM1 -p t3.small -m True -ip role1, then spot_connect -n VM1 -a True
def test_launch_settings_are_given_once_and_kept(person, name, at_home):
    sutils.create_instance_profile("role1", "AmazonS3ReadOnlyAccess")
    assert person.types("-n", name, "-p", "t3.small", "-m", "True", "-ip", "role1").returncode == 0
    with SpotInstance(name) as again:
        assert again.instance["InstanceType"] == "t3.small"
        assert again.instance["Monitoring"]["State"] == "enabled"
        assert again.instance["IamInstanceProfile"]["Arn"].endswith("/role1")
    terminal = person.sits_at("-n", name, "-a", "True")
    terminal.expect(PROMPT)
    terminal.sendline("exit")
    terminal.expect(pexpect.EOF)


# my_instance = SpotInstance('VM1', profile="t3.small", monitoring=True, ...), then upload, run, download
def test_the_class_does_what_the_command_line_does(name, at_home, person):
    sutils.create_instance_profile("role1", "AmazonS3ReadOnlyAccess")
    my_instance = SpotInstance(name, profile="t3.small", monitoring=True, instance_profile="role1")
    (at_home / "my_script.sh").write_text("echo from the script > made.txt\n")
    (at_home / "list_efs_files.py").write_text("import os; print(sorted(os.listdir('.')))\n")
    my_instance.run("my_script.sh")
    assert "made.txt" in my_instance.run("ls", cmd=True, return_output=True)
    my_instance.upload("list_efs_files.py", "/home/ec2-user/efs/")
    results = my_instance.run("cd efs\n python3 list_efs_files.py", cmd=True, return_output=True)
    assert results == "['list_efs_files.py']\n"
    my_instance.download("made.txt", "here")
    assert (at_home / "here" / "made.txt").read_text() == "from the script\n"


# settings that can be given directly: instance_type, price, region, firewall, key_pair, kp_dir, security_group
def test_settings_given_directly_arrive_in_the_launch(name, at_home, person):
    shown = SpotInstance(
        name,
        profile="t2.micro",
        instance_type="t3.micro",
        price=0.02,
        region="us-west-2",
        firewall=("tcp", 22, 22, "127.0.0.1/32"),
        key_pair="my pair",
        kp_dir=str(at_home / "my keys"),
        security_group="my group",
    )
    assert shown.instance["InstanceType"] == "t3.micro"
    assert shown.region == "us-west-2"
    assert shown.instance["KeyName"] == "my pair"
    assert [group["GroupName"] for group in shown.instance["SecurityGroups"]] == ["my group"]
    assert (at_home / "my keys" / "my pair.pem").stat().st_mode & 0o777 == 0o600
    assert shown.kp_dir == str(at_home / "my keys")
    shown.terminate()


# image_id and username, as flags
def test_an_image_and_its_user_arrive_in_the_launch(person, name, at_home):
    image = tables.image("us-east-1", "x86_64", "Ubuntu Server 24.04 LTS (HVM), SSD Volume Type")
    who = person.writes("who.sh", "whoami\n")
    launched = person.types("-n", name, "-p", "t2.micro", "-ami", image.id, "-un", "ubuntu", "-s", str(who))
    assert launched.stdout == "ubuntu\n", launched.stderr
    with SpotInstance(name) as again:
        assert again.instance["ImageId"] == image.id
        assert again.run("whoami", cmd=True, return_output=True) == "ubuntu\n"


# my_link = InstanceManager(), launch_instance, get_instance_home_directory, count_cores, list_profiles
def test_the_manager_keeps_instances_and_tells_about_them(name, at_home, person, capsys):
    my_link = InstanceManager()
    my_link.launch_instance(name, profile="t2.micro")
    assert set(my_link.instances) == {name}
    assert my_link.get_instance_home_directory(name) == "/home/ec2-user"
    assert my_link.count_cores(name)[1] >= 1
    assert my_link.list_profiles() == sutils.load_profiles()
    capsys.readouterr()
    assert my_link.show_instances() == {name: "running"}
    assert capsys.readouterr().out == f"{{'{name}': 'running'}}\n"


# an instance profile with S3 access must be defined, otherwise an error is returned
def test_a_transfer_without_an_instance_profile_is_an_error(at_home):
    with pytest.raises(UsageError, match="instance profile"):
        InstanceManager().instance_s3_transfer("s3://some-bucket/data", "~/efs/data", "")


# sutils.change_default_region(<region>), sutils.reset_profiles(price_increase=1.15)
def test_every_profile_moves_with_the_region(tmp_path, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(tmp_path / "other home"))
    before = sutils.load_profiles()["t3.small"]
    sutils.change_default_region("eu-west-1")
    after = sutils.load_profiles()["t3.small"]
    assert after["region"] == "eu-west-1"
    assert after["image_id"] != before["image_id"]
    assert {profile["region"] for profile in sutils.load_profiles().values()} == {"eu-west-1"}
    sutils.reset_profiles(price_increase=1.15, region="us-west-2", image="Amazon Linux 2023 AMI (kernel 6.1)")
    profile = sutils.load_profiles()["t3.small"]
    assert float(profile["price"]) == pytest.approx(1.15 * float(profile["min_price"]), rel=0.01)


# add data to a file system, terminate, launch anew with the same -f: the data is there
def test_a_file_system_outlives_its_instance(person, name):
    put = person.writes("put.sh", "echo kept > ~/efs/kept.txt\n")
    first = person.types("-n", name, "-p", "t2.micro", "-f", f"fs-of-{name}", "-s", str(put))
    assert first.returncode == 0, first.stderr
    assert person.types("-n", name, "-t", "True").returncode == 0
    get = person.writes("get.sh", "cat ~/efs/kept.txt\n")
    second = person.types("-n", name, "-p", "t2.micro", "-f", f"fs-of-{name}", "-s", str(get))
    assert second.stdout == "kept\n", second.stderr


# cat /var/log/cloud-init-output.log shows what user data printed
def test_user_data_runs_at_first_boot_and_leaves_its_output(person, name):
    person.writes("boot.sh", "#!/bin/bash\necho hello from user data\n")
    assert person.types("-n", name, "-p", "t2.micro", "-ud", "boot.sh").returncode == 0
    look = person.writes("look.sh", "cloud-init status --wait; cat /var/log/cloud-init-output.log\n")
    assert "hello from user data" in person.types("-n", name, "-s", str(look)).stdout
