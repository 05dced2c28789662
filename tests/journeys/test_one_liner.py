"""The product in one line, and everything that can be typed around it."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess

import pexpect
import pytest

from tests.journeys.conftest import SCRIPT

PROMPT = r"[$#] $"


def lines_of(result):
    return [line for line in result.stderr.splitlines() if line]


def test_one_line_launches_and_leaves_a_prompt(person, name):
    terminal = person.sits_at("-n", name, "-p", "t2.micro", "-a", "True")
    terminal.expect(PROMPT)
    terminal.sendline("echo $((6*7)) $(whoami)")
    terminal.expect("42 ec2-user")
    terminal.sendline("exit 0")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_the_bare_name_comes_back_to_the_same_machine(person, machine):
    person.types("-n", machine, "-s", str(person.writes("mark.sh", "echo here > mark\n")))
    terminal = person.sits_at(machine)
    terminal.expect(PROMPT)
    terminal.sendline("cat mark; exit 3")
    terminal.expect("here")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 3
    listed = json.loads(person.types("list", "--json").stdout)
    assert [one["name"] for one in listed].count(machine) == 1


def test_every_line_of_a_rehearsal_says_local(person, machine):
    result = person.types("-n", machine)
    assert lines_of(result)
    assert all(line.startswith("LOCAL ") for line in lines_of(result))


def test_the_flag_does_what_the_variable_does(person, machine):
    del person.environment["SPOT_CONNECT_LOCAL"]
    result = person.types("--local", "-n", machine)
    assert result.returncode == 0, result.stderr


def test_files_go_up_and_a_script_works_on_them(person, machine):
    person.writes("data/in put.csv", "1\n2\n3\n")
    script = person.writes("sum.sh", "cd ~/work/data && awk '{ s += $1 } END { print s }' 'in put.csv'\n")
    result = person.types("-n", machine, "-u", "data", "-r", "work", "-s", str(script))
    assert result.returncode == 0, result.stderr
    assert result.stdout == "6\n"


def test_scripts_run_in_order_and_the_first_failure_ends_it(person, machine):
    for number, text in enumerate(("echo one", "echo two; exit 37", "echo three")):
        person.writes(f"{number}.sh", text)
    result = person.types("-n", machine, "-s", "0.sh,1.sh,2.sh")
    assert result.returncode == 37
    assert result.stdout == "one\ntwo\n"
    assert "1.sh failed" in result.stderr
    assert "exit status 37" in result.stderr


def test_a_prompt_is_left_even_after_a_failed_script(person, machine):
    person.writes("bad.sh", "exit 9\n")
    result = person.types("-n", machine, "-s", "bad.sh", "-a", "True", stdin="echo still here\n")
    assert "still here" in result.stdout
    assert result.returncode == 9


def test_commands_can_be_piped_into_the_prompt(person, machine):
    result = person.types(machine, stdin="echo $((40+2))\nexit 5\n")
    assert result.stdout.endswith("42\n")
    assert result.returncode == 5


def test_false_means_no_prompt(person, machine):
    assert person.types("-n", machine, "-a", "False", stdin="echo no\n").stdout == ""


def test_what_only_a_launch_can_set_is_ignored_in_one_line(person, machine):
    result = person.types("-n", machine, "-p", "t3.large", "-m", "True", "-ip", "role1")
    assert result.returncode == 0
    ignored = [line for line in lines_of(result) if "ignoring" in line]
    assert len(ignored) == 1
    assert "profile, instance profile, monitoring" in ignored[0]


def test_terminate_overrides_every_other_flag(person, machine):
    result = person.types("-n", machine, "-t", "True", "-p", "t2.micro", "-s", "no-such-file.sh")
    assert result.returncode == 0, result.stderr
    names = [one["name"] for one in json.loads(person.types("list", "--json").stdout)]
    assert machine not in names


def test_a_name_is_free_again_at_once(person, machine):
    first = machine_of(person, machine)
    assert person.types("terminate", machine).returncode == 0
    again = person.types("-n", machine, "-p", "t2.micro")
    assert again.returncode == 0, again.stderr
    assert machine_of(person, machine)["id"] != first["id"]


def machine_of(person, name):
    [found] = [one for one in json.loads(person.types("list", "--json").stdout) if one["name"] == name]
    return found


def test_an_instance_is_reached_by_its_id(person, machine):
    found = machine_of(person, machine)
    result = person.types("-iid", found["id"], "-s", str(person.writes("id.sh", "echo reached\n")))
    assert result.stdout == "reached\n"


def test_list_tells_state_type_zone_price_age_and_cost(person, machine):
    found = machine_of(person, machine)
    assert found["state"] == "running"
    assert found["type"] == "t2.micro"
    assert found["zone"].startswith("us-east-1")
    assert 0 < found["usd_per_hour"] < 0.0116
    assert found["usd_so_far"] > 0
    assert found["cloud"] == "local"
    table = person.types("list").stdout
    assert re.search(rf"^{re.escape(machine)}\s+running\s+t2.micro\s+us-east-1\w\s+\$", table, re.MULTILINE)


def test_a_second_terminal_does_not_launch_a_second_machine(person, name):
    words = ["-n", name, "-p", "t2.micro"]
    both = [person.sits_at(*words) for _ in range(2)]
    for terminal in both:
        terminal.expect(pexpect.EOF)
        terminal.close()
    assert [terminal.exitstatus for terminal in both] == [0, 0]
    names = [one["name"] for one in json.loads(person.types("list", "--json").stdout)]
    assert names.count(name) == 1


def test_ctrl_c_goes_to_the_remote_side_and_the_window_follows(person, machine):
    terminal = person.sits_at(machine, size=(24, 90))
    terminal.expect(PROMPT)
    terminal.sendline("stty size")
    terminal.expect("24 90")
    terminal.setwinsize(40, 132)
    terminal.sendline("until [ \"$(stty size)\" = '40 132' ]; do :; done; echo resized")
    terminal.expect("resized\r\n")
    # The words come from the process that is to be interrupted; earlier the key would meet the shell itself.
    terminal.sendline("sh -c 'echo on its way; exec sleep 600'; echo never")
    terminal.expect("on its way\r\n")
    terminal.sendintr()
    terminal.expect(PROMPT)
    terminal.sendline("exit 4")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 4


def test_ctrl_c_while_a_script_runs_ends_it_there_too(person, machine):
    person.writes("long.sh", "echo started; trap 'echo $$ > stopped; exit 1' INT TERM; while :; do sleep 0.1; done\n")
    terminal = person.sits_at("-n", machine, "-s", "long.sh")
    terminal.expect("started")
    terminal.sendintr()
    terminal.expect(f"stopped long.sh on {machine}")
    said = terminal.before
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert "Traceback" not in said + terminal.before
    check = person.writes("check.sh", "for i in $(seq 100); do [ -s stopped ] && exit 0; sleep 0.1; done; exit 1\n")
    assert person.types("-n", machine, "-s", str(check)).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=["KILL", "TERM", "HUP"])
def test_the_same_words_come_back_to_a_script_whose_caller_was_killed(person, machine, number):
    person.writes("long.sh", "echo begun; while ! test -e go-on; do sleep 0.1; done; echo ended; exit 9\n")
    terminal = person.sits_at("-n", machine, "-s", "long.sh")
    terminal.expect("begun")
    terminal.kill(number)
    terminal.close()
    assert person.types("-n", machine, "-s", str(person.writes("go.sh", "touch go-on\n"))).returncode == 0
    again = person.types("-n", machine, "-s", "long.sh")
    assert (again.returncode, again.stdout) == (9, "begun\nended\n")
    assert "long.sh was begun" in again.stderr


def test_openssh_itself_logs_in_with_our_key_and_our_pin(person, machine, cloud_home):
    found = machine_of(person, machine)
    host, _, port = found["address"].partition(":")
    client = cloud_home / "local" / "client"
    command = ["ssh", "-p", port, "-i", client / "key_pairs" / f"KP-{machine}.pem", "-o", "IdentitiesOnly=yes"]
    command += ["-o", f"UserKnownHostsFile={client / 'known_hosts'}", "-o", f"HostKeyAlias={found['id']}"]
    command += ["-o", "StrictHostKeyChecking=yes", "-F", "none", f"ec2-user@{host}", "echo in"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "in\n", result.stderr


def test_openssh_knows_the_machine_by_its_name(person, machine):
    person.types(machine, "-s", str(person.writes("true.sh", "true\n")))
    config = person.writes("config", "Host other\n  User nobody\n" + person.types("ssh-config").stdout)
    command = ["ssh", "-F", str(config), machine, "echo in"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "in\n", result.stderr
    person.types("terminate", machine)
    gone = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Could not resolve hostname" in gone.stderr


def test_a_script_may_come_from_a_pipe(person, machine):
    command = f"{shlex.quote(SCRIPT)} -n {machine} -s <(echo 'echo from a pipe')"
    result = subprocess.run(
        ["bash", "-c", command], env=person.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stdout == "from a pipe\n", result.stderr


def test_a_key_is_readable_by_its_owner_alone(person, machine, cloud_home):
    key = cloud_home / "local" / "client" / "key_pairs" / f"KP-{machine}.pem"
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_private_key_that_is_elsewhere_is_no_refusal_of_aws(person, machine, tmp_path):
    result = person.types("-n", machine, "-kd", str(tmp_path / "empty"))
    assert result.returncode == 1
    assert "is not on this computer" in result.stderr
    assert "Name its directory with -kd" in result.stderr


def test_a_changed_host_key_is_refused(person, machine, cloud_home):
    known = cloud_home / "local" / "client" / "known_hosts"
    found = machine_of(person, machine)
    kept = known.read_text()
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIO1qW1N5jQmXo0cXQ2h8sZb0bM6uTqk3mS0mVf6r1sVh"
    changed = re.sub(rf"(?m)^({found['id']} ssh-ed25519) \S+", rf"\1 {other}", kept)
    assert changed != kept
    known.write_text(changed)
    try:
        result = person.types("-n", machine)
    finally:
        known.write_text(kept)
    assert result.returncode == 5
    assert "refused to connect" in result.stderr


@pytest.mark.parametrize(
    ("words", "status"),
    [(["--help"], 0), (["list", "--help"], 0), (["local", "up", "--help"], 0), (["--version"], 0), ([], 2)],
)
def test_help_is_there_for_everyone(stranger, words, status):
    assert stranger.types(*words).returncode == status
