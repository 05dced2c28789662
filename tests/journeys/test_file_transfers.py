"""Files up and down, as somebody at a shell meets it."""

from __future__ import annotations


def test_results_come_down_after_the_scripts(person, machine):
    person.writes("make.sh", "mkdir -p out/deep; echo 42 > out/deep/answer; echo log > log.txt\n")
    result = person.types("-n", machine, "-s", "make.sh", "-d", "out,log.txt", "-lp", "results")
    assert result.returncode == 0, result.stderr
    assert (person.directory / "results" / "out" / "deep" / "answer").read_text() == "42\n"
    assert (person.directory / "results" / "log.txt").read_text() == "log\n"


def test_results_of_a_failed_script_come_down_and_it_has_failed_still(person, machine):
    person.writes("fail.sh", "echo why > why.txt; exit 3\n")
    result = person.types("-n", machine, "-s", "fail.sh", "-d", "why.txt")
    assert result.returncode == 3
    assert (person.directory / "why.txt").read_text() == "why\n"


def test_nothing_can_be_downloaded_from_a_run_that_goes_on(person, machine):
    person.writes("long.sh", "sleep 1\n")
    result = person.types("-n", machine, "-s", "long.sh", "--detach", "True", "-d", "out")
    assert result.returncode == 2
    assert "nothing to download" in result.stderr


def test_a_directory_is_brought_up_to_date_without_what_git_ignores(person, machine):
    person.writes("project/.gitignore", "*.log\n")
    person.writes("project/run.log", "no")
    person.writes("project/job.txt", "one\n")
    result = person.types("sync", machine, "project")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "/home/ec2-user/project\n"
    person.writes("project/job.txt", "one and two\n")
    result = person.types("-n", machine, "--sync", "project", "-c", "cat job.txt; ls -A")
    assert result.stdout == "one and two\n.gitignore\njob.txt\n"
    (person.directory / "project" / "job.txt").unlink()
    assert person.types("sync", machine, "project", "--delete").returncode == 0
    assert person.types("-n", machine, "-c", "ls -A project").stdout == ".gitignore\n"


def test_scripts_and_command_run_in_the_directory_that_was_brought_up_to_date(person, machine):
    person.writes("it's mine/model.py", "answer = 42\n")
    script = person.writes("it's mine/train.py", "import model; open('out', 'w').write(str(model.answer))\n")
    words = ("-s", str(script), "-c", "pwd; cat out", "-d", "it's mine/out", "-lp", "back")
    result = person.types("-n", machine, "--sync", "it's mine", *words)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "/home/ec2-user/it's mine\n42"
    assert (person.directory / "back" / "out").read_text() == "42"


def test_with_delete_directories_lose_what_is_gone_at_their_source(person, machine):
    person.writes("up/kept.txt", "kept\n")
    person.writes("up/gone.txt", "gone\n")
    assert person.types("-n", machine, "-u", "up").returncode == 0
    (person.directory / "up" / "gone.txt").unlink()
    person.writes("down/up/stale.txt", "stale\n")
    result = person.types("-n", machine, "-u", "up", "-d", "up", "-lp", "down", "--delete", "-c", "ls up")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "kept.txt\n"
    assert [each.name for each in (person.directory / "down" / "up").iterdir()] == ["kept.txt"]


def test_delete_without_anything_to_move_is_refused(person, machine):
    result = person.types("-n", machine, "--delete", "-c", "true")
    assert result.returncode == 2
    assert "nothing that --delete is for" in result.stderr


def test_delete_never_reaches_what_lies_here_already(person, machine):
    mine = person.writes("mine.txt", "mine\n")
    result = person.types("-n", machine, "-d", ".", "--delete")
    assert result.returncode == 2
    assert "your own files are here" in result.stderr
    assert mine.exists()
