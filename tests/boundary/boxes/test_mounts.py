"""File systems in boxes: a real mount point with namespaces, a link without, and the same files for every box."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

from spot_connect.core.scripts import mount_efs


@pytest.fixture
def machine(start):
    machine = start()
    machine.output("mkdir -p ~/efs")
    return machine


def test_what_one_box_writes_another_reads_and_changes(cloud, start):
    first, second = start(), start()
    for machine in (first, second):
        machine.output("mkdir ~/efs")
        cloud.mount(machine)
    first.output("umask 077; echo from the first > ~/efs/note; mkdir ~/efs/folder")
    assert second.output("cat ~/efs/note") == "from the first"
    second.output("echo and the second >> ~/efs/note; touch ~/efs/folder/file")
    assert first.output("cat ~/efs/note") == "from the first\nand the second"


def test_it_outlives_the_box(cloud, start, machine):
    cloud.mount(machine, "fs-0b")
    machine.output("echo kept > ~/efs/file")
    cloud.ask("discard", machine.id)
    heir = start()
    heir.output("mkdir ~/efs")
    cloud.mount(heir, "fs-0b")
    assert heir.output("cat ~/efs/file") == "kept"


def test_two_file_systems_are_two(cloud, machine):
    machine.output("mkdir ~/other")
    cloud.mount(machine)
    cloud.mount(machine, "fs-0c", at="other")
    machine.output("touch ~/other/only-here")
    assert machine.run("test -e ~/efs/only-here")[0] == 1


def test_with_namespaces_it_is_a_mount_point(cloud, machine):
    if not cloud.isolated:
        pytest.skip("without namespaces it is a link")
    target = cloud.mount(machine)
    machine.output("mountpoint -q ~/efs")
    assert machine.output("df --output=target ~/efs | tail -1") == target
    assert machine.output("findmnt -n -o TARGET ~/efs") == target
    options = machine.output(f"findmnt -n -o OPTIONS {target}").split(",")
    assert {"rw", "nosuid", "nodev"} <= set(options)


def test_without_namespaces_it_is_a_link_and_what_was_there_comes_back(cloud, machine):
    if cloud.isolated:
        pytest.skip("with namespaces it is a mount")
    machine.output("touch ~/efs/before")
    target = cloud.mount(machine)
    assert machine.output("readlink ~/efs").startswith(cloud.about["file_systems"])
    assert machine.run("test -e ~/efs/before")[0] == 1
    cloud.unmount(machine, target)
    assert machine.output("ls ~/efs") == "before"


def test_a_mount_hides_what_was_there_until_it_is_undone(cloud, machine):
    machine.output("touch ~/efs/before")
    target = cloud.mount(machine)
    assert cloud.ask("mounts", machine.id) == [target]
    assert machine.run("test -e ~/efs/before")[0] == 1
    cloud.unmount(machine, target)
    assert cloud.ask("mounts", machine.id) == []
    assert machine.output("ls ~/efs") == "before"


def test_a_second_mount_of_the_same_does_nothing_and_of_another_is_refused(cloud, machine):
    target = cloud.mount(machine)
    cloud.mount(machine)
    with pytest.raises(RuntimeError, match="busy"):
        cloud.mount(machine, "fs-0c")
    cloud.unmount(machine, target)
    with pytest.raises(RuntimeError, match="not mounted"):
        cloud.unmount(machine, target)


def test_what_is_in_use_stays_unless_asked_otherwise(cloud, machine):
    if not cloud.isolated:
        pytest.skip("a link can always be taken away")
    target = cloud.mount(machine)
    machine.run("cd ~/efs; sleep 1000 >/dev/null 2>&1 </dev/null &")
    with pytest.raises(RuntimeError, match="busy"):
        cloud.unmount(machine, target)
    cloud.unmount(machine, target, lazy=True)
    assert machine.run("mountpoint -q ~/efs")[0] != 0


def test_a_directory_of_it_can_be_mounted_but_no_link_leads_out(cloud, machine):
    target = cloud.mount(machine)
    machine.output("mkdir -p ~/efs/a/b; touch ~/efs/a/b/file; ln -s /etc ~/efs/out; ln -s a ~/efs/link; mkdir ~/part")
    cloud.mount(machine, at="part", sub="a/b")
    assert machine.output("ls ~/part") == "file"
    machine.output("mkdir ~/more")
    with pytest.raises(RuntimeError, match="No such file"):
        cloud.mount(machine, at="more", sub="absent")
    for sub in ("out", "link", "../x") if cloud.isolated else ():
        with pytest.raises(RuntimeError, match="cannot change"):
            cloud.mount(machine, at="more", sub=sub)
    assert target


def test_a_mount_ends_with_the_box(cloud, machine, key):
    cloud.mount(machine)
    cloud.ask("stop", machine.id)
    assert cloud.ask("mounts", machine.id) == []
    again = cloud.start(key, **machine.spec)
    again.output("test -d ~/efs -a ! -L ~/efs")
    assert again.run("mountpoint -q ~/efs")[0] != 0
    cloud.mount(again)


def test_a_box_that_does_not_run_has_nothing_mounted(cloud):
    with pytest.raises(RuntimeError, match="does not run"):
        cloud.result(cloud.post("unmount", instance_id="i-0", target="/x", lazy=False))


def test_the_file_systems_of_others_are_not_to_be_seen(cloud, machine):
    if not cloud.isolated:
        pytest.skip("without namespaces they are directories like any other")
    cloud.mount(machine)
    assert machine.run(f"ls {cloud.about['file_systems']}")[0] != 0


def test_only_directories_of_its_own_become_links(cloud, machine):
    if cloud.isolated:
        pytest.skip("with namespaces it is a mount, and in the box alone")
    with pytest.raises(RuntimeError, match="only directories below"):
        cloud.mount(machine, at="/tmp/elsewhere")


def test_discarding_a_box_spares_what_is_mounted_in_it(cloud, start, machine):
    cloud.mount(machine, "fs-0d")
    machine.output("echo kept > ~/efs/file")
    cloud.ask("discard", machine.id)
    heir = start()
    heir.output("mkdir ~/efs")
    cloud.mount(heir, "fs-0d")
    assert heir.output("cat ~/efs/file") == "kept"


class _Daemon(http.server.BaseHTTPRequestHandler):
    """Mounts whatever is asked for, unless told what to say instead."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        verb, server = self.path.rpartition("/")[2], self.server
        server.asked.append((verb, asked))
        said = server.refusal
        if not said and verb == "mount":
            server.cloud.mount(server.machine, "fs-0e", at=asked["target"])
        elif not said:
            said = unmounted(server, asked)
        body = json.dumps({"status": 32 if said else 0, "said": said}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def unmounted(server, asked):
    try:
        server.cloud.unmount(server.machine, asked["target"], lazy=asked["lazy"])
    except RuntimeError as error:
        return str(error).partition(": ")[2]
    return ""


@pytest.fixture
def daemon(cloud, start):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Daemon)
    server.cloud, server.asked, server.refusal = cloud, [], ""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/api"
    server.machine = start(environment={"SPOT_CONNECT_CONTROL": url, "SPOT_CONNECT_BOX_TOKEN": "s3cret"})
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_script_for_real_instances_mounts_here_too(daemon):
    machine = daemon.machine
    for _ in range(2):
        machine.output(mount_efs("172.31.0.5"))
    asked = {"source": "172.31.0.5:/", "kind": "nfs4", "target": f"{machine.home}/efs"}
    assert daemon.asked == [("mount", asked)]
    machine.output("mountpoint -q ~/efs && mountpoint ~/efs && echo kept > ~/efs/file && test -w ~/efs")
    assert machine.output("sudo umount ~/efs && ls -A ~/efs") == ""
    assert machine.run("mountpoint -q ~/efs")[0] != 0
    machine.output(mount_efs("172.31.0.5"))
    assert machine.output("cat ~/efs/file") == "kept"


