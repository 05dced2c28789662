"""The daemon: one for a home, whatever happens to it, and nothing left when it ends."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spot_connect.core.errors import LocalCloudError
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.local import service
from spot_connect.local.places import FileLock, Places
from tests.local_cloud import PATIENCE, LocalCloud, running_local_cloud

UP = "import json, sys; from pathlib import Path; from spot_connect.local import service;"
UP += "report = service.up(Path(sys.argv[1])); print(json.dumps([report.already_running, report.endpoint.url]))"


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    yield home
    service.down(home)


def processes_of(home):
    """Every process that has the home in its command line or its environment."""
    needle = str(home).encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                said = (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if needle in said and state != "Z":
                found.append(int(entry.name))
    return found


def family_of(pid):
    """The process and everything below it."""
    found = [pid]
    for task in found:
        for path in Path(f"/proc/{task}/task").glob("*/children"):
            found += [int(child) for child in path.read_text().split()]
    return found


def alive(pids):
    running = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            running.append(pid)
    return running


def kill(home):
    """Kill the daemon without a chance to tidy up; every process of its cloud."""
    pid = service.status(home).pid
    family = family_of(pid)
    os.kill(pid, signal.SIGKILL)
    return family


def test_ten_at_once_start_one(home):
    def start(_):
        done = subprocess.run([sys.executable, "-c", UP, str(home)], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    with ThreadPoolExecutor(10) as crowd:
        said = list(crowd.map(start, range(10)))
    assert sorted(already for already, _ in said) == [False] + [True] * 9
    assert len({url for _, url in said}) == 1


def test_up_survives_the_program_that_called_it(home):
    subprocess.run([sys.executable, "-c", UP, str(home)], capture_output=True, check=True, start_new_session=True)
    status = service.status(home)
    assert status.pid
    assert os.getsid(status.pid) != os.getsid(0)
    parent = Path(f"/proc/{status.pid}/stat").read_text().rpartition(")")[2].split()[1]
    assert int(parent) != os.getpid()


def test_a_second_daemon_for_the_same_home_ends_with_3(home):
    service.up(home)
    second = [sys.executable, "-m", "spot_connect.local.daemon", "--foreground", "--home", str(home)]
    assert subprocess.run(second, capture_output=True, check=False).returncode == 3
    assert service.status(home)


def test_down_leaves_no_process_and_says_whether_there_was_one(home):
    with running_local_cloud(home) as cloud:
        cloud.until(cloud.run()["InstanceId"], "running")
        family = family_of(service.status(home).pid)
        assert len(family) > 2
        assert service.down(home)
    wait_for("their end", lambda: Seen(not alive(family) or None), seconds=PATIENCE, every=0.02)
    assert processes_of(home) == []
    assert service.status(home) is None
    assert not service.down(home)


def test_a_record_of_a_dead_daemon_is_not_believed(home):
    places = Places(home)
    places.make()
    places.record.write_text(json.dumps({"url": "http://127.0.0.1:1", "access_key": "a", "secret_key": "b", "pid": 1}))
    with FileLock(places.lock) as lock:
        lock.take()
        lock.write("1")
    assert service.status(home) is None
    assert not service.up(home).already_running


def test_everything_is_closed_to_other_users(home):
    service.up(home)
    places = Places(home)
    assert stat.S_IMODE(places.root.stat().st_mode) == 0o700
    for path in (places.record, places.settings, places.log, places.lock):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_keys_and_port_stay_over_down_and_up(home):
    first = service.up(home).endpoint
    service.down(home)
    assert service.up(home).endpoint == first


def test_instances_files_and_tags_are_back_after_down_and_up(home):
    with running_local_cloud(home) as cloud:
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "vm1"}]}]
        launched = cloud.spot(TagSpecifications=tags)
        before = cloud.until(launched["InstanceId"], "running")
        cloud.client("s3").create_bucket(Bucket="kept")
        cloud.client("s3").put_object(Bucket="kept", Key="k", Body=b"content")
        cloud.client("efs").create_file_system(CreationToken="kept")
        cloud.client("ec2").create_security_group(GroupName="kept", Description="kept")
    with running_local_cloud(home) as cloud:
        assert "1 instance " in " ".join(service.status(home).notes)
        after = cloud.until(launched["InstanceId"], "running")
        assert after["PublicIpAddress"] == before["PublicIpAddress"]
        assert cloud.tags(launched["InstanceId"])["Name"] == "vm1"
        assert cloud.client("s3").get_object(Bucket="kept", Key="k")["Body"].read() == b"content"
        assert len(cloud.client("efs").describe_file_systems()["FileSystems"]) == 1
        assert cloud.client("ec2").describe_security_groups(GroupNames=["kept"])["SecurityGroups"]
        fresh = cloud.until(cloud.spot()["InstanceId"], "running")
        assert fresh["PublicIpAddress"] != after["PublicIpAddress"]
        assert fresh["PrivateIpAddress"] != after["PrivateIpAddress"]
        cloud.end(launched["InstanceId"])


def test_a_killed_daemon_comes_back_with_what_was_saved(home):
    cloud = LocalCloud(home, service.up(home).endpoint)
    instance_id = cloud.until(cloud.run()["InstanceId"], "running")["InstanceId"]
    cloud.control("POST", "save")
    family = kill(home)
    assert service.status(home) is None
    report = service.up(home)
    assert not report.already_running
    assert "1 instance " in " ".join(report.notes)
    assert report.endpoint == cloud.endpoint
    cloud.until(instance_id, "running")
    wait_for("end of the old boxes", lambda: Seen(not alive(family) or None), seconds=PATIENCE, every=0.05)


def test_what_changed_is_saved_without_being_told(home):
    cloud = LocalCloud(home, service.up(home).endpoint)
    cloud.client("ec2").create_security_group(GroupName="saved", Description="saved")
    state = Places(home).state
    wait_for("save", lambda: Seen(state.exists() or None), seconds=PATIENCE, every=0.05)
    kill(home)
    service.up(home)
    assert cloud.client("ec2").describe_security_groups(GroupNames=["saved"])["SecurityGroups"]


def test_fresh_forgets(home):
    with running_local_cloud(home) as cloud:
        cloud.run()
    with running_local_cloud(home, fresh=True) as cloud:
        assert cloud.client("ec2").describe_instances()["Reservations"] == []
        assert service.status(home).instances == {}


def test_an_emptied_cloud_no_longer_speaks_of_what_was_restored(home):
    with running_local_cloud(home) as cloud:
        cloud.until(cloud.run()["InstanceId"], "running")
    with running_local_cloud(home):
        assert "started again" in " ".join(service.up(home).notes)
        service.reset(home)
        assert service.up(home).notes == ()
        assert service.status(home).notes == ()


def test_fresh_says_that_a_running_cloud_was_emptied(home):
    with running_local_cloud(home) as cloud:
        cloud.until(cloud.run()["InstanceId"], "running")
    with running_local_cloud(home):
        assert service.up(home, fresh=True).notes == ("Every instance has been ended and everything forgotten.",)
        assert service.up(home).notes == ()


def test_a_home_that_cannot_be_made_is_told_in_words(tmp_path):
    with pytest.raises(LocalCloudError) as caught:
        service.up(Path("/proc/nowhere"))
    assert (caught.value.what, caught.value.said) == ("cannot use /proc/nowhere", "No such file or directory")
    assert "SPOT_CONNECT_HOME" in caught.value.advice
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalCloudError, match=r"cannot use .*: Not a directory"):
        service.up(tmp_path / "file" / "home")


@pytest.mark.parametrize("how", ["reset", "fresh"])
def test_a_running_cloud_can_be_emptied(home, how):
    with running_local_cloud(home) as cloud:
        cloud.until(cloud.run()["InstanceId"], "running")
        if how == "reset":
            service.reset(home)
        else:
            assert service.up(home, fresh=True).already_running
        assert cloud.client("ec2").describe_instances()["Reservations"] == []
        assert cloud.until(cloud.run()["InstanceId"], "running")


def test_reset_of_a_cloud_that_is_down_forgets_what_was_saved(home):
    with running_local_cloud(home) as cloud:
        cloud.run()
    service.reset(home)
    with running_local_cloud(home) as cloud:
        assert cloud.client("ec2").describe_instances()["Reservations"] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"format": 1, "moto": "0.0.1"}\n', "made by moto 0.0.1"),
        (b"\x80 not a pickle", "could not be read and was discarded"),
    ],
)
def test_a_state_that_cannot_be_used_is_discarded_with_a_word(home, content, words):
    places = Places(home)
    places.make()
    places.state.write_bytes(content)
    report = service.up(home)
    assert words in " ".join(report.notes)
    assert LocalCloud(home, report.endpoint).client("ec2").describe_instances()["Reservations"] == []


def test_a_port_that_somebody_took_is_replaced_with_a_word(home):
    import socket

    first = service.up(home).endpoint
    service.down(home)
    with socket.create_server(("127.0.0.1", int(first.url.rpartition(":")[2]))):
        report = service.up(home)
        assert report.endpoint.url != first.url
        assert "is taken by another program" in " ".join(report.notes)


def test_another_isolation_of_a_running_cloud_is_refused(home):
    service.up(home)
    with pytest.raises(LocalCloudError, match="already up with"):
        service.up(home, isolation="other")


def test_a_daemon_that_cannot_start_is_told_with_its_last_words(home):
    with pytest.raises(LocalCloudError, match="'nonsense'"):
        service.up(home, isolation="nonsense")
    assert service.status(home) is None


def test_without_the_extra_the_install_command_is_told(home, monkeypatch):
    monkeypatch.setattr(service, "_NEEDED", ("moto", "surely_not_installed"))
    with pytest.raises(LocalCloudError) as caught:
        service.ensure_up(home)
    assert "surely_not_installed" in str(caught.value)
    assert "pip install 'spot-connect[local]'" in str(caught.value)


def test_on_windows_wsl_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("spot_connect.local.places.fcntl", None)
    with pytest.raises(LocalCloudError, match="WSL2"):
        service.ensure_up(tmp_path / "home")


def test_the_first_up_tells_what_it_waits_for_and_the_second_nothing(home):
    said = []
    report = service.up(home, on_wait=said.append)
    assert said == ["starting the local cloud"]
    assert report.description
    assert service.up(home, on_wait=said.append).already_running
    assert len(said) == 1


def test_the_users_own_aws_configuration_stays_outside(home, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1")
    with running_local_cloud(home) as cloud:
        monkeypatch.delenv("AWS_PROFILE")
        environment = Path(f"/proc/{service.status(home).pid}/environ").read_bytes()
        assert b"production" not in environment
        assert cloud.client("ec2").describe_regions()["Regions"]


def test_the_log_can_be_read_and_followed_to_the_end(home):
    with running_local_cloud(home):
        assert "is up at" in service.log_text(home)
        pieces = service.follow_log(home)
        text = next(pieces)
        service.down(home)
        text += "".join(pieces)
    assert "is down" in text
    assert service.log_text(home.parent / "nowhere") == ""


def test_the_environment_points_other_tools_at_the_cloud():
    endpoint = service.Endpoint("http://127.0.0.1:1", "AKIAX", "it's")
    variables = service.environment(endpoint)
    assert variables["AWS_ENDPOINT_URL"] == endpoint.url
    assert variables["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] == "false"
    script = service.shell_lines(variables) + '\nprintf %s "$AWS_SECRET_ACCESS_KEY"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == "it's"
    assert "set -gx AWS_ACCESS_KEY_ID AKIAX" in service.shell_lines(variables, "fish")
    assert "$env:AWS_SECRET_ACCESS_KEY = 'it''s'" in service.shell_lines(variables, "powershell")
    with pytest.raises(LocalCloudError, match="tcsh"):
        service.shell_lines(variables, "tcsh")


def test_importing_the_service_loads_neither_moto_nor_the_machines():
    line = (
        "import sys, spot_connect.local.service;"
        "print([m for m in sys.modules if m.startswith(('moto', 'boto', 'flask', 'werkzeug', 'asyncssh', 'paramiko',"
        " 'spot_connect.local.boxes', 'spot_connect.local.daemon'))])"
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
