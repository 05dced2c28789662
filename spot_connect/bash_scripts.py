"""Text of bash scripts for user data and for ``SpotInstance.run``.

Each function appends to ``script`` and returns the whole text; ``delimiter`` ends what was appended. Every value is
quoted for the shell, and one with several lines is refused.

Example:
    >>> from spot_connect import bash_scripts
    >>> text = bash_scripts.init_userdata_script()
    >>> text = bash_scripts.shutdown_instance_after_command("python3 job.py", "job.log", "ec2-user", script=text)
    >>> vm = SpotInstance("vm1", profile="t3.small", user_data=text)  # doctest: +SKIP
"""

from __future__ import annotations

import base64
import shlex

from spot_connect.core import packages, scripts
from spot_connect.core.errors import UsageError
from spot_connect.core.repositories import Repository, repository
from spot_connect.core.requests import USER_DATA_LIMIT
from spot_connect.core.scripts import one_line, remote_path

__all__ = [
    "cancel_fleet_after_command",
    "compose_mount_script",
    "compose_s3_sync_script",
    "init_userdata_script",
    "run_command_as_user",
    "script_to_userdata",
    "shutdown_instance_after_command",
    "update_git_repo",
]


def init_userdata_script() -> str:
    r"""The first line of a script for user data.

    cloud-init runs it once, as root, at the first boot; its output is in ``/var/log/cloud-init-output.log``, which
    ``spot_connect logs NAME --cloud-init`` shows.

    Example:
        >>> init_userdata_script()
        '#!/bin/bash\n'
    """
    return "#!/bin/bash\n"


def script_to_userdata(script: str) -> str:
    r"""``script`` in base64, as EC2 itself keeps user data.

    ``user_data=`` and ``-ud`` take it in this form or as plain text; boto3's ``run_instances`` wants the plain text.

    Raises:
        UsageError: it has more than the 16,384 bytes that EC2 takes.

    Example:
        >>> script_to_userdata("#!/bin/bash\n")
        'IyEvYmluL2Jhc2gK'
    """
    data = script.encode()
    if len(data) > USER_DATA_LIMIT:
        raise UsageError(
            "cannot make user data of the script",
            f"it has {len(data):,} bytes, EC2 takes {USER_DATA_LIMIT:,}",
            "Upload it instead, or let a short script fetch it.",
        )
    return base64.b64encode(data).decode()


def run_command_as_user(command: str, user: str, delimiter: str = "\n") -> str:
    r"""A line that runs ``command`` as ``user``, in that user's home and with that user's environment.

    Raises:
        UsageError: ``command`` is empty, or ``user`` is no user name.

    Example:
        >>> run_command_as_user("python3 job.py", "ec2-user")
        "sudo -H -u ec2-user bash -lc 'cd; python3 job.py'\n"
    """
    return _as_user(command, user) + delimiter


def compose_s3_sync_script(
    source: str,
    dest: str,
    instance_path: str,
    logfile: str = "s3_sync_log",
    delimiter: str = "\n",
    script: str = "",
) -> str:
    """Sync ``source`` to ``dest`` with the AWS CLI, in the directory ``instance_path``, which is made when missing.

    The AWS CLI is installed where the image lacks it.

    Args:
        source: ``s3://bucket/prefix``, or a path on the instance; a relative one is below ``instance_path``.
        dest: the other side.
        instance_path: the directory in which it runs.
        logfile: gets the words of the sync and its status, in that directory.
        delimiter: ends what is appended.
        script: what comes before.

    Raises:
        UsageError: a value is empty or has several lines, or neither side is in a bucket.

    Example:
        >>> print(compose_s3_sync_script("s3://data", ".", "/home/ec2-user/efs").splitlines()[1])
        mkdir -p /home/ec2-user/efs && cd /home/ec2-user/efs || exit 1
    """
    if not any(side.strip().startswith("s3://") for side in (source, dest)):
        raise UsageError(f"cannot sync {source!r} to {dest!r}", "neither is in a bucket", "Write s3://bucket/prefix.")
    where = remote_path(one_line("a directory", instance_path))
    log = _path("a log file", logfile)
    sides = f"{_path('a source', source)} {_path('a destination', dest)}"
    text = f"""(
mkdir -p {where} && cd {where} || exit 1
{packages.aws_cli(in_user_data=True)}spot_aws_cli 2>>{log} || echo "cannot copy: there is no AWS CLI" >>{log}
aws s3 sync {sides} --no-progress >>{log} 2>&1 && status=0 || status=$?
echo "s3 sync ended with status $status" >>{log}
exit $status
)"""
    return script + text + delimiter


def update_git_repo(
    repo_path: str,
    branch: str | None = None,
    repo_link: str | None = None,
    delimiter: str = "\n",
    script: str = "",
) -> str:
    """Bring the clone in ``repo_path`` up to date; with ``repo_link`` it is cloned where there is none.

    Scripts and user data can be read by every program on the instance, and user data by everybody in the account who
    may describe it. A link with a login in it is therefore refused here; :meth:`SpotInstance.clone_repo` takes one.

    Raises:
        UsageError: a value is empty or has several lines, or begins with a hyphen; or there is a login in the link.
    """
    where = _path("a directory", repo_path)
    path = repo_path if repo_path[0] in "/~" else f"./{repo_path}"
    if branch is not None:
        _no_option("a branch", branch)
    origin = None if repo_link is None else _without_login(repo_link)
    update = scripts.update_repo(path, branch, origin, in_user_data=True)
    first = ""
    if origin:
        clone = scripts.clone_repo(origin, path, in_user_data=True)
        first = f"if ! [ -e {where}/.git ]; then\n{clone}fi\n"
    # Root may update what belongs to the login user, which git otherwise refuses.
    safe = "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'"
    return f"{script}(\n{safe}\n{first}{update}){delimiter}"


