import pytest

from spot_connect.console.parser import VERBS, main_parser, verb_parser
from spot_connect.core.errors import UsageError

SURFACE = {
    "-n": "--name",
    "-iid": "--instanceid",
    "-p": "--profile",
    "-s": "--script",
    "-f": "--filesystem",
    "-em": "--efsmount",
    "-nm": "--newmount",
    "-u": "--upload",
    "-r": "--remotepath",
    "-a": "--activeprompt",
    "-t": "--terminate",
    "-m": "--monitoring",
    "-ip": "--instanceprofile",
    "-kp": "--keypair",
    "-sg": "--securitygroup",
    "-fw": "--firewall",
    "-ami": "--imageid",
    "-prc": "--price",
    "-reg": "--region",
    "-un": "--username",
}


@pytest.mark.parametrize(("short", "long"), SURFACE.items())
def test_every_flag_has_both_its_forms(short, long):
    known = {tuple(action.option_strings) for action in main_parser()._actions}
    assert (short, long) in known


@pytest.mark.parametrize("flag", ["-a", "-t", "-m", "-em", "-nm"])
def test_a_bad_boolean_is_refused_with_the_words_that_work(flag):
    with pytest.raises(UsageError, match="True False yes no 1 0"):
        main_parser().parse_args(["-n", "vm1", flag, "perhaps"])


@pytest.mark.parametrize("flag", ["-a", "-t", "-m"])
def test_false_means_false(flag):
    parsed = main_parser().parse_args(["-n", "vm1", flag, "False"])
    long = SURFACE[flag].removeprefix("--")
    assert getattr(parsed, long) is False


def test_paths_are_split_at_commas():
    parsed = main_parser().parse_args(["-n", "vm1", "-u", r"C:\Data\a.txt,C:\Map Data\b.zip", "-s", "x.sh"])
    assert parsed.upload == (r"C:\Data\a.txt", r"C:\Map Data\b.zip")

    assert parsed.script == ("x.sh",)


def test_a_path_that_there_is_keeps_its_commas(tmp_path):
    path = tmp_path / "a,b.txt"
    path.touch()
    parsed = main_parser().parse_args(["-n", "vm1", "-u", str(path), "-u", f"{path},c"])
    assert parsed.upload == (str(path), str(tmp_path / "a"), "b.txt", "c")


def test_paths_given_again_are_added():
    parsed = main_parser().parse_args(["-n", "vm1", "-s", "a.sh", "-s", "b.sh,c.sh"])
    assert parsed.script == ("a.sh", "b.sh", "c.sh")
    assert main_parser().parse_args(["-n", "vm1"]).script == ()


@pytest.mark.parametrize("words", [["-n"], ["-prc", "cheap"], ["-iid", "vm1"], ["--nam", "vm1"], ["vm1", "vm2"]])
def test_wrong_usage_is_a_usage_error(words):
    with pytest.raises(UsageError):
        main_parser().parse_args(words)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as left:
        verb_parser(verb).parse_args(["--help"])
    assert left.value.code == 0
    assert f"spot_connect {verb}" in capsys.readouterr().out
