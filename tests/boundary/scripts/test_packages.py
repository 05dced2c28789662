"""What our scripts install, by Debian's own apt and dpkg in a root directory of the test's own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from spot_connect.core import packages
from spot_connect.core.repositories import repository
from spot_connect.core.s3_transfers import s3_transfer, sync_script
from spot_connect.core.scripts import clone_repo, mount_efs
from spot_connect.crew import enlisting

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("apt-get", "dpkg-deb", "dpkg"))), reason="needs root on Debian"
)
CONFIGURATION = """\
Dir "{root}";
Dir::State::status "{root}/var/lib/dpkg/status";
Dir::Bin::dpkg "/usr/bin/dpkg";
Dir::Bin::Methods "/usr/lib/apt/methods";
DPkg::Options {{ "--root={root}"; "--log={root}/dpkg.log"; }};
APT::Sandbox::User "root";
DPkg::Pre-Invoke {{ "env >{root}/environment; cat >/dev/null"; }};
"""
PROGRAMS = ("ldconfig", "start-stop-daemon", "dpkg", "dpkg-deb", "apt-get", "tar", "rm", "diff", "dpkg-split")
TOOLS = ("sh", "bash", "env", "id", "cat", "tail", "sleep", "mkdir", "dirname", "stat", "grep", "date", "sync", "test")


class Fresh:
    """A computer with apt but without package lists, whose one source is a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root / "root"
        self.pool = root / "pool"
        self.naps = root / "naps"
        for place in (
            *("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d", "var/lib/apt/lists/partial"),
            *("var/cache/apt/archives/partial", "var/log/apt", "var/lib/dpkg/info", "var/lib/dpkg/updates", "bin"),
        ):
            (self.root / place).mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()
        self.pool.mkdir()
        self.sources = self.root / "etc/apt/sources.list"
        self.sources.write_text(f"deb [trusted=yes] file:{self.pool} ./\n")
        configuration = root / "apt.conf"
        configuration.write_text(CONFIGURATION.format(root=self.root))
        for name in (*PROGRAMS, *TOOLS):
            found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
            if found:
                (self.root / "bin" / name).symlink_to(found)
        self.has("sleep", f'echo "$1" >>{self.naps}; exec /bin/sleep 0.2')
        self.environment = {
            "PATH": f"{self.root}/bin:{self.root}/usr/bin",
            "APT_CONFIG": str(configuration),
            "HOME": str(root / "home"),
        }
        (root / "home").mkdir()
        self.offers()

    def has(self, name: str, body: str) -> None:
        """Give it a command."""
        path = self.root / "bin" / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def offers(self, name: str = "", *, version: str = "1", settings: str = "") -> None:
        """Put a package with a program of that name into the source."""
        if name:
            tree = self.pool.parent / f"{name}-{version}"
            (tree / "DEBIAN").mkdir(parents=True)
            (tree / "usr/bin").mkdir(parents=True)
            program = {"nfs-common": "mount.nfs4", "awscli": "aws"}.get(name, name)
            (tree / "usr/bin" / program).write_text(f'#!/bin/sh\necho {program} "$@"\n')
            (tree / "usr/bin" / program).chmod(0o755)
            if settings:
                (tree / "etc").mkdir()
                (tree / f"etc/{name}.conf").write_text(settings)
                (tree / "DEBIAN/conffiles").write_text(f"/etc/{name}.conf\n")
            control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: T <t@example.com>\n"
            (tree / "DEBIAN/control").write_text(f"{control}Description: a test\n")
            archive = self.pool / f"{name}_{version}_all.deb"
            subprocess.run(["dpkg-deb", "-b", tree, archive], check=True, capture_output=True)
            content = archive.read_bytes()
            sums = f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
            with (self.pool / "Packages").open("a") as index:
                index.write(f"{control}Filename: ./{archive.name}\n{sums}\n")
        (self.pool / "Packages").touch()

    def runs(self, script: str, shell: str = "sh") -> subprocess.CompletedProcess[str]:
        """Have a shell read the script from its input."""
        return subprocess.run(
            [shutil.which(shell), "-s"],
            input=script,
            cwd=self.environment["HOME"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def installed(self, name: str) -> str:
        """The version of the package that is there."""
        text = (self.root / "var/lib/dpkg/status").read_text()
        found = [part for part in text.split("\n\n") if part.strip().startswith(f"Package: {name}\n")]
        return found[0].split("Version: ")[1].splitlines()[0] if found and "install ok installed" in found[0] else ""

    @contextlib.contextmanager
    def held(self, lock: str, until):
        """Hold one of apt's locks as another program does, until it was found held."""
        path = self.root / lock
        done = threading.Event()
        with path.open("w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)

            def let_go() -> None:
                while not done.wait(0.05) and not until():
                    pass
                fcntl.lockf(file, fcntl.LOCK_UN)

            holder = threading.Thread(target=let_go)
            holder.start()
            try:
                yield
            finally:
                done.set()
                holder.join()


@pytest.fixture
def fresh(tmp_path):
    return Fresh(tmp_path)


def waits_for_dpkg(root: Path) -> bool:
    """Whether an apt-get of this root has looked at the lock that we hold, and waits for it."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            environment = (process / "environ").read_bytes()
            if words[0].endswith(b"apt-get") and b"install" in words and str(root.parent).encode() in environment:
                return (process / "stat").read_text().rpartition(")")[2].split()[0] == "S"
    return False


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_machine_without_package_lists_gets_what_it_lacks(fresh, shell):
    fresh.offers("git")
    done = fresh.runs(f"set -eu\n{packages.install(apt='git')}echo still here\n", shell)
    assert (done.returncode, done.stdout, done.stderr) == (0, "still here\n", "")
    assert fresh.installed("git") == "1"


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_package_lists_that_another_program_holds_are_waited_for(fresh, shell):
    fresh.offers("git")
    with fresh.held("var/lib/apt/lists/lock", fresh.naps.exists):
        done = fresh.runs(packages.install(apt="git"), shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert fresh.installed("git") == "1"
    assert fresh.naps.read_text().startswith("10\n")


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_dpkg_that_another_program_has_locked_is_waited_for(fresh, shell):
    fresh.offers("git")
    with fresh.held("var/lib/dpkg/lock-frontend", lambda: waits_for_dpkg(fresh.root)):
        done = fresh.runs(packages.install(apt="git"), shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert fresh.installed("git") == "1"


def test_an_apt_that_cannot_wait_for_dpkg_itself_is_called_again(fresh):
    """Apt 1.6, of Ubuntu 18.04, does not know DPkg::Lock::Timeout."""
    fresh.offers("git")
    (fresh.root / "bin/apt-get").unlink()
    fresh.has("apt-get", 'exec /usr/bin/apt-get "$@" -o DPkg::Lock::Timeout=0')
    with fresh.held("var/lib/dpkg/lock-frontend", fresh.naps.exists):
        done = fresh.runs(packages.install(apt="git"))
    assert (done.returncode, done.stderr) == (0, "")
    assert fresh.installed("git") == "1"


def test_nothing_is_asked_and_nothing_of_the_users_is_restarted_or_overwritten(fresh):
    fresh.offers("tool", settings="first\n")
    assert fresh.runs(packages.install(apt="tool")).returncode == 0
    (fresh.root / "etc/tool.conf").write_text("mine\n")
    (fresh.pool / "Packages").write_text("")
    fresh.offers("tool", version="2", settings="second\n")
    done = fresh.runs(packages.install(apt="tool"))
    assert (done.returncode, done.stderr, fresh.installed("tool")) == (0, "", "2")
    assert (fresh.root / "etc/tool.conf").read_text() == "mine\n"
    told = (fresh.root / "environment").read_text().splitlines()
    assert {"DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=l", "NEEDRESTART_SUSPEND=1"} <= set(told)


def test_a_source_that_is_broken_does_not_keep_the_others_from_use(fresh):
    fresh.offers("git")
    with fresh.sources.open("a") as file:
        file.write(f"deb [trusted=yes] file:{fresh.pool}/nowhere ./\n")
    done = fresh.runs(packages.install(apt="git"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"apt": "no-such-thing"}, "cannot install no-such-thing: E: Unable to locate package no-such-thing\n"),
        ({"dnf": "only-there"}, "cannot install only-there: this distribution has no such package\n"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(fresh, asked, said):
    done = fresh.runs(packages.install(**asked))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_a_machine_without_a_package_manager_is_said_to_be_one(fresh):
    (fresh.root / "bin/apt-get").unlink()
    done = fresh.runs(packages.install(apt="git"))
    assert (done.returncode, done.stderr) == (1, "cannot install git: there is no package manager that we know\n")


def test_git_is_installed_before_a_repository_is_cloned(fresh):
    fresh.offers("git")
    with fresh.held("var/lib/apt/lists/lock", fresh.naps.exists):
        done = fresh.runs(clone_repo(repository("https://example.com/a.git"), "a"), "bash")
    assert (done.returncode, done.stdout) == (0, "git clone -- https://example.com/a.git a\n"), done.stderr


def test_the_nfs_client_is_installed_before_a_file_system_is_mounted(fresh):
    fresh.offers("nfs-common")
    fresh.has("mountpoint", "exit 1")
    fresh.has("sudo", 'case $1 in mount) echo "$@"; exit 0 ;; -n) shift ;; esac; "$@"')
    fresh.has("chown", "")
    with fresh.held("var/lib/apt/lists/lock", fresh.naps.exists):
        done = fresh.runs(mount_efs("10.0.0.5"), "bash")
    assert (done.returncode, done.stderr) == (0, "")
    assert fresh.installed("nfs-common") == "1"
    assert done.stdout.startswith("mount -t nfs4 ")


def test_the_aws_cli_is_installed_before_a_bucket_is_copied(fresh):
    fresh.offers("awscli")
    fresh.has("sudo", 'echo "$@" >>ended')
    script = sync_script(s3_transfer("s3://a-bucket/x", "~/in"), "~/log")
    with fresh.held("var/lib/apt/lists/lock", fresh.naps.exists):
        fresh.runs(script, "bash")
    home = Path(fresh.environment["HOME"])
    log = (home / "log").read_text()
    assert f"aws s3 sync s3://a-bucket/x {home}/in --no-progress\n" in log
    assert log.rstrip().endswith("with status 0")
    assert (home / "ended").read_text() == "shutdown -h now\n"


def test_what_machines_of_jobs_need_is_installed_the_same_way(fresh, monkeypatch):
    fresh.offers("python3-venv")
    fresh.offers("python3-pip")
    for name, value in fresh.environment.items():
        monkeypatch.setenv(name, f"{value}:{Path(os.__file__).parents[2] / 'bin'}" if name == "PATH" else value)
    with fresh.held("var/lib/apt/lists/lock", fresh.naps.exists):
        assert enlisting._installed()
    assert fresh.installed("python3-venv") == fresh.installed("python3-pip") == "1"


def test_a_machine_that_has_no_newer_python_to_give_says_so(fresh, monkeypatch):
    fresh.offers("python3-venv")
    fresh.offers("python3-pip")
    for name, value in fresh.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=r"no Python 3\.10 or later"):
        enlisting._installed()
