"""How a box begins, boots, and ends with everything in it."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from .conftest import Machine, finish, has_ended, make_cloud, processes_of, until


def test_the_box_says_where_it_listens_and_with_which_key(start):
    machine = start()
    line = ["ssh-keyscan", "-t", "ed25519", "-p", str(machine.port), machine.host]
    scan = subprocess.run(line, capture_output=True, check=True, text=True, timeout=60)
    assert machine.host_key in scan.stdout


def test_the_address_asked_for_is_the_address_given(cloud, start):
    first = start()
    cloud.ask("stop", first.id)
    second = start(port=first.port)
    assert (second.host, second.port) == (first.host, first.port)


def test_an_address_in_use_gives_way_to_a_free_one(start):
    first = start()
    assert start(port=first.port).port != first.port


def test_an_address_that_is_not_ours_becomes_loopback(start):
    assert start(host="192.0.2.1").host == "127.0.0.1"


def test_starting_what_runs_is_refused(cloud, start, key):
    machine = start()
    with pytest.raises(RuntimeError, match="running already"):
        cloud.start(key, instance_id=machine.id)


def test_one_of_two_simultaneous_starts_wins(cloud, key):
    spec = cloud.spec(key)
    cloud.ids.add(spec["instance_id"])
    numbers = [cloud.post("start", spec=spec) for _ in range(4)]
    answers = [cloud.answer(number) for number in numbers]
    assert sum("result" in told for told in answers) == 1
    assert all("running already" in told["refused"] for told in answers if "refused" in told)


@pytest.mark.parametrize("name", ["", "../x", ".", "a/b"])
def test_an_id_is_no_path(cloud, name):
    with pytest.raises(RuntimeError, match="cannot name"):
        cloud.ask("discard", name)


def test_the_port_answers_only_after_the_boot(cloud, start):
    machine = start(boot_seconds=1.0)
    assert not machine.answers()
    cloud.wait_for("running", machine.id)
    assert machine.output("echo up") == "up"


def test_stopping_during_the_boot_ends_it(cloud, start):
    machine = start(boot_seconds=3600)
    cloud.ask("stop", machine.id)
    assert not machine.answers()


def test_a_detached_process_survives_logout_but_not_stop(cloud, start):
    machine, long = start(), f"1000.{os.getpid()}"  # nobody else on this computer sleeps for just so long
    machine.run(f"nohup sleep {long} >/dev/null 2>&1 </dev/null &")
    machine.run(f"setsid sleep {long} >/dev/null 2>&1 </dev/null &")
    machine.run(f"env -i setsid sh -c '(sleep {long} &) ; sleep {long}' >/dev/null 2>&1 </dev/null & sleep 0.2")
    sleepers = [pid for pid in host_processes("sleep", long) if not has_ended(pid)]
    assert len(sleepers) >= 4
    assert machine.run("true")[0] == 0
    cloud.ask("stop", machine.id)
    assert all(has_ended(pid) for pid in sleepers)
    assert not machine.answers()
    cloud.ask("stop", machine.id)


def host_processes(*arguments):
    wanted = b"".join(argument.encode() + b"\0" for argument in arguments)
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == wanted:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_stopping_ends_a_blocking_command(cloud, start):
    machine = start()
    with machine.connect() as client:
        _, stdout, _ = client.exec_command("echo ready; sleep 1000")
        assert stdout.readline() == "ready\n"
        cloud.ask("stop", machine.id)
        assert stdout.read() == b""


def test_a_stopped_box_comes_back_with_its_files_and_key(cloud, start, key):
    machine = start(user_data="#!/bin/sh\necho once >> /var/log/runs 2>/dev/null || echo once >> $HOME/runs\n")
    machine.output("cloud-init status --wait; echo kept > ~/file")
    cloud.ask("stop", machine.id)
    again = cloud.start(key, **machine.spec | {"port": machine.port})
    assert again.host_key == machine.host_key
    assert again.output("cloud-init status --wait >/dev/null; cat ~/file") == "kept"
    assert again.output("cat /var/log/runs ~/runs 2>/dev/null; true") == "once"


def test_discarding_removes_every_file(cloud, start, key):
    machine = start()
    cloud.ask("discard", machine.id)
    assert cloud.ask("log", machine.id) == ""
    assert not (cloud.root / "instances" / machine.id).exists()


def test_user_data_runs_and_is_logged(cloud, start):
    machine = start(user_data="#!/bin/bash\necho from $0 as $(id -un) in $HOME\necho wrong >&2\n")
    assert machine.output("cloud-init status --wait").endswith("status: done")
    log = machine.output("cat /var/log/cloud-init-output.log") if cloud.isolated else cloud.ask("log", machine.id)
    assert re.search(r"from .*part-001 as .* in .*\nwrong\n", log)
    if cloud.isolated:
        assert "as ec2-user in /root" in log


def test_user_data_runs_while_ssh_answers(start):
    machine = start(user_data="#!/bin/sh\nwhile [ ! -e $HOME/go ] && [ ! -e /home/ec2-user/go ]; do sleep 0.05; done\n")
    assert machine.output("cloud-init status; true") == "status: running"
    machine.output("touch ~/go")
    assert machine.output("cloud-init status --wait").endswith("status: done")


def test_user_data_that_fails_is_told(start):
    machine = start(user_data="#!/bin/sh\nexit 3\n")
    status, output, _ = machine.run("cloud-init status --wait")
    assert (status, output.split("\n")[-2]) == (1, "status: error")


def test_user_data_that_cannot_run_is_told(cloud, start):
    machine = start(user_data="#!/does/not/exist\n")
    assert machine.run("cloud-init status --wait")[0] == 1
    assert "/does/not/exist" in cloud.ask("log", machine.id) or "No such file" in cloud.ask("log", machine.id)


def test_cloud_config_is_kept_but_not_run(cloud, start):
    machine = start(user_data="#cloud-config\npackages: [x]\n")
    assert machine.output("cloud-init status --wait").endswith("status: done")
    assert "not executed" in cloud.ask("log", machine.id)


def test_the_console_shows_the_host_key(cloud, start):
    machine = start()
    log = cloud.ask("log", machine.id)
    between = log.split("-----BEGIN SSH HOST KEY KEYS-----\n")[1].split("-----END SSH HOST KEY KEYS-----")[0]
    assert machine.host_key in between
    assert "-----BEGIN SSH HOST KEY FINGERPRINTS-----\n256 SHA256:" in log


def test_a_log_replaced_by_a_link_is_not_followed(cloud, start):
    machine = start()
    machine.output("cloud-init status --wait")
    folder = "/var/log" if cloud.isolated else str(Path(machine.home).parent / "log")
    machine.output(f"ln -sf /etc/passwd {folder}/cloud-init-output.log")
    assert "nobody:" not in cloud.ask("log", machine.id)


def test_nothing_in_a_box_is_root_on_the_host(cloud, start):
    if not cloud.who.is_root:
        pytest.skip("the daemon is no root")
    machine = start(user_data="#!/bin/sh\nexec sleep 1000\n")
    machine.run("nohup sudo sleep 1000 >/dev/null 2>&1 </dev/null &")
    pids = until(lambda: len(found := processes_of(cloud)) >= 2 and found)
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        uids = re.search(r"Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)", status).groups()
        assert len(set(uids)) == 1
        assert int(uids[0]) >= 60000
        assert re.search(r"Groups:\t *\n", status)
        assert "CapEff:\t0000000000000000" in status
        assert "CapPrm:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status


def test_a_set_user_id_program_gives_nothing(start):
    machine = start()
    assert "0" not in machine.run("su root -c 'id -u' </dev/null")[1].split()


def test_a_box_that_falls_is_reported(cloud, start):
    machine = start()
    if cloud.level == "ns-bwrap":
        pytest.skip("there the box's first process is not the server")
    machine.run("kill -9 $PPID")
    if cloud.level == "ns-unshare":
        assert machine.run("true")[0] == 0  # the first process of a pid namespace is safe from those inside
    else:
        cloud.wait_for("ended", machine.id)


class _Control(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((self.path, self.headers["X-Spot-Connect-Token"], json.loads(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def control():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Control)
    server.calls = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("command", "action"),
    [
        ("sudo shutdown -h now", "poweroff"),
        ("shutdown now", "poweroff"),
        ("sudo -n -E poweroff", "poweroff"),
        ("halt", "halt"),
        ("sudo reboot", "reboot"),
        ("shutdown -r now", "reboot"),
        ("bash -lc 'sudo shutdown -h now'", "poweroff"),
    ],
)
def test_shutdown_reaches_the_daemon(shared_with_control, control, command, action):
    machine, control = shared_with_control
    before = len(control.calls)
    assert machine.run(command)[0] == 0
    assert control.calls[before:] == [(f"/api/instances/{machine.id}/shutdown", "s3cret", {"action": action})]


@pytest.fixture
def shared_with_control(start, control):
    url = f"http://127.0.0.1:{control.server_address[1]}/api"
    return start(environment={"SPOT_CONNECT_CONTROL": url, "SPOT_CONNECT_BOX_TOKEN": "s3cret"}), control


def test_shutdown_by_its_path_reaches_the_daemon(shared_with_control):
    machine, control = shared_with_control
    if not machine.cloud.isolated or machine.run("test -e /sbin/shutdown")[0]:
        pytest.skip("nothing stands in for it here")
    assert machine.run("/sbin/shutdown -h now")[0] == 0
    assert len(control.calls) == 1


@pytest.mark.parametrize("missing", [["curl"], ["curl", "python3"]], ids=["python", "bash"])
def test_shutdown_needs_no_particular_program(shared_with_control, missing):
    machine, control = shared_with_control
    names = {"sh", "bash", "curl", "python3", "cat", "rm", "kill", "sleep", "date"} - set(missing)
    machine.output(f"mkdir bin; for name in {' '.join(names)}; do ln -s $(command -v $name) bin/; done")
    assert machine.run("PATH=$SPOT_CONNECT_SHIMS:$HOME/bin shutdown -h now")[0] == 0
    assert control.calls[0][1:] == ("s3cret", {"action": "poweroff"})


def test_shutdown_later_can_be_cancelled(shared_with_control):
    machine, control = shared_with_control
    assert machine.run("sudo shutdown -h +1")[0] == 0
    assert machine.run("sudo shutdown -c")[0] == 0
    assert control.calls == []


def test_shutdown_without_a_daemon_says_so(start):
    machine = start(environment={"SPOT_CONNECT_CONTROL": "http://127.0.0.1:1", "SPOT_CONNECT_BOX_TOKEN": "t"})
    status, _, errors = machine.run("shutdown -h now")
    assert status == 1
    assert "did not answer" in errors


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("sudo -u ec2-user -H -- echo a", "a"),
        ("sudo -n A=1 B='x y' sh -c 'echo $A $B'", "1 x y"),
        ("sudo --user=root echo a", "a"),
        ("sudo -v && echo ok", "ok"),
        ("sudo -Hu ec2-user echo a", "a"),
        ("sudo -iu ec2-user echo 'a  b'", "a  b"),
        ("sudo -uroot -E echo a", "a"),
        ("sudo -i echo 'a  b'", "a  b"),
        ("sudo -EH sh -c 'echo \"$0\" \"$1\"' 'x y' z", "x y z"),
        ("echo 'echo from shell' | sudo -s", "from shell"),
        ("sudo not-a-command; echo $?", "1"),
        ("sudo sh -c 'exit 7'; echo $?", "7"),
    ],
)
def test_sudo_runs_the_command_as_it_is(shared, command, output):
    assert shared.output(command) == output


def test_forwarding_works_both_ways(shared, control, tmp_path):
    with shared.connect() as client:
        transport = client.get_transport()
        channel = transport.open_channel("direct-tcpip", control.server_address, ("127.0.0.1", 1))
        channel.sendall(b"POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
        assert channel.makefile("rb").readline().split()[1] == b"200"
        port = transport.request_port_forward("127.0.0.1", 0)
        asking = threading.Thread(target=shared.run, args=(f"bash -c 'echo hello > /dev/tcp/127.0.0.1/{port}'",))
        asking.start()
        assert transport.accept(60).recv(5) == b"hello"
        asking.join()


@pytest.fixture
def own_cloud(cloud):
    """A cloud that the test may ruin."""
    made = make_cloud(cloud.who, cloud.level)
    yield made
    finish(made)


def test_boxes_end_with_the_zygote(own_cloud, key):
    machine = own_cloud.start(key)
    machine.run("setsid sleep 1000 >/dev/null 2>&1 </dev/null &")
    os.kill(own_cloud.about["zygote"], signal.SIGKILL)
    own_cloud.wait_for("ended", machine.id)
    until(lambda: not processes_of(own_cloud))
    assert not machine.answers()


def test_boxes_end_with_a_killed_daemon(own_cloud, key):
    machine = own_cloud.start(key)
    machine.run("setsid sleep 1000 >/dev/null 2>&1 </dev/null &")
    own_cloud.process.kill()
    own_cloud.process.wait()
    until(lambda: not processes_of(own_cloud))
    until(lambda: not machine.answers())


def test_a_hundred_boxes_start_and_answer(own_cloud, key):
    specs = [own_cloud.spec(key, host=f"127.31.1.{index + 1}") for index in range(100)]
    own_cloud.ids |= {spec["instance_id"] for spec in specs}
    numbers = [own_cloud.post("start", spec=spec) for spec in specs]
    machines = [
        Machine(own_cloud, key, spec, own_cloud.result(number)) for spec, number in zip(specs, numbers, strict=True)
    ]
    waiting = list(machines)
    lock, wrong = threading.Lock(), []

    def ask():
        while True:
            with lock:
                if not waiting:
                    return
                machine = waiting.pop()
            done = machine.ssh("true")
            if done.returncode:
                wrong.append((machine.id, done))

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert wrong == []
    assert len({machine.host_key for machine in machines}) == 100
