"""The composed mount, run by bash against commands that record their calls."""

from __future__ import annotations

import pytest

from spot_connect.core.errors import UsageError
from spot_connect.core.scripts import ENCRYPTED, NFS_OPTIONS, mount_efs

ROOT_OWNS = 'case "$*" in *%u:%g*) echo 1000:1000 ;; *) echo 0 ;; esac'


@pytest.fixture
def host(host):
    host.has("mount.nfs4")
    host.has("mountpoint", "exit 1")
    host.has("mount")
    host.has("chown")
    host.has("chmod")
    host.has("sleep")
    host.has("stat", ROOT_OWNS)
    return host


def test_it_mounts_with_the_options_that_aws_recommends(host):
    done = host.runs(mount_efs("10.0.0.5"))
    assert done.returncode == 0, done.stderr
    assert host.called("mount") == [("-t", "nfs4", "-o", NFS_OPTIONS, "10.0.0.5:/", f"{host.home}/efs")]
    assert (host.home / "efs").is_dir()
    assert host.called("chown")[0][1] == f"{host.home}/efs"


def test_what_is_mounted_stays_as_it_is(host):
    host.has("mountpoint", "exit 0")
    assert host.runs(mount_efs("10.0.0.5")).returncode == 0
    assert not host.called("mount")
    assert not host.called("chown")


@pytest.mark.parametrize(
    ("manager", "package"),
    [("dnf", "nfs-utils"), ("yum", "nfs-utils"), ("zypper", "nfs-client"), ("apt-get", "nfs-common")],
)
def test_the_client_is_installed_where_it_lacks(host, manager, package):
    (host.bin / "mount.nfs4").unlink()
    host.has(manager)
    done = host.runs("PATH=${PATH}\nexport() { :; }\n" + mount_efs("10.0.0.5"))
    assert done.returncode == 0, done.stderr
    assert host.called(manager)[-1][-1] == package
    assert done.stdout == ""


def test_it_waits_for_cloud_init_before_apt_but_never_from_within_it(host):
    (host.bin / "mount.nfs4").unlink()
    host.has("apt-get")
    host.has("cloud-init")
    no_export = "export() { :; }\n"
    assert host.runs(no_export + mount_efs("10.0.0.5", "efs", in_user_data=True)).returncode == 0
    assert not host.called("cloud-init")
    assert host.runs(no_export + mount_efs("10.0.0.5")).returncode == 0
    assert host.called("cloud-init") == [("status", "--wait")]


def test_a_held_package_list_is_tried_again(host):
    (host.bin / "mount.nfs4").unlink()
    host.has("apt-get", 'case "$*" in *update*) [ -e tried ] || { : >tried; exit 100; } ;; esac')
    done = host.runs("export() { :; }\n" + mount_efs("10.0.0.5"))
    assert done.returncode == 0, done.stderr
    assert len(host.called("sleep")) == 1


def test_a_client_that_cannot_be_installed_is_told(host):
    (host.bin / "mount.nfs4").unlink()
    host.has("dnf", "exit 1")
    done = host.runs("export() { :; }\n" + mount_efs("10.0.0.5"))
    assert done.returncode == 1
    assert f"cannot mount 10.0.0.5:/ at {host.home}/efs: the NFS client could not be installed" in done.stderr
    assert not host.called("mount")


def test_a_mount_that_fails_is_tried_for_a_minute_and_told(host):
    host.has("mount", "exit 32")
    done = host.runs(f"{mount_efs('10.0.0.5')}echo status $?")
    assert "status 1" in done.stdout
    assert "port 2049" in done.stderr
    assert len(host.called("mount")) == 6
    assert not host.called("chown")


def test_it_works_where_the_shell_stops_at_the_first_failure(host):
    assert host.runs(f"set -euo pipefail\n{mount_efs('10.0.0.5')}").returncode == 0


def test_what_belongs_to_another_user_is_not_taken_away(host):
    host.has("stat", "echo 4711")
    (host.home / "efs").mkdir(mode=0o500)
    assert host.runs(mount_efs("10.0.0.5")).returncode == 0
    assert not host.called("chown")


@pytest.mark.parametrize("odd", ["my efs", "it's", "$(touch gone)", "`touch gone`", "-q", "a;touch gone", 'q"q'])
def test_odd_directories_stay_one_word(host, odd):
    done = host.runs(mount_efs("10.0.0.5", odd))
    assert done.returncode == 0, done.stderr
    assert host.called("mount")[0][-1] == f"{host.home}/{odd}"
    assert not (host.home / "gone").exists()


@pytest.mark.parametrize("odd", ["a b", "$(touch gone)", "x'y"])
def test_odd_sources_stay_one_word(host, odd):
    assert host.runs(mount_efs(odd)).returncode == 0
    assert host.called("mount")[0][-2] == f"{odd}:/"
    assert not (host.home / "gone").exists()


