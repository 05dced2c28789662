"""The words of the command line. Imports nothing heavy, so that help is quick."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

VERBS = {
    "list": "what runs, what it costs",
    "terminate": "end instances by name or id",
    "prices": "spot prices of instance types, now and over time",
    "find": "the cheapest instance types that fit",
    "local": "the local cloud: up, down, status, env, reset, logs",
}

_DESCRIPTION = "Launch an AWS EC2 spot instance, or come back to it, by name."
_EXAMPLES = """\
examples:
  spot_connect -n vm1 -p t2.micro -a True    launch vm1 and open a prompt on it
  spot_connect vm1                           come back to its prompt
  spot_connect -n vm1 -u data.csv -s job.sh  upload a file and run a script
  spot_connect -n vm1 -t True                terminate it
  spot_connect --local -n vm1 -p t2.micro    rehearse on this computer, without AWS

verbs (spot_connect VERB --help):
"""


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are ours: one line, and where to read on."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting, so that there is one place that exits."""
        from spot_connect.core.errors import UsageError

        raise UsageError(message, advice=f"See `{self.prog} --help`.")


def main_parser() -> Parser:
    """The parser of the command that launches and connects."""
    verbs = "".join(f"  {verb:<10} {meaning}\n" for verb, meaning in VERBS.items())
    parser = Parser(
        prog="spot_connect",
        description=_DESCRIPTION,
        epilog=_EXAMPLES + verbs,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _machine(parser)
    _work(parser)
    _launch(parser)
    add_general(parser)
    return parser


def verb_parser(verb: str) -> Parser:
    """The parser of one verb."""
    parser = Parser(prog=f"spot_connect {verb}", description=VERBS[verb], allow_abbrev=False)
    if verb == "list":
        _regions(parser, "every Region of the account")
    elif verb == "terminate":
        parser.add_argument("names", nargs="+", metavar="NAME", help="name or instance id")
        parser.add_argument("-reg", "--region", default="", help="the Region they run in")
    elif verb == "prices":
        _prices(parser)
    elif verb == "find":
        _find(parser)
    else:
        _local(parser)
    add_general(parser)
    return parser


def add_general(parser: argparse.ArgumentParser) -> None:
    """Flags that every command knows."""
    group = parser.add_argument_group("general")
    group.add_argument("--local", dest="use_local", action="store_true", default=None, help="use the local cloud")
    group.add_argument("--debug", action="store_true", help="show a traceback for every error")


def _machine(parser: Parser) -> None:
    group = parser.add_argument_group("machine")
    group.add_argument("bare_name", nargs="?", metavar="NAME", help="same as -n NAME -a True")
    group.add_argument("-n", "--name", default="", help="the instance's name")
    group.add_argument("-iid", "--instanceid", type=_value("instance_id"), default=None, help="use a running instance")
    group.add_argument("-t", "--terminate", type=_value("boolean"), default=False, help="terminate it, nothing else")


def _work(parser: Parser) -> None:
    group = parser.add_argument_group("once connected")
    paths = _value("comma_list")
    group.add_argument("-u", "--upload", type=paths, default=(), metavar="PATH[,PATH]", help="files, directories")
    group.add_argument("-r", "--remotepath", default=".", metavar="DIR", help="where -u puts them (home directory)")
    group.add_argument("-s", "--script", type=paths, default=(), metavar="PATH[,PATH]", help="scripts to run in order")
    group.add_argument("-a", "--activeprompt", type=_value("boolean"), default=None, help="leave a prompt open")
    group.add_argument("-f", "--filesystem", default="", metavar="TOKEN", help="EFS to create or reuse, and mount")
    group.add_argument("-em", "--efsmount", type=_value("boolean"), default=True, help="mount the file system of -f")
    group.add_argument("-nm", "--newmount", type=_value("boolean"), default=False, help="make a new mount target")


def _launch(parser: Parser) -> None:
    group = parser.add_argument_group("for a launch")
    group.add_argument("-p", "--profile", default="", help="settings by name, e.g. t2.micro")
    group.add_argument("-m", "--monitoring", type=_value("boolean"), default=False, help="detailed CloudWatch")
    group.add_argument("-ip", "--instanceprofile", default="", metavar="NAME|ARN", help="IAM instance profile")
    group.add_argument("-kp", "--keypair", default="", help="key pair instead of KP-NAME")
    group.add_argument("-kd", "--keydir", default="", metavar="DIR", help="directory of private keys")
    group.add_argument("-sg", "--securitygroup", default="", help="security group instead of SG-NAME")
    group.add_argument("-fw", "--firewall", action="append", default=[], metavar="tcp,22,22,CIDR", help="ingress rule")
    group.add_argument("-ami", "--imageid", default="", metavar="AMI", help="image instead of the profile's")
    group.add_argument("-prc", "--price", type=_value("price"), default=None, help="most US dollars per hour")
    group.add_argument("-reg", "--region", default="", help="Region instead of the profile's")
    group.add_argument("-un", "--username", default="", help="login name instead of the image's")
    group.add_argument("-it", "--instancetype", default="", metavar="TYPE", help="type instead of the profile's")
    group.add_argument("-ud", "--userdata", default="", metavar="FILE", help="script that root runs at first boot")
    parser.add_argument("--version", action="store_true", help="show the version")


def _prices(parser: Parser) -> None:
    parser.add_argument("types", nargs="+", metavar="TYPE", help="instance types, e.g. t3.small")
    _regions(parser, "every Region of the account")
    history = "how far back the lowest and highest price reach: 24h (default), 7d, up to 90d"
    parser.add_argument("--history", type=_value("period"), default=None, metavar="PERIOD", help=history)
    parser.add_argument("--plot", default="", metavar="FILE", help="draw them to a .png, .svg or .pdf file")


def _find(parser: Parser) -> None:
    group = parser.add_argument_group("at the least")
    group.add_argument("--vcpus", type=_value("count"), default=0, metavar="N", help="virtual CPUs")
    group.add_argument("--memory", type=_value("gibibytes"), default=0, metavar="GIB", help="memory in GiB")
    group.add_argument("--gpu", default="", metavar="NAME", help="with this GPU, e.g. T4, A10G, L4")
    group.add_argument("--gpus", type=_value("count"), default=0, metavar="N", help="GPUs")
    total = "memory of all GPUs together, as EC2 counts it (an A10G has 22.35)"
    group.add_argument("--gpu-memory", type=_value("gibibytes"), default=0, metavar="GIB", help=total)
    group.add_argument("--arch", choices=("x86_64", "arm64"), default="", help="processor (default: either)")
    group.add_argument("--current", action="store_true", help="no type of an older generation")
    group.add_argument("--max-price", type=_value("price"), default=None, metavar="P", help="most US dollars per hour")
    _regions(parser, "all Regions")
    parser.add_argument("-n", "--number", type=_value("count"), default=10, metavar="N", help="how many (default: 10)")
    parser.add_argument("--live", action="store_true", help="prices of now, from AWS, not those of the shipped table")


def _regions(parser: Parser, everywhere: str) -> None:
    parser.add_argument("-reg", "--region", action="append", default=[], help="a Region; may be repeated")
    parser.add_argument("--all-regions", action="store_true", help=everywhere)
    parser.add_argument("--json", action="store_true", help="one JSON array on standard output")


def _local(parser: Parser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    up = actions.add_parser("up", help="start it")
    up.add_argument("--isolation", choices=("ns", "plain"), help="how instances are kept apart (default: the best)")
    up.add_argument("--fresh", action="store_true", help="forget what it held before")
    up.add_argument("--boot-seconds", type=float, metavar="N", help="how long instances take to boot")
    actions.add_parser("down", help="stop it; what it holds is kept")
    status = actions.add_parser("status", help="whether it runs, and how")
    status.add_argument("--json", action="store_true", help="as JSON")
    actions.add_parser("env", help="shell variables that point other AWS tools at it")
    actions.add_parser("reset", help="end every instance and forget everything")
    logs = actions.add_parser("logs", help="its log")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")


def _value(kind: str) -> Callable[[str], Any]:
    """A reader of :mod:`spot_connect.core.values`, imported only when a value has to be read."""

    def read(text: str) -> Any:
        from spot_connect.core import values
        from spot_connect.core.errors import UsageError

        try:
            return getattr(values, kind)(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read
