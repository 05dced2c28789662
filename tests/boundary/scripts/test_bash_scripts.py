"""Every composed script, run by bash: with plain values and with hostile ones."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess

import pytest

from spot_connect import bash_scripts
from spot_connect.core.errors import UsageError
from spot_connect.core.requests import LaunchRequest

HOSTILE = [
    "a b",
    "it's",
    'q"q',
    "$(touch gone)",
    "`touch gone`",
    "a;touch gone",
    "a&touch gone",
    "*",
    "$HOME",
    "\\",
    "ü",
]
BROKEN = ["", "a\nb", "a\rb", "a\0b"]

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def host(host):
    host.has("aws", "exit ${AWS_STATUS:-0}")
    host.has("shutdown")
    yield host
    assert not (host.home / "gone").exists()


def test_user_data_begins_as_a_script():
    assert bash_scripts.init_userdata_script() == "#!/bin/bash\n"


def test_user_data_is_base64_of_the_script():
    script = "#!/bin/bash\necho ü\n"
    assert base64.b64decode(bash_scripts.script_to_userdata(script)).decode() == script
    with pytest.raises(UsageError, match="16,384"):
        bash_scripts.script_to_userdata("x" * 16385)


def test_a_launch_takes_both_forms():
    script = "#!/bin/bash\necho ü\n"
    for form in (script, bash_scripts.script_to_userdata(script), f"{bash_scripts.script_to_userdata(script)}\n"):
        assert LaunchRequest("vm1", user_data=form).user_data == script
    assert LaunchRequest("vm1", user_data="echo").user_data == "echo"


@pytest.mark.parametrize("command", ["echo $HOME-$0", "echo 'it''s' \"q\"", "echo a; echo b", "echo a\necho b"])
def test_a_command_of_another_user_is_one_word(host, command):
    plain = subprocess.run(
        ["/bin/bash", "-c", command], capture_output=True, text=True, env={"HOME": str(host.home)}, check=False
    )
    done = host.runs(bash_scripts.run_command_as_user(command, "ec2-user"))
    assert done.stdout == plain.stdout.replace("/bin/bash", "bash")
    assert host.called("sudo")[0][:4] == ("-H", "-u", "ec2-user", "bash")


@pytest.mark.parametrize("user", HOSTILE)
def test_an_odd_user_name_stays_one_word(host, user):
    host.runs(bash_scripts.run_command_as_user("true", user))
    assert host.called("sudo")[0][2] == user


@pytest.mark.parametrize("user", [*BROKEN, "-u"])
def test_what_is_no_user_is_refused(user):
    with pytest.raises(UsageError):
        bash_scripts.run_command_as_user("true", user)


def test_a_sync_runs_in_its_directory_and_keeps_its_words(host):
    host.has("aws", "pwd; echo trouble >&2")
    done = host.runs(bash_scripts.compose_s3_sync_script("s3://data/x", "here", "efs/in", "log"))
    assert done.returncode == 0
    assert host.called("aws") == [("s3", "sync", "s3://data/x", "./here", "--no-progress")]
    log = (host.home / "efs/in/log").read_text(encoding="utf-8").splitlines()
    assert log == [f"{host.home}/efs/in", "trouble", "s3 sync ended with status 0"]


@pytest.mark.parametrize("head", ["", "set -e\n"])
def test_a_sync_that_fails_says_so(host, head):
    host.has("aws", "exit 3")
    done = host.runs(head + bash_scripts.compose_s3_sync_script("a", "s3://data", "efs", script=""))
    assert done.returncode == 3
    assert "status 3" in (host.home / "efs/s3_sync_log").read_text(encoding="utf-8")


@pytest.mark.parametrize("odd", [*HOSTILE, "-rf", "--delete"])
def test_odd_paths_of_a_sync_stay_words(host, odd):
    done = host.runs(bash_scripts.compose_s3_sync_script(odd, f"s3://b/{odd}", f"d{odd}", odd))
    assert done.returncode == 0, done.stderr
    assert host.called("aws") == [("s3", "sync", f"./{odd}", f"s3://b/{odd}", "--no-progress")]
    assert (host.home / f"d{odd}" / odd).is_file()


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("place", range(4))
def test_broken_values_of_a_sync_are_refused(broken, place):
    values = ["a", "s3://b", "c", "d"]
    values[place] = broken
    with pytest.raises(UsageError):
        bash_scripts.compose_s3_sync_script(*values)


def test_a_sync_without_a_bucket_is_refused():
    with pytest.raises(UsageError, match="neither is in a bucket"):
        bash_scripts.compose_s3_sync_script("a", "b", "efs")


@pytest.fixture
def origin(tmp_path):
    """A repository with a branch, to be cloned."""
    place = tmp_path / "origin"

    def git(*words):
        subprocess.run(
            ["git", "-C", str(place), "-c", "user.name=t", "-c", "user.email=t@example.com", *words],
            check=True,
            capture_output=True,
        )

    place.mkdir()
    git("init", "-b", "main")
    for branch, text in (("main", "one"), ("other", "two")):
        if branch != "main":
            git("checkout", "-b", branch)
        (place / "file").write_text(text, encoding="utf-8")
        git("add", "file")
        git("commit", "-m", text)
    git("checkout", "main")
    return place


@needs_git
@pytest.mark.parametrize("path", ["repo", "~/repo", "my repo", "it's", "$(touch gone)", "-x"])
def test_a_repository_is_cloned_then_updated(host, origin, path):
    folder = host.home / path.removeprefix("~/")
    done = host.runs(bash_scripts.update_git_repo(path, repo_link=str(origin)))
    assert done.returncode == 0, done.stderr
    assert (folder / "file").read_text(encoding="utf-8") == "one"
    done = host.runs(bash_scripts.update_git_repo(path, branch="other"))
    assert done.returncode == 0, done.stderr
    assert (folder / "file").read_text(encoding="utf-8") == "two"


@needs_git
def test_an_update_without_a_repository_fails_and_what_follows_runs(host):
    text = bash_scripts.update_git_repo("nowhere")
    done = host.runs(f"{text}echo status $?")
    assert done.stdout == "status 1\n"


@pytest.mark.parametrize("broken", [*BROKEN, "--upload-pack=touch gone"])
def test_broken_values_of_an_update_are_refused(broken):
    for values in ({"branch": broken}, {"repo_link": broken}):
        with pytest.raises(UsageError):
            bash_scripts.update_git_repo("repo", **values)


def test_a_mount_is_below_the_base(host):
    for name in ("mount", "mount.nfs4", "chown"):
        host.has(name)
    host.has("mountpoint", "exit 1")
    host.has("stat", 'case "$*" in *%u:%g*) echo 1000:1000 ;; *) echo 0 ;; esac')
    text = bash_scripts.compose_mount_script("fs-1.efs.us-east-1.amazonaws.com", base=f"{host.home}/", script="cd /\n")
    done = host.runs(text)
    assert done.returncode == 0, done.stderr
    assert host.called("mount")[0][-2:] == ("fs-1.efs.us-east-1.amazonaws.com:/", f"{host.home}/efs")


@pytest.mark.parametrize("head", ["", "set -e\n"])
@pytest.mark.parametrize("command", ["exit 7", "false", "no-such-command", "echo a\nexit 7", "kill -9 $$"])
@pytest.mark.parametrize("user", ["", "ec2-user"])
def test_the_instance_is_shut_down_whatever_happens(host, head, command, user):
    text = bash_scripts.shutdown_instance_after_command(command, "job.log", user, script=head)
    host.runs(text)
    assert host.called("shutdown") == [("-h", "now")]
    assert "ended with status" in (host.home / "job.log").read_text(encoding="utf-8")


def test_a_log_keeps_output_and_status(host):
    host.runs(bash_scripts.shutdown_instance_after_command("echo out; echo err >&2; exit 4", "my log"))
    assert (host.home / "my log").read_text(encoding="utf-8") == "out\nerr\nended with status 4\n"


def test_without_a_log_the_output_is_shown(host):
    assert host.runs(bash_scripts.shutdown_instance_after_command("echo out")).stdout == "out\n"


@pytest.mark.parametrize("odd", [*HOSTILE, "-a"])
def test_odd_log_names_stay_words(host, odd):
    host.runs(bash_scripts.shutdown_instance_after_command("echo out", odd))
    assert (host.home / odd).read_text(encoding="utf-8").startswith("out\n")


@pytest.mark.parametrize("values", [(" ",), ("",), ("true", "a\nb"), ("true", "", "a\nb"), ("true", "", "-u")])
def test_broken_values_of_a_shutdown_are_refused(values):
    with pytest.raises(UsageError):
        bash_scripts.shutdown_instance_after_command(*values)


@pytest.fixture
def member(host):
    """An instance with metadata, whose tags the AWS CLI tells."""
    host.has("curl", 'case "$*" in *api/token*) echo TOKEN ;; *TOKEN*instance-id*) echo i-1 ;; *) exit 22 ;; esac')

    def member(**tags):
        cases = "\n".join(f'*"Name=key,Values={key}"*) echo {value} ;;' for key, value in tags.items())
        host.has("aws", f'case "$*" in {cases}\n*describe-tags*) echo None ;; esac')
        return host

    return member


@pytest.mark.parametrize("region", ["us-east-1", "a b", "$(touch gone)"])
def test_the_fleet_of_the_instance_is_deleted_with_its_instances(member, region):
    host = member(**{"aws:ec2:fleet-id": "fleet-1"})
    done = host.runs(bash_scripts.cancel_fleet_after_command("exit 3", region, "log", script="set -e\n"))
    assert done.returncode == 0, done.stderr
    assert host.called("aws")[-1] == (
        *("ec2", "delete-fleets", "--region", region),
        *("--fleet-ids", "fleet-1", "--terminate-instances"),
    )
    assert "Name=resource-id,Values=i-1" in host.called("aws")[0]
    assert "status 3" in (host.home / "log").read_text(encoding="utf-8")


def test_an_old_spot_fleet_is_cancelled_too(member):
    host = member(**{"aws:ec2spot:fleet-request-id": "sfr-1"})
    host.runs(bash_scripts.cancel_fleet_after_command("true", "us-east-1"))
    assert host.called("aws")[-1][1] == "cancel-spot-fleet-requests"
    assert "sfr-1" in host.called("aws")[-1]


def test_an_instance_of_no_fleet_says_so(member):
    done = member().runs(bash_scripts.cancel_fleet_after_command("true", "us-east-1"))
    assert done.returncode == 1
    assert "i-1 belongs to none" in done.stderr


def test_scripts_are_appended_and_end_with_the_delimiter(host):
    text = bash_scripts.init_userdata_script()
    text = bash_scripts.compose_s3_sync_script("a", "s3://b", "efs", script=text, delimiter=" && ")
    text = bash_scripts.shutdown_instance_after_command("echo 'done'", script=text)
    assert text.startswith("#!/bin/bash\n(\n")
    assert host.runs(text).stdout == "done\n"


def test_the_calls_of_the_cancelling_exist():
    """The AWS CLI's operations and the tags' output, as botocore knows them."""
    import botocore.session

    model = botocore.session.get_session().get_service_model("ec2")
    assert {"DeleteFleets", "CancelSpotFleetRequests", "DescribeTags"} <= set(model.operation_names)
    assert {"FleetIds", "TerminateInstances"} <= set(model.operation_model("DeleteFleets").input_shape.members)
    assert json.dumps(sorted(model.operation_model("DescribeTags").input_shape.members)).count("Filters") == 1
