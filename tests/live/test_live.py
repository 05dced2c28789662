"""The first hour on a real account, by somebody who has read the README; see ``conftest.py`` for what it costs.

Run it as ``bash tests/run.sh tests/live --live -n 0``, with credentials and a Region in the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid

import pytest

from tests.live.conftest import SCRIPT, SECONDS, SWITCH_OFF, TYPE, until

pytestmark = pytest.mark.timeout(3 * SECONDS)
FAULT_ROLE = "SPOT_CONNECT_FAULT_ROLE"
"""The ARN of a role that AWS Fault Injection Service may take to interrupt spot instances:
https://docs.aws.amazon.com/fis/latest/userguide/fis-tutorial-spot-interruptions.html"""


@pytest.fixture
def name(prefix, person):
    """A name for a machine of this test, which is terminated afterwards."""
    name = f"{prefix}-{uuid.uuid4().hex[:4]}"
    yield name
    person.types("-n", name, "-t", "True")


def test_the_one_line_launches_runs_a_script_and_ends(person, name, leftovers):
    person.launches(name)
    script = person.writes("job.sh", "echo done by $(whoami)\nexit 0\n")
    assert person.does("-n", name, "-s", script).strip() == "done by ec2-user"
    assert name in person.does("list")
    person.does("terminate", name)
    until("the end of it", lambda: not leftovers.instances())


def test_files_go_there_and_come_back(person, name):
    person.launches(name)
    (person.directory / "there").mkdir()
    sent = person.writes("there/a file", "x" * 100_000)
    person.does("-n", name, "-u", "there")
    person.does("-n", name, "-d", "there", "-lp", "back")
    assert (person.directory / "back/there/a file").read_text() == (person.directory / sent).read_text()


def test_a_file_system_outlives_the_machine(person, name, prefix):
    token = f"{prefix}-fs"
    person.launches(name, "-f", token)
    person.does("-n", name, "-f", token, "-c", "echo kept > ~/efs/file")
    person.does("terminate", name)
    person.launches(name, "-f", token)
    assert person.does("-n", name, "-f", token, "-c", "cat ~/efs/file") == "kept\n"


def test_a_detached_run_outlives_the_line(person, name):
    person.launches(name)
    person.does("-n", name, "-s", person.writes("long.sh", "sleep 5\necho over\n"), "--detach", "True")

    def look():
        [run] = json.loads(person.does("runs", name, "--json"))
        return run["state"] == "succeeded"

    until("the end of the run", look)
    assert "over" in person.does("logs", name)


def test_an_interruption_is_announced_and_the_run_goes_on_elsewhere(person, name, prefix, leftovers, live):
    if not live and not os.environ.get(FAULT_ROLE):
        pytest.skip(f"{FAULT_ROLE} names no role that may interrupt spot instances")
    token = f"{prefix}-kept"
    person.launches(name, "-f", token)
    last = 45 if live else 600
    counting = f"for number in $(seq {last}); do echo $number; sleep 1; done\n"
    told = ("--on-interrupt", "echo told >> ~/efs/told")
    person.does("-n", name, "-f", token, "-s", person.writes("count.sh", counting), "--detach", "True", *told)
    [first] = leftovers.instances()
    _interrupt(first, leftovers, live)
    until("the end of the machine", lambda: first not in leftovers.instances())
    gone_on = person.types("resume", name)
    assert gone_on.returncode == 0, gone_on.stderr
    assert f"\n{last}\n" in f"\n{gone_on.stdout}"
    assert "told" in person.does("-n", name, "-c", "cat ~/efs/told")
    person.does("-n", name, "-c", SWITCH_OFF)


def _interrupt(instance_id: str, leftovers, live: str) -> None:
    """As AWS would; on the local cloud by its own verb, and sooner."""
    if live:
        subprocess.run([SCRIPT, "local", "interrupt", instance_id, "--in", "10"], check=True, timeout=SECONDS)
        return
    import boto3

    region = leftovers.ec2.meta.region_name
    owner = boto3.client("sts").get_caller_identity()["Account"]
    fis = boto3.client("fis", region_name=region)
    target = {
        "resourceType": "aws:ec2:spot-instance",
        "resourceArns": [f"arn:aws:ec2:{region}:{owner}:instance/{instance_id}"],
        "selectionMode": "ALL",
    }
    action = {
        "actionId": "aws:ec2:send-spot-instance-interruptions",
        "parameters": {"durationBeforeInterruption": "PT2M"},
        "targets": {"SpotInstances": "one"},
    }
    template = fis.create_experiment_template(
        description="spot-connect's live tests",
        roleArn=os.environ[FAULT_ROLE],
        stopConditions=[{"source": "none"}],
        targets={"one": target},
        actions={"interrupt": action},
    )["experimentTemplate"]["id"]
    try:
        fis.start_experiment(experimentTemplateId=template)
    finally:
        fis.delete_experiment_template(id=template)


def test_a_fleet_of_two_is_named_and_ended(person, prefix, leftovers):
    name = f"{prefix}-fleet"
    program = person.writes("fleet.py", FLEET)
    done = subprocess.run(
        [sys.executable, program, name, TYPE],
        cwd=person.directory,
        env=person.environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [f"{name}_0 ec2-user", f"{name}_1 ec2-user"]
    until("the end of the fleet", lambda: not leftovers.instances())


FLEET = """
import json, sys
from spot_connect.instance_manager import InstanceManager

name, kind = sys.argv[1:]
manager = InstanceManager()
switch_off = "#!/bin/sh\\n(sleep 1800; shutdown -h now) >/dev/null 2>&1 &\\n"
fleet = manager.launch_fleet(2, kind, name, user_data=switch_off)
try:
    machines = manager.reach_fleet(fleet.id)
    print(json.dumps([f"{one.name} {one.run('whoami', cmd=True, return_output=True).strip()}" for one in machines]))
finally:
    manager.cancel_fleet(fleet.id)
"""


def test_nothing_is_left(leftovers):
    leftovers.clear()
    assert not any(leftovers.everything().values())
