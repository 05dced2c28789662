"""What the readme and the docs tell people to type, typed: every command that needs neither AWS nor the internet."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest

from spot_connect.console.flags import FLAGS, VERBS
from spot_connect.local import service
from tests.journeys.conftest import SCRIPT, Person
from tests.local_cloud import running_local_cloud

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = (README, *DOCS)
SECONDS = 100

# What a command must begin with to be run, and what is left to other tests or to people.
RUN = ("spot_connect ", "aws s3 ", "aws ec2 describe-", 'eval "$(spot_connect local env)"')
LEFT = (
    "pip install ",
    "bash tests/run.sh",
    "bash examples/quickstart.sh",
    "bash examples/interruption/rehearse.sh",
    "python -m benchmarks",
    "python tools/",
    "aws accessanalyzer ",
    "aws ec2 modify-",
    "aws iam ",
    "account=$(aws sts ",
)


def blocks(page, language):
    """The blocks of code in that language."""
    text = page.read_text(encoding="utf-8")
    return [found.group(1) for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def commands(block):
    return [line for line in block.splitlines() if line.strip() and not line.startswith((" ", "#"))]


def titled(pages, language):
    for page in pages:
        for number, block in enumerate(blocks(page, language), 1):
            yield pytest.param(block, id=f"{page.stem}-{number}")


def runs(block):
    return all(line.startswith(RUN) for line in commands(block))


SHELL = list(titled(PAGES, "bash"))
PYTHON = list(titled((README, ROOT / "docs" / "local-cloud.md", ROOT / "docs" / "interruptions.md"), "python"))


@pytest.fixture(scope="module")
def readers_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("reader") / "home"
    with running_local_cloud(home):
        yield home


@pytest.fixture
def reader(readers_home, tmp_path):
    """Somebody who follows the readme, in a directory with the files that it speaks of."""
    service.up(readers_home, fresh=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    reader = Person(readers_home, tmp_path / "work", SPOT_CONNECT_LOCAL="1", PATH=path)
    reader.writes("data.csv", "1\n2\n")
    reader.writes("model/weights", "none")
    reader.writes("job.sh", "#!/bin/bash\nmkdir -p ~/efs\necho kept > ~/efs/result\necho the job ran\n")
    reader.writes("job.py", "print('the job ran')\nopen('result.csv', 'w').write(open('data.csv').read())\n")
    train = "import os, sys\nos.makedirs('out')\nopen('out/result.csv', 'w').write(open(sys.argv[1]).read())\n"
    reader.writes("project/train.py", train)
    return reader


def follows(reader, program, *words, stdin=""):
    return subprocess.run(
        [program, *words],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=reader.directory,
        env=reader.environment,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize("block", SHELL)
def test_it_is_known_of_every_command_whether_it_is_run(block):
    for line in commands(block):
        assert line.startswith((*RUN, *LEFT)), line


@pytest.mark.parametrize("block", [block for block in SHELL if runs(block.values[0])])
def test_shell_commands_run_as_written(reader, block):
    result = follows(reader, "bash", "-euc", block)
    assert result.returncode == 0, result.stderr
    assert ("-s job.sh" in block) == ("the job ran" in result.stdout)
    assert "Traceback" not in result.stderr
    if "-f data" in block:
        seen = follows(reader, SCRIPT, "vm2", stdin="cat efs/result\n")
        assert "kept" in seen.stdout, seen.stderr


@pytest.mark.parametrize("block", PYTHON)
def test_python_runs_as_written(reader, block):
    result = follows(reader, sys.executable, "-c", block)
    assert result.returncode == 0, result.stderr
    if "download" in block:
        place = "results/w3/out/result.csv" if "w3" in block else "result.csv"
        assert (reader.directory / place).read_text() == "1\n2\n"


def test_the_quickstart_runs_after_its_installation(reader):
    text = (ROOT / "examples" / "quickstart.sh").read_text(encoding="utf-8")
    installation, _, rest = text.partition("export SPOT_CONNECT_LOCAL=1\n")
    assert ".venv/bin/python -m pip install" in installation
    assert "spot_connect=.venv/bin/spot_connect\n" in rest
    rest = rest.replace("spot_connect=.venv/bin/spot_connect\n", f"spot_connect='{SCRIPT}'\n")
    assert ".venv/" not in rest
    script = f"set -euo pipefail\ncd '{ROOT}'\n{rest}"
    result = follows(reader, "bash", "-c", script, stdin="wc -l < work/cheapest.txt\nexit\n")
    assert result.returncode == 0, result.stderr
    compared = re.search(r"^(\d+) regions compared on \S+ as ec2-user$", result.stdout, re.MULTILINE)
    assert compared
    assert int(compared.group(1)) > 10
    assert result.stdout.splitlines()[-1] == compared.group(1), "the prompt is on the same machine"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_the_readme_leads_to_every_page():
    text = README.read_text(encoding="utf-8")
    for page in DOCS:
        assert f"(docs/{page.name})" in text


def test_the_table_of_flags_is_that_of_the_command():
    rows = re.findall(r"^\| ((?:`-[^|]* )?)\| (`--[^|]*) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    told = [pair for short, long in rows for pair in zip_longest(words(short), words(long), fillvalue="")]
    known = [flag[:2] for group, flags in FLAGS.items() if group != "general" for flag in flags]
    assert sorted(told) == sorted(known)


def test_every_verb_is_told_of():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for verb in VERBS:
        assert f"spot_connect {verb} " in text, verb


def words(cell):
    return re.findall(r"`([^`]+)`", cell)
