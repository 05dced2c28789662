"""The words that follow ``spot_connect jobs``."""

from __future__ import annotations

import argparse

from spot_connect.console.parser import read

_ACTIONS = {
    "status": "every job, now",
    "watch": "tell what changes, until all jobs have ended",
    "attach": "stay until all have ended, and replace instances that AWS takes away",
    "logs": "what a job has written",
    "results": "fetch what jobs have put into $SPOT_CONNECT_OUT_DIR",
    "retry": "try jobs again that have failed or were stopped",
    "cancel": "stop jobs",
    "scale": "launch more instances",
    "close": "stop what has not ended, and end the instances now",
}


def add_actions(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of the verb."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _run(actions.add_parser("run", help="launch instances, run scripts on them, and stay until all have ended"))
    actions.add_parser("ls", help="the jobs that live instances know")
    parsers = {action: actions.add_parser(action, help=text) for action, text in _ACTIONS.items()}
    for one in parsers.values():
        one.add_argument("name", metavar="NAME", help="prefix of the instances' names")
        one.add_argument(
            "--on", default="", metavar="NAME", help="ask this instance, which has their file system mounted"
        )
        one.add_argument("--run", type=read("run_id"), default=None, metavar="RUN", help="default: the newest")
    logs = parsers["logs"]
    logs.add_argument("job", type=int, metavar="JOB", help="its number, from 0")
    logs.add_argument("--attempt", type=int, default=-1, metavar="N", help="default: the last")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the attempt has ended")
    parsers["results"].add_argument("directory", nargs="?", default=".", metavar="DIR", help="where to (default: here)")
    for action in ("retry", "cancel"):
        parsers[action].add_argument("job", nargs="*", type=int, metavar="JOB", help="numbers from 0; default: all")
    parsers["scale"].add_argument("instances", type=read("count"), metavar="N", help="how many are to live")
    for one in actions.choices.values():
        one.add_argument("-reg", "--region", default="", help="the Region they run in")
        one.add_argument("-kd", "--keydir", default="", metavar="DIR", help="directory of private keys")
        one.add_argument("--json", action="store_true", help="as JSON on standard output")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="prefix of the instances' names")
    parser.add_argument("-p", "--profile", required=True, help="settings of the instances, e.g. t3.small")
    parser.add_argument("-s", "--script", action="append", required=True, metavar="FILE", help="a job; may be repeated")
    times = "how many jobs, where there is one script"
    parser.add_argument("-n", "--jobs", type=read("count"), default=None, metavar="N", help=times)
    parser.add_argument("--instances", type=read("count"), default=None, metavar="N", help="default: one for each job")
    parser.add_argument("--slots", default="1", metavar="N", help="jobs at once on an instance, or cpus (default: 1)")
    file_system = "file system that all of them mount; without one the jobs are lost with the first instance"
    parser.add_argument("-f", "--filesystem", default="", metavar="TOKEN", help=file_system)
    upload = "for each job a file or directory; may be repeated"
    parser.add_argument("-u", "--upload", action="append", default=[], metavar="PATH", help=upload)
    parser.add_argument("-r", "--remotepath", default=".", metavar="DIR", help="where -u puts them (default: home)")
    parser.add_argument("--retries", type=int, default=0, metavar="N", help="for a job that fails")
    interruptions = "interruptions of a job at the most (default: any number)"
    parser.add_argument("--max-interruptions", type=int, default=None, metavar="N", help=interruptions)
    parser.add_argument("--timeout", type=read("seconds"), default=None, metavar="T", help="for an attempt, e.g. 90m")
    parser.add_argument("--on-interrupt", default="", metavar="COMMAND", help="runs beside a job at the notice")
    parser.add_argument("--type", action="append", default=[], metavar="T", help="another type that will do")
    head = "worker: one of the instances hands the jobs out, too (default); on-demand: a small one launched for it"
    parser.add_argument("--head", default="worker", metavar="WHERE", help=head)
    hours = "after this long the jobs are stopped, and instances end themselves (default: 24)"
    parser.add_argument("--max-hours", type=float, default=24.0, metavar="H", help=hours)
    cost = "stop the jobs when the instances have cost so many US dollars"
    parser.add_argument("--max-cost", type=read("dollars"), default=None, metavar="D", help=cost)
    on_demand = "once AWS has taken away so many instances, launch others on demand"
    parser.add_argument("--on-demand-after", type=int, default=None, metavar="N", help=on_demand)
    profile = "instance profile; if its role may launch instances, they replace one another while nobody stays, too"
    parser.add_argument("-ip", "--instanceprofile", default="", metavar="NAME", help=profile)
    parser.add_argument("--subnet", default="", metavar="ID", help="subnet instead of the best one of each zone")
    tag = "tag for all that is made; may be repeated"
    parser.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help=tag)
    parser.add_argument("--detach", type=read("boolean"), default=False, metavar="BOOL", help="begin them and leave")
