"""`spot_connect doctor`, as a person runs it on the local cloud."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pexpect
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
STATES = ("ok", "warning", "fault", "unknown")


@pytest.fixture
def fault(person):
    """``fault(words)`` orders trouble; none is left afterwards."""

    def order(*words):
        result = person.types("local", "fault", *words)
        assert result.returncode == 0, result.stderr

    yield order
    order("clear")


def told(person, *words):
    result = person.types("doctor", "--json", *words)
    assert result.returncode in (0, 1), result.stderr
    report = json.loads(result.stdout)
    assert result.returncode == (report["state"] == "fault")
    return report, {check["check"]: check for check in report["checks"]}


def rows(heading):
    """The rows of the table of the page whose first column has that heading."""
    text = PAGE.read_text(encoding="utf-8")
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in table[1].splitlines()]


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_where_nothing_stands_in_the_way_it_says_so_line_by_line(person):
    result = person.types("doctor")
    assert result.returncode == 0, result.stdout
    lines = result.stdout.splitlines()
    assert all(line.startswith(("ok  ", " ")) for line in lines), result.stdout
    assert re.search(r"^ok +credentials +arn:aws:sts::123456789012:user/moto, from the local cloud$", lines[0])
    assert result.stderr.splitlines()[-1] == "LOCAL t3.micro in us-east-1: nothing stands in the way"


def test_the_object_for_programs_is_as_the_page_has_it(person):
    report, checks = told(person, "-p", "t4g.nano", "-reg", "eu-west-1")
    [*keys] = [name for row in rows("key") for name in names(row[0])]
    assert list(report) == keys
    assert (report["cloud"], report["region"], report["profile"]) == ("local", "eu-west-1", "t4g.nano")
    assert [name for row in rows("check") for name in names(row[0])] == list(checks)
    text = PAGE.read_text(encoding="utf-8")
    details = re.search(r"^\| check \| `details` \|\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)[1]
    documented = {}
    for line in details.splitlines():
        cells = line.strip("|").split(" | ")
        documented |= dict.fromkeys(names(cells[0]), cells[1])
    for name, check in checks.items():
        assert list(check) == ["check", "state", "says", "mend", "details"]
        assert check["state"] in STATES
        for key in check["details"]:
            assert f"`{key}`" in documented[name] or name == "versions", (name, key)


@pytest.mark.parametrize(
    ("action", "code", "check"),
    [
        ("RunInstances", "UnauthorizedOperation", "may launch"),
        ("RunInstances", "PendingVerification", "may launch"),
        ("DescribeRegions", "AuthFailure", "Region"),
        ("DescribeImages", "UnauthorizedOperation", "may look"),
    ],
)
def test_trouble_is_a_fault_and_the_status_is_1(person, fault, action, code, check):
    fault("error", action, code, "--status", "403")
    report, checks = told(person)
    assert (report["state"], checks[check]["state"]) == ("fault", "fault")
    assert checks[check]["mend"]
    shown = person.types("doctor")
    assert shown.returncode == 1
    assert re.search(rf"^fault +{check} ", shown.stdout, re.MULTILINE)
    assert re.search(r"^LOCAL t3.micro in us-east-1: .*\d faults?", shown.stderr, re.MULTILINE)


def test_what_cannot_be_looked_at_is_no_fault_and_is_counted(person, fault):
    fault("error", "RunInstances", "InternalError", "--status", "400")
    result = person.types("doctor")
    assert result.returncode == 0
    assert "1 thing that could not be looked at" in result.stderr


def test_a_key_directory_that_all_can_change_is_a_fault(person, tmp_path):
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o777)
    keys.chmod(0o777)
    _, checks = told(person, "-kd", str(keys))
    assert checks["key directory"]["state"] == "fault"
    assert checks["key directory"]["mend"].endswith(f"chmod go-w {keys}")
    assert checks["key directory"]["details"]["mode"] == "0777"


def test_wrong_words_are_wrong_usage(person):
    for words in (("-p", "t3.mirco"), ("--jsn",), ("vm1",)):
        result = person.types("doctor", *words)
        assert (result.returncode, result.stdout) == (2, ""), words


def test_at_a_terminal_what_it_waits_for_goes_as_it_came(person):
    terminal = person.sits_at("doctor", size=(60, 200))
    terminal.expect("credentials +arn:aws")
    terminal.expect("nothing stands in the way")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_a_refusal_names_the_doctor_of_this_cloud_and_a_mistake_does_not(person, fault):
    mistake = person.types("-n", "vm1", "-p", "t3.micro", "-ami", "ami-0123456789abcdef0")
    assert mistake.returncode == 4
    assert "doctor" not in mistake.stderr
    fault("error", "RunInstances", "VcpuLimitExceeded")
    refused = person.types("-n", "vm1", "-p", "t3.micro")
    assert refused.returncode == 4
    assert refused.stderr.rstrip().endswith("`spot_connect --local doctor` looks for the cause.")


def test_tab_knows_it(person):
    assert "doctor" in person.types("completion", "words", "do").stdout.split()
    assert person.types("completion", "words", "doctor", "-p", "t3.mi").stdout.split() == ["t3.micro"]
    assert person.types("completion", "words", "doctor", "--j").stdout.split() == ["--json"]
    assert person.types("completion", "words", "doctor", "-reg", "eu-west-").stdout.split()[0] == "eu-west-1"