def compose_mount_script(
    filesystem_dns: str, base: str = "/home/ec2-user", delimiter: str = "\n", script: str = ""
) -> str:
    """Mount an elastic file system at ``<base>/efs``; nothing is done where it is mounted already.

    The NFS client is installed where the image lacks it, and whoever owns ``base`` may write. The status is 0 when
    it is mounted.

    Args:
        filesystem_dns: DNS name or address of a mount target.
        base: a directory, usually the login user's home.
        delimiter: ends what is appended.
        script: what comes before.

    Raises:
        UsageError: a value is empty or has several lines.
    """
    directory = f"{one_line('a directory', base).rstrip('/')}/efs"
    return script + scripts.mount_efs(filesystem_dns, directory, in_user_data=True).rstrip("\n") + delimiter


def shutdown_instance_after_command(
    command: str, command_log: str = "", run_as_user: str = "", delimiter: str = "\n", script: str = ""
) -> str:
    """Run ``command``, then shut the instance down, whatever came of it; an instance of ours is terminated by that.

    Args:
        command: one or several lines of bash.
        command_log: gets its output and its status; it should lie on a file system that outlives the instance.
        run_as_user: who runs it; root when empty and used as user data.
        delimiter: ends what is appended.
        script: what comes before.

    Raises:
        UsageError: ``command`` is empty, or another value has several lines.

    Example:
        >>> print(shutdown_instance_after_command("make", delimiter=""))
        bash -c make && status=0 || status=$?; sudo shutdown -h now
    """
    return f"{script}{_logged(command, command_log, run_as_user)}; sudo shutdown -h now{delimiter}"


_CANCEL = """(
{aws_cli}spot_aws_cli || {{ echo "cannot cancel the fleet: there is no AWS CLI" >&2; exit 1; }}
imds=${{AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}}
imds=${{imds%/}}/latest
token=$(curl -sf -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$imds/api/token")
instance=$(curl -sf -m 5 -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/instance-id")
tag() {{
  aws ec2 describe-tags --region {region} --output text --query 'Tags[0].Value' \\
    --filters "Name=resource-id,Values=$instance" "Name=key,Values=$1"
}}
fleet=$(tag aws:ec2:fleet-id)
old=$(tag aws:ec2spot:fleet-request-id)
if [ -n "$fleet" ] && [ "$fleet" != None ]; then
  aws ec2 delete-fleets --region {region} --fleet-ids "$fleet" --terminate-instances
elif [ -n "$old" ] && [ "$old" != None ]; then
  aws ec2 cancel-spot-fleet-requests --region {region} --spot-fleet-request-ids "$old" --terminate-instances
else
  echo "cannot cancel the fleet: $instance belongs to none, or its role may not read its tags" >&2
  exit 1
fi
)"""


def cancel_fleet_after_command(
    command: str,
    region: str,
    command_log: str = "",
    run_as_user: str = "",
    delimiter: str = "\n",
    script: str = "",
) -> str:
    """Run ``command``, then cancel the fleet that the instance belongs to and end **all its instances**.

    The fleet is found by the tag that EC2 puts on its instances. The instance needs an instance profile that allows
    ``ec2:DescribeTags``, ``ec2:DeleteFleets`` and ``ec2:TerminateInstances``. The AWS CLI is installed where the image
    lacks it.

    Args:
        command: one or several lines of bash.
        region: the Region of the fleet.
        command_log: gets its output and its status.
        run_as_user: who runs it; root when empty and used as user data.
        delimiter: ends what is appended.
        script: what comes before.

    Raises:
        UsageError: ``command`` is empty, or another value has several lines.
    """
    there = shlex.quote(one_line("a Region", region))
    cancel = _CANCEL.format(region=there, aws_cli=packages.aws_cli(in_user_data=True))
    return f"{script}{_logged(command, command_log, run_as_user)}; {cancel}{delimiter}"


def _as_user(command: str, user: str) -> str:
    name = _no_option("a user", user)
    return f"sudo -H -u {shlex.quote(name)} bash -lc {shlex.quote(f'cd; {_code(command)}')}"


def _logged(command: str, log: str, user: str) -> str:
    # A shell of its own, so that an `exit` in the command does not skip what comes after it.
    text = _as_user(command, user) if user else f"bash -c {shlex.quote(_code(command))}"
    # What comes after must be reached under `set -e` too: an instance that stays costs money.
    kept = "&& status=0 || status=$?"
    if not log:
        return f"{text} {kept}"
    path = _path("a log file", log)
    return f'{text} >>{path} 2>&1 {kept}; echo "ended with status $status" >>{path}'


def _code(command: str) -> str:
    if not command.strip() or "\0" in command:
        raise UsageError("there is no command to run", f"given was {command!r}")
    return command


def _path(what: str, value: str) -> str:
    """``value`` quoted, and never an option."""
    one_line(what, value)
    return remote_path(value if value[0] in "/~" or value.startswith("s3://") else f"./{value}")


def _without_login(link: str) -> Repository:
    found = repository(_no_option("a repository", link))
    if found.has_login:
        raise UsageError(
            f"cannot write {link} into a script",
            "whoever reads the script reads the login in it",
            "Leave out what is before the @, or clone with SpotInstance.clone_repo, which keeps it out of sight.",
        )
    return found


def _no_option(what: str, value: str) -> str:
    if one_line(what, value).startswith("-"):
        raise UsageError(f"{value!r} cannot be {what}", "it begins with a hyphen")
    return value
