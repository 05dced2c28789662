"""`spot_connect doctor` of somebody with an AWS account, at small servers that answer as AWS does."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import closing

import pexpect
import pytest

from tests.boundary.aws.conftest import SCRIPT, SECONDS
from tests.boundary.aws.endpoints import at, error, xml_error

KEYS = "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = s\n"
UNKNOWN_THERE = "AWS was not able to validate the provided access credentials"


def region(name, status):
    one = f"<item><regionName>{name}</regionName><optInStatus>{status}</optInStatus></item>"
    return 200, f"<DescribeRegionsResponse><regionInfo>{one}</regionInfo></DescribeRegionsResponse>"


def refusal(code, message, status=403):
    said = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
    return status, f"<Response>{said}<RequestID>r</RequestID></Response>"


def ec2(status="opt-in-not-required", name="us-east-1"):
    """EC2 of an account that may do nothing but list Regions."""

    def answer(asked):
        if asked.said["Action"] == "DescribeRegions" and "DryRun" not in asked.said:
            return region(name, status)
        return refusal("UnauthorizedOperation", "You are not authorized to perform this operation.")

    return answer


@pytest.fixture
def doctor(customer, endpoints, monkeypatch):
    """``doctor(words)`` is the report of the command, and its exit status; the address is told by nobody."""
    endpoints.instead["ec2"] = ec2()
    # Nothing but these endpoints is reached.
    nowhere = {f"AWS_ENDPOINT_URL_{name}": f"{endpoints.url}/oidc" for name in ("EFS", "SSM", "IAM", "SERVICE_QUOTAS")}
    customer.environment |= nowhere | {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}

    def run(*words):
        result = customer.types("doctor", "--json", *words)
        assert "Traceback" not in result.stderr
        assert result.returncode in (0, 1), result.stderr
        report = json.loads(result.stdout)
        assert (report["state"] == "fault") == (result.returncode == 1)
        return {check["check"]: check for check in report["checks"]}

    return run


def test_it_says_who_you_are_and_where_the_keys_are_from(customer, doctor):
    path = customer.writes(".aws/credentials", KEYS)
    found = doctor()["credentials"]
    assert found["state"] == "ok"
    assert found["says"] == f"arn:aws:iam::123456789012:user/me, from the profile default in {path}".replace(
        str(customer.home), "~"
    )
    details = found["details"]
    assert (details["account"], details["source"], details["profile"]) == (
        "123456789012",
        "shared-credentials-file",
        "default",
    )
    assert (details["expires"], details["temporary"]) == (None, False)


def test_without_credentials_the_clock_and_the_files_are_looked_at_all_the_same(doctor):
    found = doctor()
    assert found["credentials"]["state"] == "fault"
    assert "aws configure" in found["credentials"]["mend"]
    assert "doctor" not in found["credentials"]["mend"]
    assert found["clock"]["state"] == "ok"
    assert found["key directory"]["state"] == "ok"
    assert found["versions"]["details"]["boto3"]
    for name in ("Region", "network", "spot quota", "may launch"):
        assert (found[name]["state"], "for want of credentials" in str(found[name])) == ("unknown", True), name


def test_a_login_that_has_ended_is_a_fault_with_the_command_that_renews_it(customer, doctor):
    customer.configures(
        "[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = dev\n"
        "[sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = us-east-1\n"
    )
    customer.environment["AWS_PROFILE"] = "work"
    customer.has_token("corp", accessToken="t", expiresAt=at(-10), startUrl="https://corp.example/start")
    found = doctor()["credentials"]
    assert found["state"] == "fault"
    assert found["mend"] == "Run `aws sso login --profile work`."


def test_keys_that_end_soon_and_that_nobody_renews_are_a_warning(customer, doctor):
    customer.environment |= {
        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_SESSION_TOKEN": "t",
        "AWS_CREDENTIAL_EXPIRATION": at(1200),
    }
    found = doctor()["credentials"]
    assert (found["state"], found["details"]["temporary"]) == ("warning", True)
    assert "; until 20" in found["says"]
    assert "AWS_ACCESS_KEY_ID" in found["mend"]


def test_keys_that_aws_does_not_know_are_a_fault(customer, doctor, endpoints):
    customer.writes(".aws/credentials", KEYS)
    no = "The security token included in the request is invalid."
    endpoints.instead["sts"] = lambda _: xml_error("InvalidClientTokenId", no, 403)
    found = doctor()
    assert found["credentials"]["state"] == "fault"
    assert no in found["credentials"]["says"]
    assert "renew them there" in found["credentials"]["mend"]
    assert found["clock"]["state"] == "ok"


@pytest.mark.parametrize("text", ["[default\n", "\ufeff[default]\n", "[profile a]\nregion = x\n[profile a]\n"])
def test_settings_that_cannot_be_read_are_a_fault_and_hide_nothing_else(customer, doctor, text):
    path = customer.configures(text)
    del customer.environment["AWS_REGION"]
    found = doctor()
    assert found["credentials"]["state"] == "fault"
    assert str(path) in found["credentials"]["says"]
    assert found["key directory"]["state"] == "ok"


def test_a_region_that_is_not_enabled_is_a_fault_with_the_command_that_enables_it(customer, doctor, endpoints):
    customer.writes(".aws/credentials", KEYS)
    endpoints.instead["ec2"] = ec2("not-opted-in", "eu-south-2")
    found = doctor("-reg", "eu-south-2")
    assert found["Region"]["state"] == "fault"
    assert "aws account enable-region --region-name eu-south-2" in found["Region"]["mend"]
    assert found["Region"]["details"]["opt_in_status"] == "not-opted-in"
    assert "for want of Region" in found["network"]["says"]
    # It was asked where everybody is known, and so was who we are.
    assert {one.region for one in endpoints.asked if one.key} == {"us-east-1"}


def test_a_refusal_in_such_a_region_says_that_it_may_not_be_enabled(customer, endpoints):
    customer.writes(".aws/credentials", KEYS)
    endpoints.instead["ec2"] = lambda _: refusal("AuthFailure", UNKNOWN_THERE, 401)
    there = customer.lists("-reg", "eu-south-2")
    assert there.returncode == 4
    assert "`aws account enable-region --region-name eu-south-2`" in there.stderr
    assert "aws configure" not in there.stderr
    assert there.stderr.rstrip().endswith("`spot_connect doctor` looks for the cause.")
    here = customer.lists("-reg", "us-east-1")
    assert "enable-region" not in here.stderr
    assert "renew them there" in here.stderr
    assert here.stderr.rstrip().endswith("`spot_connect doctor` looks for the cause.")


def test_a_region_that_there_is_none_of_is_a_fault_with_the_nearest_name(customer, doctor, endpoints):
    customer.writes(".aws/credentials", KEYS)
    endpoints.instead["ec2"] = lambda _: refusal("InvalidParameterValue", "Invalid region names: [us-est-1]", 400)
    found = doctor("-reg", "us-est-1")["Region"]
    assert (found["state"], found["details"]["opt_in_status"]) == ("fault", None)
    assert "us-east-1" in found["mend"]


@pytest.mark.parametrize(
    ("ahead", "state", "words"),
    [
        (0, "ok", "agrees"),
        (120, "warning", "behind AWS's"),
        (-120, "warning", "ahead of AWS's"),
        (3600, "fault", "behind AWS's"),
        (-86400, "fault", "ahead of AWS's"),
    ],
)
def test_a_clock_that_is_off_is_said_whether_or_not_there_are_credentials(doctor, endpoints, ahead, state, words):
    endpoints.ahead = ahead
    found = doctor()["clock"]
    assert (found["state"], words in found["says"]) == (state, True), found
    # As they have it: negative where this computer is behind.
    assert abs(found["details"]["seconds_ahead"] + ahead) <= 30
    assert bool(found["mend"]) == (state != "ok")


def test_what_may_not_be_looked_at_is_unknown_and_what_is_refused_a_fault(customer, doctor, endpoints):
    customer.writes(".aws/credentials", KEYS)
    endpoints.instead["oidc"] = lambda _: error("AccessDeniedException", "not authorized", 400)
    found = doctor()
    assert found["Region"]["state"] == "ok"
    assert found["network"]["state"] == "unknown"
    for name in ("spot quota", "on-demand quota"):
        assert (found[name]["state"], "docs/permissions.md" in found[name]["mend"]) == ("unknown", True), found[name]
    for name in ("EFS", "SSM"):
        assert (found[name]["state"], "docs/permissions.md" in found[name]["mend"]) == ("warning", True), found[name]
    assert found["may look"]["state"] == "fault"
    calls = found["may look"]["details"]["calls"]
    assert calls["ec2:DescribeInstances"]["state"] == "refused"
    assert calls["ec2:GetConsoleOutput"]["state"] == "unknown"


def test_an_address_that_nobody_tells_is_a_fault_beside_all_others(doctor):
    found = doctor()["own address"]
    assert (found["state"], "-fw" in found["mend"]) == ("fault", True)


def test_hostile_words_of_a_server_are_fit_to_show(customer, endpoints):
    customer.writes(".aws/credentials", KEYS)
    endpoints.instead["sts"] = lambda _: xml_error("Strange", "no&#x202e;owned&#x9;", 403)
    result = customer.types("doctor")
    assert result.returncode == 1
    assert "owned" in result.stdout
    assert all(line.isprintable() for line in (result.stdout + result.stderr).splitlines())


def test_a_source_of_credentials_that_hangs_stops_nothing_else(customer, endpoints):
    """Ctrl-C ends the command at once; before that it says what it waits for, and nothing of it is a traceback."""
    customer.configures("[default]\ncredential_process = sleep 600\n")
    terminal = customer.sits_at("doctor")
    terminal.expect("looking at .*credentials")
    terminal.sendintr()
    terminal.expect("interrupted")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130


def test_a_service_that_hangs_is_given_up_and_the_others_are_told(customer, doctor, endpoints, silent):
    customer.writes(".aws/credentials", KEYS)
    customer.environment["AWS_ENDPOINT_URL_SERVICE_QUOTAS"] = silent.url
    endpoints.instead["oidc"] = lambda _: error("AccessDeniedException", "not authorized", 400)
    found = doctor()
    assert (found["spot quota"]["state"], "no answer in" in found["spot quota"]["says"]) == ("unknown", True)
    assert found["EFS"]["state"] == "warning"
    assert silent.connections


def test_a_code_for_mfa_is_asked_for_and_the_terminal_is_as_it_was_after_ctrl_c(customer, endpoints):
    customer.writes(".aws/credentials", KEYS)
    customer.configures(
        "[profile admin]\nrole_arn = arn:aws:iam::123456789012:role/admin\nsource_profile = default\n"
        "mfa_serial = arn:aws:iam::123456789012:mfa/me\n"
    )
    customer.environment |= {"AWS_PROFILE": "admin", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    shell = pexpect.spawn("sh", cwd=str(customer.home), env=customer.environment, timeout=SECONDS, encoding="utf-8")
    with closing(shell):
        shell.sendline(f"{SCRIPT} doctor; echo status $?")
        shell.expect("MFA code")
        shell.sendintr()
        shell.expect("status 130")
        shell.sendline("stty -a")
        shell.expect(r" (-?echo) ")
        assert shell.match[1] == "echo"
        shell.sendline(f"{SCRIPT} doctor; echo status $?")
        shell.expect("MFA code")
        shell.sendline("123456")
        shell.expect("the role of the profile admin")
        shell.expect("status 1")


def test_it_needs_no_terminal_to_hear_a_signal(customer, silent):
    customer.writes(".aws/credentials", KEYS)
    customer.environment["AWS_ENDPOINT_URL_STS"] = silent.url
    with subprocess.Popen(
        [SCRIPT, "doctor"], env=customer.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if "looking at" in line:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130


def test_an_unknown_profile_is_a_mistake_and_looks_at_nothing(customer, endpoints):
    result = customer.types("doctor", "-p", "t3.mirco")
    assert (result.returncode, result.stdout) == (2, "")
    assert "t3.micro" in result.stderr
    assert endpoints.asked == []