@pytest.mark.parametrize("source", ["fs-1.efs.us-east-1.amazonaws.com", "fs-1.efs.us-east-1.amazonaws.com:/"])
def test_a_name_may_have_its_path(host, source):
    host.runs(mount_efs(source))
    assert host.called("mount")[0][-2] == "fs-1.efs.us-east-1.amazonaws.com:/"


def test_an_ipv6_address_is_put_into_brackets(host):
    host.runs(mount_efs("fd00::5"))
    assert host.called("mount")[0][-2] == "[fd00::5]:/"


@pytest.mark.parametrize(
    ("source", "directory"), [("", "~/efs"), ("10.0.0.5", ""), ("a\nb", "~/efs"), ("10.0.0.5", "a\nb")]
)
def test_several_lines_are_refused(source, directory):
    with pytest.raises(UsageError):
        mount_efs(source, directory)


def test_with_efs_utils_the_line_is_encrypted(host):
    host.has("mount.efs")
    host.has("mount", ': > "$HOME/mounted"')
    host.has("mountpoint", '[ -e "$HOME/mounted" ]')
    done = host.runs("export() { :; }\n" + mount_efs("10.0.0.5", file_system_id="fs-1"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ENCRYPTED}\n"
    [call] = [call for call in host.called("mount") if "efs" in call]
    assert call == ("-t", "efs", "-o", "tls,mounttargetip=10.0.0.5", "fs-1:/", f"{host.home}/efs")
    assert len(host.called("mount")) == 1


def test_without_efs_utils_it_says_that_the_line_is_not_encrypted(host):
    host.has("grep", "exit 1")
    done = host.runs("export() { :; }\n" + mount_efs("10.0.0.5", file_system_id="fs-1"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"not {ENCRYPTED}\n"
    assert [call[1] for call in host.called("mount")] == ["nfs4"]


def test_amazon_linux_gets_efs_utils_in_one_command(host):
    host.has("grep")
    host.has("dnf", 'cp "$(command -v mount)" "$(dirname "$(command -v mount)")/mount.efs"')
    host.has("cp", 'exec /bin/cp "$@"')
    done = host.runs("export() { :; }\n" + mount_efs("10.0.0.5", file_system_id="fs-1"))
    assert host.called("dnf") == [("install", "-y", "-q", "amazon-efs-utils")]
    assert done.stdout == f"{ENCRYPTED}\n", done.stderr


@pytest.fixture
def strict(host):
    """A host with efs-utils, on which what was mounted with it is listed as it is there."""
    host.has("mount.efs")
    host.has("mount", 'case "$*" in *efs*tls*) echo 127.0.0.1:/ ;; *) echo 10.0.0.5:/ ;; esac >"$HOME/mounted"')
    host.has("mountpoint", '[ -e "$HOME/mounted" ]')
    host.has("findmnt", 'exec cat "$HOME/mounted"')
    (host.bin / "grep").symlink_to("/bin/grep")
    return host


def strictly():
    return "export() { :; }\n" + mount_efs("10.0.0.5", file_system_id="fs-1", must_encrypt=True)


def test_what_must_be_encrypted_is_mounted_so_and_a_second_time_is_no_error(strict):
    for said in (f"{ENCRYPTED}\n", ""):
        done = strict.runs(strictly())
        assert (done.returncode, done.stdout) == (0, said), done.stderr
    assert [call[1] for call in strict.called("mount")] == ["efs"]


def test_what_must_be_encrypted_is_not_mounted_without_efs_utils(strict):
    (strict.bin / "mount.efs").unlink()
    strict.has("grep", "exit 1")
    done = strict.runs(f"{strictly()}echo status $?")
    assert done.stdout == "status 1\n"
    [words] = done.stderr.splitlines()
    assert words.startswith(f"cannot mount 10.0.0.5:/ at {strict.home}/efs: it cannot be {ENCRYPTED}: there is no efs-")
    assert not strict.called("mount")


def test_what_must_be_encrypted_is_not_mounted_otherwise_when_that_fails(strict):
    strict.has("mount", 'echo "one" >&2; echo "no port is left" >&2; exit 1')
    done = strict.runs(f"{strictly()}echo status $?")
    assert done.stdout == "status 1\n"
    assert done.stderr.endswith(f"it cannot be {ENCRYPTED}: no port is left\n")
    assert [call[1] for call in strict.called("mount")] == ["efs"]


def test_what_is_mounted_plainly_is_refused_where_it_must_be_encrypted(strict):
    assert strict.runs("export() { :; }\n" + mount_efs("10.0.0.5")).returncode == 0
    done = strict.runs(f"{strictly()}echo status $?")
    assert done.stdout == "status 1\n"
    assert "mounted there already, and not encrypted in transit; unmount it first" in done.stderr


def test_what_must_be_encrypted_has_to_be_known_by_its_id():
    with pytest.raises(UsageError):
        mount_efs("10.0.0.5", must_encrypt=True)
