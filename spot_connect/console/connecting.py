"""Launch or come back: upload, run, and leave a prompt."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from spot_connect.console import ended
from spot_connect.console.commanding import run_last
from spot_connect.console.runs import followed, resume_named
from spot_connect.core.downloads import require_names
from spot_connect.core.errors import RunInterrupted, ScriptFailed, UsageError
from spot_connect.core.runs import Limits
from spot_connect.launching.realm import choose_realm
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import confirmed, say
from spot_connect.spotted import SpotInstance
from spot_connect.store.given import existing, existing_files
from spot_connect.store.where import local_is_chosen


def connect(arguments: argparse.Namespace) -> int:
    """Do what the flags of the main command say; the exit status."""
    name = _name(arguments)
    if arguments.terminate:
        from spot_connect.console.ending import terminate

        return terminate([name], arguments.region, local=arguments.use_local)
    _check_paths(arguments)
    _check_lasting(arguments)
    screen = Screen(local=local_is_chosen(arguments.use_local))
    try:
        with ended.by_exception():
            machine = _machine(arguments, name, screen)
    except RunInterrupted as interrupted:
        if not confirmed(f"{interrupted.what}: {interrupted.said}. Go on with its last run on another machine?"):
            raise
        return resume_named(name, arguments)
    with machine:
        if not _wants_command_alone(arguments, machine):
            screen.note(f"connected to {machine.name} ({machine.id}, {machine.region}) at {machine.address}")
        directory = _synced(arguments, machine) if arguments.sync else ""
        if arguments.upload:
            machine.upload(list(arguments.upload), arguments.remotepath, delete=arguments.delete)
        return _run_and_prompt(arguments, machine, directory, screen)


def _synced(arguments: argparse.Namespace, machine: SpotInstance) -> str:
    """The directory there, up to date: on the file system where another machine may go on with scripts."""
    lasts = arguments.script and machine.has_filesystem
    place = f"efs/{Path(arguments.sync).resolve().name}" if lasts else ""
    return machine.sync(arguments.sync, place, delete=arguments.delete)


def _run_and_prompt(arguments: argparse.Namespace, machine: SpotInstance, directory: str, screen: Screen) -> int:
    status = 0
    if arguments.script and (arguments.detach or arguments.resume):
        status = _begin(arguments, machine, directory, screen)
    elif arguments.script:
        try:
            machine.run(list(arguments.script), directory=directory)
        except ScriptFailed as failure:
            if not _wants_prompt(arguments) and not arguments.download:
                raise
            screen.warn(str(failure))
            status = failure.exit_status
    if arguments.command is not None and not status:
        status = run_last(arguments, machine, directory)
    if arguments.download:
        machine.download(list(arguments.download), arguments.localpath, delete=arguments.delete)
    if _wants_prompt(arguments):
        return machine.prompt() or status
    return status


def _begin(arguments: argparse.Namespace, machine: SpotInstance, directory: str, screen: Screen) -> int:
    """Begin a run, and follow it unless it is to be left; the exit status."""
    run = machine.run(
        list(arguments.script),
        detach=True,
        on_interrupt=arguments.on_interrupt,
        on_rebalance=arguments.on_rebalance,
        resume=arguments.resume,
        max_replacements=arguments.max_replacements,
        max_cost=arguments.max_cost,
        fallback=arguments.fallback,
        directory=directory,
    )
    if not arguments.detach:
        return followed(run, screen)
    say(run.id)
    screen.note(f"run {run.id} goes on without you; see `spot_connect logs {shlex.quote(machine.name)} {run.id} -f`")
    return 0


def _wants_prompt(arguments: argparse.Namespace) -> bool:
    if arguments.activeprompt is not None:
        return bool(arguments.activeprompt)
    work = (arguments.sync, arguments.upload, arguments.script, arguments.command, arguments.download)
    return bool(arguments.bare_name) and not any(work)


def _wants_command_alone(arguments: argparse.Namespace, machine: SpotInstance) -> bool:
    """Whether the words of a command on a running machine are all that is to be seen, as with ssh."""
    return arguments.command is not None and not machine.launched


def _name(arguments: argparse.Namespace) -> str:
    given = [name for name in (arguments.bare_name, arguments.name, arguments.instanceid) if name]
    if len(given) != 1:
        raise UsageError(
            "cannot tell which machine is meant" if given else "no machine is named",
            f"given were {', '.join(given)}" if given else "",
            "Give one of NAME, -n NAME or -iid ID.",
        )
    return str(given[0])


def _check_paths(arguments: argparse.Namespace) -> None:
    existing([*arguments.upload, *([arguments.sync] if arguments.sync else ())])
    existing_files(list(arguments.script))
    if arguments.delete and not (arguments.sync or arguments.upload or arguments.download):
        raise UsageError("there is nothing that --delete is for", advice="Name a directory with --sync, -u or -d.")
    if arguments.delete and arguments.download:
        require_names(arguments.download)
    if (arguments.detach or arguments.resume) and not arguments.script:
        raise UsageError("there is nothing to detach or to resume", advice="Name a script with -s.")
    if arguments.detach and arguments.download:
        raise UsageError("there is nothing to download yet from a run that goes on", advice="Leave out -d or --detach.")
    if arguments.detach and arguments.command is not None:
        raise UsageError(
            "a command runs after the scripts, and those that are detached have not ended",
            advice="Leave out --detach, or give -c in a command of its own.",
        )
    Limits(arguments.resume, arguments.max_replacements, arguments.max_cost, arguments.fallback)
    if arguments.userdata:
        existing_files(arguments.userdata)


def _check_lasting(arguments: argparse.Namespace) -> None:
    """Refuse now what would be refused on the machine, when it has been launched and costs money."""
    if not (arguments.resume and arguments.profile) or arguments.filesystem:
        return
    profile = choose_realm(arguments.use_local).profiles.get(arguments.profile, arguments.region)
    if not (profile.efs_mount and arguments.efsmount):
        raise UsageError(
            "a run cannot be resumed on another machine without a file system",
            advice="Mount one with -f, or leave -p out if the machine runs and has one.",
        )


def _user_data(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        advice = "EC2 takes a script, or other text that cloud-init reads."
        raise UsageError(f"the user data in {path} is not text", "it is not UTF-8", advice) from error


def _machine(arguments: argparse.Namespace, name: str, screen: Screen) -> SpotInstance:
    user_data = _user_data(Path(arguments.userdata)) if arguments.userdata else ""
    return SpotInstance(
        name,
        instance_id=bool(arguments.instanceid),
        profile=arguments.profile or None,
        key_pair=arguments.keypair,
        kp_dir=arguments.keydir,
        security_group=arguments.securitygroup,
        instance_profile=arguments.instanceprofile,
        efs_mount=False if arguments.efsmount else None,
        firewall=arguments.firewall,
        image_id=arguments.imageid,
        price=arguments.price,
        region=arguments.region,
        username=arguments.username,
        filesystem=arguments.filesystem,
        new_mount=arguments.newmount,
        monitoring=arguments.monitoring,
        instance_type=arguments.instancetype,
        user_data=user_data,
        on_interrupt="" if arguments.detach or arguments.resume else arguments.on_interrupt,
        on_rebalance="" if arguments.detach or arguments.resume else arguments.on_rebalance,
        strict_host_key=arguments.strict_host_key,
        efs_tls=arguments.efs_tls,
        subnet=arguments.subnet,
        tags=arguments.tag,
        local=arguments.use_local,
        reporter=screen,
    )
