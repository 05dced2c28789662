"""Text of the user data with which a machine joins a run by itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from spot_connect.core.scripts import mount_efs

PROGRAMS = "~/efs/.spot-connect/programs"
"""Where our program lies on the file system of a run."""

_TARGET = "MOUNT_TARGET"
_IDLE_SECONDS = 1800
_LAST_RESORT = """\
shutdown -h +{minutes}
(
sleep {idle}
compgen -G "/home/*/.spot-connect/member-*" || compgen -G "$HOME/.spot-connect/member-*" || shutdown -h now
) >/dev/null 2>&1 </dev/null &
"""
_JOIN = """\
#!/bin/bash
{last_resort}user={user}
home=$(getent passwd "$user" | cut -d: -f6)
sudo -u "$user" HOME="${{home:-$HOME}}" bash -c "$(cat <<'JOIN'
cd
imds=${{AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}}
imds=${{imds%/}}/latest
token=$(curl -sf -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/api/token")
zone=$(curl -sf -m 5 -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/placement/availability-zone")
case $zone in
{targets}esac
{mount}[ $? = 0 ] || exit
new=~/.spot-connect/new
(umask 077 && mkdir -p ~/.spot-connect && cp {programs}/{program} $new) || exit
if ! printf '%s  %s\n' {sha256} $new | sha256sum -c --status; then
    echo {programs}/{program} is not run: its SHA-256 is not that of the program that the run began with >&2
    rm $new
    exit 1
fi
mv $new ~/.spot-connect/{program} && exec python3 ~/.spot-connect/{program} jobs-join <<< {asked}
JOIN
)" </dev/null
"""


def last_resort(hours: float) -> str:
    """Bash by which a machine ends itself after so long, or half an hour after its boot if it has joined no run.

    Whoever launched it may not have lived to give it work.
    """
    return _LAST_RESORT.format(minutes=max(1, round(60 * hours)), idle=_IDLE_SECONDS)


def join_at_boot(
    username: str,
    mount_targets: Mapping[str, str],
    file_system_id: str,
    program: str,
    sha256: str,
    run_id: str,
    hours: float,
    *,
    must_encrypt: bool = False,
) -> str:
    """User data: mount the file system, and work for the run.

    Args:
        username: who the run belongs to on the machine.
        mount_targets: by zone, the address of a mount target. In other zones the first one is used.
        file_system_id: what they lead to.
        program: name of our program's file on the file system, where others may write.
        sha256: of that file; another one is not run.
        run_id: the run.
        hours: after which the machine ends itself.
        must_encrypt: mount it encrypted in transit, or not at all.

    Example:
        >>> sha256 = 64 * "0"
        >>> "jobs-join" in join_at_boot("ec2-user", {"us-east-1a": "10.0.0.5"}, "fs-1", "agent.zip", sha256, "r1", 24)
        True
    """
    nearest = {**mount_targets, "*": next(iter(mount_targets.values()))}
    targets = "".join(f"{zone}) target={shlex.quote(address)} ;;\n" for zone, address in nearest.items())
    script = mount_efs(_TARGET, file_system_id=file_system_id, must_encrypt=must_encrypt, in_user_data=True)
    return _JOIN.format(
        last_resort=last_resort(hours),
        user=shlex.quote(username),
        targets=targets,
        mount=script.replace(_TARGET, "$target"),
        programs=PROGRAMS,
        program=shlex.quote(program),
        sha256=sha256,
        asked=shlex.quote(json.dumps({"run": run_id})),
    )
