"""The words of the main command, as one table: the parser and the help are both made of it.

It imports nothing, so that help costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PROGRAM = "spot_connect"

#: Flags that may come before a verb.
BEFORE_A_VERB = ("--local", "--debug")

VERBS = {
    "list": "what runs, what it costs",
    "terminate": "end instances by name or id",
    "prices": "spot prices of instance types, now and over time",
    "find": "the cheapest instance types that fit",
    "runs": "the detached runs of a machine",
    "logs": "what a detached run has written, or an instance at its first boot",
    "stop": "end a detached run",
    "resume": "go on with a run after its machine was taken away",
    "sync": "bring a directory there up to date with one here, as git sees it",
    "ssh-config": "what OpenSSH needs to know your machines by name",
    "jobs": "many scripts side by side: run, ls, status, watch, attach, logs, results, retry, cancel, scale, close",
    "doctor": "whether a launch would go well: credentials, Region, network, quotas, permissions, keys",
    "completion": "what bash or zsh needs to complete names, verbs and flags at TAB",
    "local": "the local cloud: up, down, status, env, reset, logs, interrupt, fault",
}

#: By group: short form, long form, kind of value, default, what stands for the value, meaning.
FLAGS: dict[str, tuple[tuple[str, str, str, object, str, str], ...]] = {
    "machine": (
        ("-n", "--name", "text", "", "NAME", "the instance's name"),
        ("-iid", "--instanceid", "instance_id", None, "ID", "a running instance by its EC2 id; never launches"),
        ("-t", "--terminate", "boolean", False, "BOOL", "terminate it and do nothing else"),
        ("", "--strict-host-key", "boolean", None, "BOOL", "wait until EC2's console shows the host key"),
    ),
    "once connected": (
        ("-u", "--upload", "local_paths", (), "PATH[,PATH]", "files and directories to upload"),
        ("-r", "--remotepath", "text", ".", "DIR", "where -u puts them (default: the home directory)"),
        ("", "--sync", "text", "", "DIR", "directory to bring up to date first; scripts and command run in it"),
        ("-d", "--download", "comma_list", (), "PATH[,PATH]", "files and directories to download after all that"),
        ("-lp", "--localpath", "text", ".", "DIR", "where -d puts them (default: here)"),
        ("", "--delete", "switch", False, "", "directories of --sync, -u and -d lose what is gone at their source"),
        ("-s", "--script", "local_paths", (), "PATH[,PATH]", "scripts to run, in order"),
        ("-c", "--command", "command", None, "COMMAND", "command to run, as ssh does; over a line that is held open"),
        ("", "--detach", "boolean", False, "BOOL", "begin the scripts and leave; they go on without this computer"),
        ("", "--on-interrupt", "text", "", "COMMAND", "runs there when AWS announces that it takes the machine away"),
        ("", "--on-rebalance", "text", "", "COMMAND", "the same for the recommendation that may come before"),
        ("", "--resume", "boolean", False, "BOOL", "go on elsewhere when AWS takes the machine away; needs -f"),
        ("", "--max-replacements", "count", None, "N", "other machines at the most, with --resume"),
        ("", "--max-cost", "dollars", None, "USD", "no other machine once the run has cost this much"),
        ("", "--fallback", "text", "", "on-demand", "when there is no spot capacity for two minutes"),
        ("-a", "--activeprompt", "boolean", None, "BOOL", "leave a prompt open afterwards"),
        ("-f", "--filesystem", "text", "", "TOKEN", "elastic file system to create or reuse, and mount at ~/efs"),
        ("-em", "--efsmount", "boolean", True, "BOOL", "mount the file system (default: True)"),
        ("", "--efs-tls", "efs_tls", None, "require|prefer", "whether it must be encrypted in transit"),
        ("-nm", "--newmount", "boolean", False, "BOOL", "make a mount target even if there is one"),
    ),
    "for a launch": (
        ("-p", "--profile", "text", "", "PROFILE", "settings by name, e.g. t3.micro"),
        ("-m", "--monitoring", "boolean", False, "BOOL", "detailed CloudWatch monitoring (it costs money)"),
        ("-ip", "--instanceprofile", "text", "", "NAME|ARN", "IAM instance profile"),
        ("-kp", "--keypair", "text", "", "NAME", "key pair instead of KP-NAME"),
        ("-kd", "--keydir", "text", "", "DIR", "directory of private keys"),
        ("-sg", "--securitygroup", "text", "", "NAME|ID", "security group instead of SG-NAME"),
        ("", "--subnet", "text", "", "ID", "subnet instead of the best one of each zone"),
        ("-fw", "--firewall", "repeated", [], "tcp,22,22,CIDR", "who may connect; may be repeated"),
        ("-ami", "--imageid", "text", "", "AMI", "image instead of the profile's"),
        ("-prc", "--price", "price", None, "USD", "most US dollars per hour; you are billed the current price"),
        ("-reg", "--region", "text", "", "REGION", "Region instead of the profile's"),
        ("-un", "--username", "text", "", "USER", "login name instead of the image's"),
        ("-it", "--instancetype", "text", "", "TYPE", "instance type instead of the profile's"),
        ("-ud", "--userdata", "text", "", "FILE", "script that root runs at first boot"),
        ("", "--tag", "repeated", [], "KEY=VALUE", "tag for all that is made; may be repeated"),
    ),
    "general": (
        ("", "--local", "switch", None, "", "use the local cloud"),
        ("", "--debug", "switch", False, "", "show a traceback for every error"),
        ("", "--version", "switch", False, "", "show the version"),
        ("-h", "--help", "help", None, "", "show this help"),
    ),
}

_EXAMPLES = """\
examples:
  spot_connect -n vm1 -p t3.micro -a True    launch vm1 and open a prompt on it
  spot_connect vm1                           come back to its prompt
  spot_connect -n vm1 -u data.csv -s job.sh  upload a file and run a script
  spot_connect -n vm1 -c 'nvidia-smi'        run one command, over the same line again and again
  spot_connect -n vm1 -t True                terminate it
  spot_connect --local -n vm1 -p t3.micro    rehearse on this computer, without AWS
"""
_COLUMN = 34


def help_text() -> str:
    """The help of the main command."""
    parts = [
        f"usage: {PROGRAM} [NAME] [flags]\n       {PROGRAM} VERB ...\n",
        "Launch an AWS EC2 spot instance, or come back to it, by name. NAME alone is -n NAME -a True.\n",
        "verbs (spot_connect VERB --help):\n" + _columns((f"  {verb}", text) for verb, text in VERBS.items()),
    ]
    for group, flags in FLAGS.items():
        rows = ((_words(short, long, metavar), meaning) for short, long, _, _, metavar, meaning in flags)
        parts.append(f"{group}:\n{_columns(rows)}")
    return "\n".join((*parts, "BOOL is one of True False yes no 1 0.\n", _EXAMPLES))


def _words(short: str, long: str, metavar: str) -> str:
    return f"  {short + ', ' if short else '    '}{long} {metavar}".rstrip()


def _columns(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(_row(left, right) for left, right in rows)


def _row(left: str, right: str) -> str:
    gap = "" if len(left) < _COLUMN else f"\n{'':<{_COLUMN}}"
    return f"{left:<{_COLUMN}}{gap} {right}\n"