@pytest.mark.parametrize(
    "command",
    [
        "mount -t nfs4 -o nfsvers=4.1,hard server:/ 'my efs'",
        "mount.nfs4 server:/ 'my efs/' -o nfsvers=4.1",
        "cd 'my efs' && sudo mount -o hard server:/ .",
        "mount -t efs -o tls server:/ ~/'my efs'",
        "mount --types=nfs -v --options hard server:/ ./'my efs'",
    ],
)
def test_a_mount_is_understood_however_it_is_written(daemon, command):
    machine = daemon.machine
    machine.output(f"mkdir 'my efs' && {command}")
    assert machine.output("mountpoint -q 'my efs' && echo yes") == "yes"
    assert machine.output("umount 'my efs/' && ls -d 'my efs'") == "my efs"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("mount -t nfs4 s:/ ~/absent", "mount.nfs4: mount point {home}/absent does not exist"),
        ("mount -t nfs4 s:/ ~/file", "mount.nfs4: mount point {home}/file is not a directory"),
        ("mount -t nfs4 -o ro s:/ ~", "mount.nfs4: the local cloud cannot mount read-only"),
    ],
)
def test_what_cannot_be_mounted_on_is_told(daemon, command, words):
    machine = daemon.machine
    status, _, errors = machine.run(f"touch ~/file; {command}")
    assert (status, errors) == (32, words.format(home=machine.home) + "\n")
    assert daemon.asked == []


def test_a_refusal_is_told_in_the_words_of_mount(daemon):
    daemon.refusal = "Connection timed out"
    assert daemon.machine.run("mkdir efs; mount s:/ efs")[::2] == (32, "mount.nfs4: Connection timed out\n")


def test_without_a_daemon_nothing_is_mounted(start):
    machine = start(environment={"SPOT_CONNECT_CONTROL": "http://127.0.0.1:1", "SPOT_CONNECT_BOX_TOKEN": "t"})
    status, _, errors = machine.run("mkdir efs; mount s:/ efs")
    assert status == 32
    assert errors.endswith("mount.nfs4: Connection refused\n")


@pytest.mark.parametrize("missing", [["curl"], ["curl", "python3"]], ids=["python", "bash"])
def test_mounting_needs_no_particular_program(daemon, missing):
    machine = daemon.machine
    names = {"sh", "bash", "curl", "python3", "sed", "readlink"} - set(missing)
    machine.output(f"mkdir efs é bin; for name in {' '.join(names)}; do ln -s $(command -v $name) bin/; done")
    path = "PATH=$SPOT_CONNECT_SHIMS:$HOME/bin"
    assert machine.run(f"{path} mount s:/ é")[0] == 0
    assert machine.output("mountpoint -q é && echo yes") == "yes"
    assert machine.run(f"{path} umount é")[0] == 0


def test_other_mounts_are_left_to_the_system(daemon):
    machine = daemon.machine
    assert " on / type " in machine.output("mount")
    assert machine.run("mount -t tmpfs none /mnt")[0] != 0
    assert machine.run("mount --bind /etc /mnt")[0] != 0
    assert machine.run("mount -a; umount -a -t nothing; mountpoint -q /proc")[0] == 0
    assert daemon.asked == []
