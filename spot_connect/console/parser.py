"""Parsers for the words of the command line. The main command is :mod:`spot_connect.console.flags`."""

from __future__ import annotations

import argparse
import os

from spot_connect.console.flags import FLAGS, PROGRAM, VERBS, help_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are ours: one line, and where to read on."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting, so that there is one place that exits."""
        from spot_connect.core.errors import UsageError

        raise UsageError(message, advice=f"See `{self.prog} --help`.")


class _Longer(argparse.Action):
    """What is given again comes after what was given before, instead of taking its place."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        setattr(namespace, self.dest, (*getattr(namespace, self.dest), *values))


class _Command(argparse.Action):
    """One command, which must say something: of two, one would be lost without a word."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error("-c was given twice; write one command: 'first; second'")
        if not values.strip():
            parser.error("the command of -c is empty")
        setattr(namespace, self.dest, values)


class _Help(argparse.HelpFormatter):
    """Never asked for help, but made for every flag; how wide the terminal is takes long to find out."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


class _MainParser(Parser):
    def format_help(self) -> str:
        """The help that is shown without a parser, too."""
        return help_text()


def main_parser() -> Parser:
    """The parser of the command that launches and connects."""
    parser = _MainParser(prog=PROGRAM, allow_abbrev=False, add_help=False, formatter_class=_Help)
    parser.add_argument("bare_name", nargs="?", metavar="NAME")
    for flags in FLAGS.values():
        for short, long, kind, default, _, _ in flags:
            _add(parser, [word for word in (short, long) if word], kind, default)
    return parser


def _add(parser: Parser, words: list[str], kind: str, default: Any) -> None:
    if kind == "help":
        parser.add_argument(*words, action="help")
    elif kind == "switch":
        name = "use_local" if words[-1] == "--local" else words[-1].removeprefix("--")
        parser.add_argument(*words, dest=name, action="store_true", default=default)
    elif kind == "repeated":
        parser.add_argument(*words, action="append", default=default)
    elif kind == "command":
        parser.add_argument(*words, action=_Command, default=default)
    elif kind in ("comma_list", "local_paths"):
        reader = _local_paths if kind == "local_paths" else read(kind)
        parser.add_argument(*words, type=reader, action=_Longer, default=default)
    else:
        parser.add_argument(*words, type=str if kind == "text" else read(kind), default=default)


def verb_parser(verb: str) -> Parser:
    """The parser of one verb."""
    own = {"prices": _prices, "find": _find, "logs": _logs, "sync": _sync, "doctor": _doctor, "local": _local}
    parser = Parser(prog=f"{PROGRAM} {verb}", description=VERBS[verb], allow_abbrev=False)
    if verb == "list":
        _regions(parser, "every Region of the account")
    elif verb == "terminate":
        parser.add_argument("names", nargs="+", metavar="NAME", help="name or instance id")
        parser.add_argument("-reg", "--region", default="", help="the Region they run in")
    elif verb == "runs":
        _machine(parser)
        parser.add_argument("--json", action="store_true", help="one JSON array on standard output")
    elif verb in ("stop", "resume"):
        _machine(parser)
        _run(parser)
        if verb == "resume":
            parser.add_argument("--detach", type=read("boolean"), default=False, help="do not follow it")
    elif verb == "completion":
        from spot_connect.console.completing import SHELLS

        parser.add_argument("shell", choices=tuple(SHELLS), metavar="SHELL", help="bash or zsh")
    elif verb in own:
        own[verb](parser)
    elif verb == "jobs":
        from spot_connect.console.jobs_parser import add_actions

        add_actions(parser)
    add_general(parser)
    return parser


def add_general(parser: argparse.ArgumentParser) -> None:
    """Flags that every command knows."""
    group = parser.add_argument_group("general")
    group.add_argument("--local", dest="use_local", action="store_true", default=None, help="use the local cloud")
    group.add_argument("--debug", action="store_true", help="show a traceback for every error")


def _prices(parser: Parser) -> None:
    parser.add_argument("types", nargs="+", metavar="TYPE", help="instance types, e.g. t3.small")
    _regions(parser, "every Region of the account")
    history = "how far back the lowest and highest price reach: 24h (default), 7d, up to 90d"
    parser.add_argument("--history", type=read("period"), default=None, metavar="PERIOD", help=history)
    parser.add_argument("--plot", default="", metavar="FILE", help="draw them to a .png, .svg or .pdf file")


def _find(parser: Parser) -> None:
    group = parser.add_argument_group("at the least")
    group.add_argument("--vcpus", type=read("count"), default=0, metavar="N", help="virtual CPUs")
    group.add_argument("--memory", type=read("gibibytes"), default=0, metavar="GIB", help="memory in GiB")
    group.add_argument("--gpu", default="", metavar="NAME", help="with this GPU, e.g. T4, A10G, L4")
    group.add_argument("--gpus", type=read("count"), default=0, metavar="N", help="GPUs")
    total = "memory of all GPUs together, as EC2 counts it (an A10G has 22.35)"
    group.add_argument("--gpu-memory", type=read("gibibytes"), default=0, metavar="GIB", help=total)
    group.add_argument("--arch", choices=("x86_64", "arm64"), default="", help="processor (default: either)")
    group.add_argument("--current", action="store_true", help="no type of an older generation")
    group.add_argument("--max-price", type=read("price"), default=None, metavar="P", help="most US dollars per hour")
    _regions(parser, "all Regions")
    parser.add_argument("-n", "--number", type=read("count"), default=10, metavar="N", help="how many (default: 10)")
    parser.add_argument("--live", action="store_true", help="prices of now, from AWS, not those of the shipped table")


def _doctor(parser: Parser) -> None:
    parser.add_argument("-p", "--profile", default="", metavar="PROFILE", help="what is launched (default: t3.micro)")
    parser.add_argument("-reg", "--region", default="", help="where (default: where that profile is launched)")
    parser.add_argument("-kd", "--keydir", default="", metavar="DIR", help="directory of private keys")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _regions(parser: Parser, everywhere: str) -> None:
    parser.add_argument("-reg", "--region", action="append", default=[], help="a Region; may be repeated")
    parser.add_argument("--all-regions", action="store_true", help=everywhere)
    parser.add_argument("--json", action="store_true", help="one JSON array on standard output")


def _logs(parser: Parser) -> None:
    _machine(parser)
    _run(parser)
    parser.add_argument("--cloud-init", action="store_true", help="what user data printed at the first boot")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as it grows, until it has ended")


def _run(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", nargs="?", default=None, type=read("run_id"), help="default: the newest")


def _machine(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name or instance id")
    parser.add_argument("-reg", "--region", default="", help="the Region it runs in")
    parser.add_argument("-kd", "--keydir", default="", metavar="DIR", help="directory of private keys")


def _sync(parser: Parser) -> None:
    _machine(parser)
    parser.add_argument("directory", metavar="DIR", nargs="?", default=".", help="directory here (default: this one)")
    place = "directory there (default: DIR's own name, in the home directory)"
    parser.add_argument("remotepath", metavar="REMOTE", nargs="?", default="", help=place)
    parser.add_argument("--delete", action="store_true", help="remove there what is neither here nor ignored")


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
    interrupt = actions.add_parser("interrupt", help="take a spot instance away, as EC2 does when it needs it")
    interrupt.add_argument("names", nargs="+", metavar="NAME", help="name or instance id")
    notice = "seconds from the notice to the end, e.g. 20 or 2m (default: 120, as on EC2)"
    interrupt.add_argument("--in", dest="notice", type=read("seconds"), default=None, metavar="N", help=notice)
    interrupt.add_argument("--rebalance", action="store_true", help="only the recommendation that may come before")
    interrupt.add_argument("-reg", "--region", default="", help="the Region it runs in")
    _faults(actions.add_parser("fault", help="make things go wrong, to see what comes of it"))
    logs = actions.add_parser("logs", help="its log")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")


def _faults(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    shortage = kinds.add_parser("capacity", help="launches fail for want of capacity (InsufficientInstanceCapacity)")
    price = kinds.add_parser("price", help="launches with a maximum price fail (SpotMaxPriceTooLow)")
    for pool in (shortage, price):
        pool.add_argument("--type", dest="instance_type", default="", metavar="T", help="only of this instance type")
        pool.add_argument("--zone", default="", metavar="Z", help="only in this zone, e.g. us-east-1a")
    throttling = kinds.add_parser("throttling", help="EC2 asks for fewer calls (RequestLimitExceeded)")
    throttling.add_argument("--action", dest="ec2_action", default="", metavar="A", help="only this, e.g. RunInstances")
    error = kinds.add_parser("error", help="an action of EC2 fails with a code")
    error.add_argument("ec2_action", metavar="ACTION", help="e.g. RunInstances")
    error.add_argument("code", metavar="CODE", help="e.g. VcpuLimitExceeded")
    error.add_argument("--status", type=read("count"), default=400, metavar="N", help="HTTP status (default: 400)")
    for counted in (shortage, price, throttling, error):
        times = "how often (default: until cleared)"
        counted.add_argument("--times", type=read("count"), default=None, metavar="N", help=times)
    boot = kinds.add_parser("boot", help="instances take long to boot from now on")
    boot.add_argument("seconds", type=read("seconds"), metavar="SECONDS", help="e.g. 40 or 2m")
    late = kinds.add_parser("host-keys", help="consoles show host keys late, as old instance types do")
    late.add_argument("seconds", type=read("seconds"), metavar="SECONDS", help="after the launch, e.g. 40 or 5m")
    lag = kinds.add_parser("lag", help="calls do not know for a while what others have just made, as in AWS")
    lag.add_argument("seconds", type=read("seconds"), metavar="SECONDS", help="for up to so long, e.g. 2")
    lag.add_argument("--seed", type=read("count"), default=1, metavar="N", help="which calls (default: 1)")
    deny = kinds.add_parser("deny", help="an action is refused for want of rights, as by a policy")
    deny.add_argument("right", metavar="ACTION", help="as policies name it, e.g. ec2:CreateTags or ec2:*")
    only = kinds.add_parser("allow-only", help="nothing is allowed but what a policy allows")
    only.add_argument("policy", metavar="FILE", help="the policy, as JSON")
    for limited in (deny, only):
        whom = "for instances with this role (default: for you)"
        limited.add_argument("--role", default="", metavar="R", help=whom)
    line = kinds.add_parser("line", help="break every SSH connection of an instance now; what runs in it goes on")
    line.add_argument("names", nargs="+", metavar="NAME", help="name or instance id")
    line.add_argument("-reg", "--region", default="", help="the Region it runs in")
    planned = kinds.add_parser("list", help="the faults that are planned")
    planned.add_argument("--json", action="store_true", help="as JSON")
    kinds.add_parser("clear", help="nothing goes wrong any more")


def _local_paths(text: str) -> Any:
    """Paths with commas between them, or one that there is with commas in its name."""
    return (text,) if os.path.lexists(text) else read("comma_list")(text)


def read(kind: str) -> Callable[[str], Any]:
    """A reader of :mod:`spot_connect.core.values`, imported only when a value has to be read."""

    def reader(text: str) -> Any:
        from spot_connect.core import values
        from spot_connect.core.errors import UsageError

        try:
            return getattr(values, kind)(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return reader
