"""Files go to and from a box with every client, and no further than the box."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

DATA = os.urandom(3_000_000)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.bin"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize("flags", [[], ["-O"]], ids=["scp", "scp-O"])
def test_scp_goes_both_ways(shared, source, tmp_path, flags):
    back = tmp_path / "back.bin"
    up = shared.copy("scp", *flags, str(source), "BOX:there.bin")
    down = shared.copy("scp", *flags, "BOX:there.bin", str(back))
    assert (up.returncode, down.returncode) == (0, 0), (up.stderr, down.stderr)
    assert back.read_bytes() == DATA


@pytest.mark.parametrize("flags", [["-r"], ["-r", "-O"]], ids=["scp", "scp-O"])
def test_scp_takes_a_tree_to_the_usual_home(shared, tmp_path, flags):
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "file").write_text("content")
    name = f"tree{len(flags)}"
    done = shared.copy("scp", *flags, str(tmp_path / "tree"), f"BOX:/home/ec2-user/{name}")
    assert done.returncode == 0, done.stderr
    assert shared.output(f"cat ~/{name}/deep/file") == "content"


def test_scp_of_a_missing_file_fails(shared, tmp_path):
    assert shared.copy("scp", "BOX:missing", str(tmp_path)).returncode != 0


def test_sftp_batch_runs(shared, tmp_path, source):
    batch = tmp_path / "batch"
    batch.write_text(f"put {source} by-sftp\nls -l by-sftp\nget by-sftp {tmp_path}/again\nrm by-sftp\n")
    done = shared.copy("sftp", "-b", str(batch), "BOX:")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again").read_bytes() == DATA


def test_rsync_brings_a_tree(shared, tmp_path, source):
    if not shutil.which("rsync"):
        pytest.skip("no rsync")
    shell = " ".join(["ssh", *shared.options, "-p", str(shared.port)])
    address = f"ec2-user@{shared.host}:rsynced/"
    done = subprocess.run(
        ["rsync", "-a", "-e", shell, f"{tmp_path}/", address], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert int(shared.output("wc -c < rsynced/source.bin")) == len(DATA)


def test_paramiko_puts_and_gets(shared, source, tmp_path):
    with shared.connect() as client, client.open_sftp() as sftp:
        sftp.put(str(source), "by-paramiko")
        assert sftp.stat("by-paramiko").st_size == len(DATA)
        assert sftp.normalize(".") == shared.home
        sftp.chmod("by-paramiko", 0o700)
        sftp.get("by-paramiko", str(tmp_path / "got"))
        with pytest.raises(FileNotFoundError):
            sftp.stat("/home/ec2-user/missing")
    assert (tmp_path / "got").read_bytes() == DATA
    assert shared.output("stat -c %a by-paramiko") == "700"


def test_the_log_directory_is_where_it_always_is(shared):
    shared.output("cloud-init status --wait")
    with shared.connect() as client, client.open_sftp() as sftp:
        assert "cloud-init-output.log" in sftp.listdir("/var/log")


def test_what_a_box_may_not_read_it_cannot_reach_by_a_link(shared):
    assert shared.run("cat /etc/shadow")[0] != 0
    shared.run("ln -sf /etc/shadow ~/link")
    with shared.connect() as client, client.open_sftp() as sftp, pytest.raises(OSError):  # noqa: PT011
        sftp.open("link").read()
    assert shared.copy("scp", "BOX:link", "/dev/null").returncode != 0
    assert shared.copy("scp", "-O", "BOX:link", "/dev/null").returncode != 0


def test_a_box_writes_only_what_is_its_own(shared):
    for path in ("/etc/mine", "/usr/mine", "/var/lib/mine", "/opt/mine", "/mine"):
        assert shared.run(f"touch {path}")[0] != 0
        with shared.connect() as client, client.open_sftp() as sftp, pytest.raises(OSError):  # noqa: PT011
            sftp.open(path, "w")


def test_a_box_has_places_of_its_own(shared):
    if not shared.cloud.isolated:
        pytest.skip("plain boxes see the system's directories")
    assert shared.output("touch /tmp/x /var/tmp/x /var/log/x /mnt/x /root/x /dev/shm/x && echo all") == "all"
    assert shared.output("ls /home") == "ec2-user"


def test_two_boxes_do_not_see_each_other(start):
    one, other = start(), start()
    if not one.cloud.isolated:
        pytest.skip("plain boxes are not held apart")
    for path in ("~/secret", "/tmp/secret", "/var/log/secret", "/dev/shm/secret"):
        one.output(f"echo x > {path}")
        assert other.run(f"cat {path}")[0] != 0
    one.output("nohup sleep 86399 >/dev/null 2>&1 </dev/null &")
    assert "86399" in one.output("cat /proc/*/cmdline | tr '\\0' ' '")
    assert "86399" not in other.output("cat /proc/*/cmdline | tr '\\0' ' '")
    assert other.run("kill -9 -1; true")[0] != 1
    assert "86399" in one.output("cat /proc/*/cmdline | tr '\\0' ' '")


def test_the_state_directory_is_hidden(shared):
    if not shared.cloud.isolated:
        pytest.skip("plain boxes live in it")
    assert shared.run(f"ls {shared.cloud.root}/instances")[0] != 0


def test_python_and_its_packages_are_there(shared):
    if not shared.cloud.isolated and shared.cloud.who.is_root:
        pytest.skip("a user who drops root may not read root's own Python")
    command = '"$SPOT_CONNECT_PYTHON" -c "import encodings, json; print(json.dumps(1))"'
    assert shared.output(command) == "1"
