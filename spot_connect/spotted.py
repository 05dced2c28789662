"""One spot instance by name, for scripts and notebooks."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, overload

from spot_connect.core.errors import RunNotFound, ScriptFailed, UsageError
from spot_connect.core.models import Instance
from spot_connect.core.names import FILE_SYSTEM_TAG, file_system_token
from spot_connect.core.reporting import Reporter
from spot_connect.core.repositories import Repository, repository
from spot_connect.core.runs import Limits, RunSpec, Script
from spot_connect.core.scripts import clone_repo, update_repo
from spot_connect.core.values import dollars
from spot_connect.core.values import instance_id as checked_id
from spot_connect.launching import connecting, ending, finding, mounting, replacing
from spot_connect.launching.realm import choose_realm
from spot_connect.launching.requesting import launch_request
from spot_connect.runs import run as detached
from spot_connect.runs.attached import run_attached
from spot_connect.runs.host import Host
from spot_connect.runs.live import first_line, run_live
from spot_connect.runs.run import Run, Shown
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import to_stderr, to_stdout
from spot_connect.ssh import command, shell
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.files import is_dir
from spot_connect.store.given import Paths, as_paths, existing, existing_files
from spot_connect.store.where import local_is_chosen
from spot_connect.transfers.download import download
from spot_connect.transfers.upload import sync, upload


class SpotInstance:
    r"""A spot instance that answers to a name: the one that runs, or a new one.

    The same name brings back the same machine, from any computer and without a profile. After it has been
    terminated, the name with a profile launches again.

    Args:
        name: the machine's name, or its EC2 id when ``instance_id`` is true.
        instance_id: ``name`` is the id of a running instance; nothing is launched.
        profile: settings for a launch: the name of a profile (see :func:`spot_connect.sutils.load_profiles`)
            or a mapping like one. Without it only a running machine will do.
        key_pair: use this key pair instead of ``KP-<name>``.
        kp_dir: directory of private keys; see :func:`spot_connect.sutils.get_default_kp_dir`.
        security_group: use this group, by name or id, instead of ``SG-<name>``. Its rules are left alone.
        instance_profile: name or ARN of an IAM instance profile; launch only.
        firewall: rules like ``"tcp,22,22,203.0.113.7/32"``, one or several. Without one about port 22, SSH is
            open to this computer's own address alone.
        image_id: AMI for a launch, instead of the newest of the profile's kind.
        price: maximum US dollars per hour. You are billed the current spot price, never this maximum.
        region: AWS Region, instead of the profile's.
        efs_mount: mount a file system at ``~/efs``; the one named like the instance when ``filesystem`` is not
            given. ``None`` never mounts, whatever the profile says.
        scripts: paths of scripts to run once connected.
        username: login name, instead of the one that goes with the image.
        filesystem: creation token of the elastic file system to mount at ``~/efs``; made when it is missing. It
            outlives the instance, and costs money until you delete it.
        new_mount: make a mount target in the instance's zone even if the file system has one already.
        monitoring: detailed CloudWatch monitoring; it costs money; launch only.
        instance_type: EC2 type, instead of the profile's.
        user_data: text of a script that runs as root at first boot, up to 16 KB.
        on_interrupt: bash command that runs on the instance when AWS announces that it takes it away. It has three
            quarters of the time that is left, which ``SPOT_CONNECT_SECONDS_LEFT`` tells.
        on_rebalance: the same for the recommendation to rebalance, which may come earlier.
        strict_host_key: accept no host key that the instance's console does not show, and wait for that, a quarter of
            an hour at the most; by default as ``SPOT_CONNECT_STRICT_HOST_KEY`` says. Without it a key that the console
            does not show yet is accepted, and compared later: if it is another, the line is dropped at once.
        efs_tls: ``"require"`` refuses to mount a file system that cannot be encrypted in transit, ``"prefer"`` says so
            and mounts it; by default as ``SPOT_CONNECT_EFS_TLS`` says, or else ``"prefer"``.
        subnet: id of the subnet to launch in, instead of the best one of each zone; launch only.
        tags: tags, as a mapping or as texts like ``"team=ml"``, for all that the launch makes, beside those that
            ``SPOT_CONNECT_TAGS`` names. A machine that takes the place of this one gets them, too.
        again: when nothing runs under that name, launch another machine like the one that had it last, with the same
            file system; EC2 remembers it for an hour or so.
        local: use the local cloud; by default as ``SPOT_CONNECT_LOCAL`` says.
        reporter: hears of progress; by default it is written to standard error.

    Raises:
        UsageError: an argument is wrong; nothing was called.
        InstanceNotFound: nothing runs under that name and no profile was given.
        AwsError, SshError: AWS refused, or the machine cannot be reached.

    Example:
        >>> vm = SpotInstance("VM1", profile="t3.small")  # doctest: +SKIP
        >>> vm.run("uname -m", cmd=True, return_output=True)  # doctest: +SKIP
        'x86_64\n'
    """

    def __init__(
        self,
        name: str,
        instance_id: bool = False,
        profile: str | Mapping[str, Any] | None = None,
        key_pair: str | None = None,
        kp_dir: str | Path | None = None,
        security_group: str | None = None,
        instance_profile: str = "",
        efs_mount: bool | None = False,
        firewall: object = None,
        image_id: str | None = None,
        price: str | float | Decimal | None = None,
        region: str | None = None,
        scripts: Paths | None = None,
        username: str | None = None,
        filesystem: str | None = None,
        new_mount: bool = False,
        monitoring: bool = False,
        instance_type: str | None = None,
        *,
        user_data: str = "",
        on_interrupt: str = "",
        on_rebalance: str = "",
        strict_host_key: bool | None = None,
        efs_tls: str | None = None,
        subnet: str | None = None,
        tags: Mapping[str, str] | Sequence[str] | None = None,
        again: bool = False,
        local: bool | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self._reporter: Reporter = reporter or Screen(local=local_is_chosen(local))
        self._realm = choose_realm(local, self._reporter, strict_host_key=strict_host_key, efs_tls=efs_tls)
        self._request = launch_request(
            self._realm,
            checked_id(name) if instance_id else name,
            profile=profile,
            region=region,
            instance_type=instance_type,
            image_id=image_id,
            price=price,
            username=username,
            key_pair=key_pair,
            security_group=security_group,
            firewall=firewall,
            instance_profile=instance_profile,
            monitoring=monitoring,
            user_data=user_data,
            subnet=subnet,
            tags=tags,
        )
        first_scripts = existing_files(scripts or ())
        token = file_system_token(filesystem or name) if self._wants_mount(filesystem, efs_mount) else ""
        self._request = replace(self._request, filesystem=token)
        self._keys = self._realm.keys(str(kp_dir or ""), self._reporter)
        if self._request.profile is not None:
            self._keys.check_writable()
        reach = replacing.reach_again if again else connecting.reach_id if instance_id else connecting.reach
        reached = reach(self._realm, self._request, self._keys, self._reporter)
        self.name: str = reached.instance.name
        self.launched: bool = reached.launched
        self.kp_dir: str = str(self._keys.directory)
        self.filesystem: str | None = token or None
        self.filesystem_dns: str | None = None
        self.mount_target: Mapping[str, Any] | None = None
        self._host = Host(self._realm, reached.instance, reached.connection, self._request, self._keys, self._reporter)
        self._make_ready({"on_interrupt": on_interrupt, "on_rebalance": on_rebalance}, new_target=new_mount)
        if first_scripts:
            self.run(list(first_scripts))

    def __repr__(self) -> str:
        return f"SpotInstance({self.name!r}, {self.seen.id}, {self.state})"

    @property
    def connection(self) -> Connection:
        """The SSH line, opened again when it broke while idle."""
        return self._host.connection

    @property
    def seen(self) -> Instance:
        """The instance as AWS told it last."""
        return self._host.instance

    @seen.setter
    def seen(self, now: Instance) -> None:
        self._host.instance = now

    @property
    def reporter(self) -> Reporter:
        """Hears of progress."""
        return self._reporter

    @property
    def instance(self) -> Mapping[str, Any]:
        """The instance as EC2 described it last: ``InstanceId``, ``State``, ``PublicIpAddress`` and so on."""
        return self.seen.raw

    @property
    def id(self) -> str:
        """The EC2 instance id."""
        return self.seen.id

    @property
    def state(self) -> str:
        """The state EC2 told last: ``running``, ``terminated`` and so on; see :meth:`refresh_instance`."""
        return self.seen.state

    @property
    def region(self) -> str:
        """The Region it runs in."""
        return self.seen.region

    @property
    def profile(self) -> str:
        """The name of the profile it was launched with."""
        return self.seen.profile

    @property
    def has_filesystem(self) -> bool:
        """Whether it has a file system that outlives it, on which its runs are kept."""
        return bool(self.filesystem) or FILE_SYSTEM_TAG in self.seen.tags

    @property
    def address(self) -> str:
        """Where its SSH server listens."""
        return str(self.seen.address or "")

    def upload(self, files: Paths, remotepath: str = ".", verbose: bool = False, *, delete: bool = False) -> None:
        """Copy files and directories to ``remotepath`` on the instance, which is made when missing.

        A relative ``remotepath`` starts at the home directory. Only what has changed moves. A file appears under its
        name when it is complete; a transfer that broke goes on where it was. With ``delete=True`` uploaded
        directories lose what is not in those here.

        Raises:
            UsageError: one of the files does not exist here; nothing was copied.
            TransferFailed: the instance could not take one.

        Example:
            >>> vm.upload(["data.csv", "model"], "~/work")  # doctest: +SKIP
        """
        sources = existing(files)
        arrived = upload(self.connection, sources, remotepath, reporter=self._reporter, delete=delete)
        if verbose:
            for path in arrived:
                self._reporter.note(f"uploaded {path}")

    def sync(self, directory: str | Path = ".", remotepath: str = "", *, delete: bool = False) -> str:
        """Bring ``remotepath`` on the instance up to date with a directory here; its path there.

        What git would ignore is left out: ``.git``, what ``.gitignore`` files say, and what ``.spotignore`` files
        beside them change (``!data.csv`` takes a file along that git ignores). Without a ``remotepath`` it is a
        directory of the same name in the home directory. With ``delete=True`` it loses what is neither here nor
        ignored.

        Raises:
            UsageError: there is no such directory here; nothing was copied.
            TransferFailed: the instance could not take a file.

        Example:
            >>> vm.sync(".")  # doctest: +SKIP
            '/home/ec2-user/project'
        """
        (folder,) = existing(directory)
        return sync(self.connection, folder, remotepath, reporter=self._reporter, delete=delete)

    def download(self, files: str | Sequence[str], localpath: Paths = ".", *, delete: bool = False) -> list[str]:
        """Copy files and directories from the instance; the paths they have here.

        ``localpath`` is a folder, or a list of paths one-to-one with ``files``. Only what has changed moves. With
        ``delete=True`` downloaded directories lose what is not in those there, but for what git ignores here.

        Raises:
            UsageError: the two lists differ in length; or ``delete`` and a place without a name of its own, as ``~``.
            TransferFailed: one of the files is not there, and nothing was written; or the instance lists names that
                are refused, as they lead elsewhere, and all else has arrived.

        Example:
            >>> vm.download("results.csv", "out")  # doctest: +SKIP
            ['out/results.csv']
        """
        sources = [files] if isinstance(files, str) else list(files)
        one_folder = isinstance(localpath, str | Path)
        targets = Path(str(localpath)) if one_folder else [Path(each) for each in as_paths(localpath)]
        if not one_folder and len(as_paths(localpath)) != len(sources):
            raise UsageError(
                f"cannot download {len(sources)} files to {len(as_paths(localpath))} paths",
                advice="Give one folder, or one path for each file.",
            )
        arrived = download(self.connection, sources, targets, reporter=self._reporter, delete=delete)
        return [str(path) for path in arrived]

    @overload
    def run(
        self,
        scripts: Paths,
        cmd: bool = False,
        return_output: bool = False,
        time_it: bool = False,
        *,
        directory: str = "",
    ) -> str | None: ...

    @overload
    def run(
        self,
        scripts: Paths,
        cmd: bool = False,
        *,
        detach: Literal[True],
        on_interrupt: str = "",
        on_rebalance: str = "",
        environment: Mapping[str, str] | None = None,
        resume: bool = False,
        max_replacements: int | None = None,
        max_cost: str | float | Decimal | None = None,
        fallback: str = "",
        directory: str = "",
    ) -> Run: ...

    def run(
        self,
        scripts: Paths,
        cmd: bool = False,
        return_output: bool = False,
        time_it: bool = False,
        *,
        detach: bool = False,
        on_interrupt: str = "",
        on_rebalance: str = "",
        environment: Mapping[str, str] | None = None,
        resume: bool = False,
        max_replacements: int | None = None,
        max_cost: str | float | Decimal | None = None,
        fallback: str = "",
        directory: str = "",
    ) -> str | Run | None:
        r"""Run scripts, or commands with ``cmd=True``, one after the other.

        They begin in the home directory, or in ``directory``, which is absolute or below it. Output is shown as it
        comes, or returned: what they wrote to standard output, as text. A command may have several lines; a change of
        directory holds for those that follow.

        A script goes on when the line breaks, and is heard again as soon as the machine answers. When this process
        has ended meanwhile, the next call with the same scripts comes back to what they did, instead of beginning
        anew. Commands end with the line.

        With ``detach=True`` they are only begun: the :class:`~spot_connect.runs.run.Run` that is returned goes on
        without this computer. Its log and its exit status are kept on the instance, and on the file system where one
        is mounted. ``on_interrupt`` and ``on_rebalance`` are commands for this run, as the constructor has them for
        the instance; ``environment`` are variables for its scripts. With ``resume=True``, while somebody follows
        the run or waits for it, it goes on elsewhere when AWS takes the machine away: another machine gets the name,
        the same file system (one is needed) and the run, ``max_replacements`` times at the most, and not once it has
        cost ``max_cost`` US dollars; ``fallback="on-demand"`` launches at the full price when two minutes have
        brought no spot capacity. A ``directory`` that is not on the file system is not there on the next machine.

        Raises:
            ScriptFailed: one ended with a status other than 0; those after it were not run.
            UsageError: a script does not exist here, or an argument is for ``detach=True`` alone; nothing was run.

        Example:
            >>> vm.run("cd efs\n python job.py", cmd=True, return_output=True)  # doctest: +SKIP
            'done\n'
        """
        if detach:
            given = self._scripts(scripts, is_command=cmd)
            cost = None if max_cost is None else dollars(str(max_cost))
            limits = Limits(resume, max_replacements, cost, fallback)
            spec = RunSpec(given, on_interrupt, on_rebalance, environment or {}, limits, directory)
            self._check_lasting(spec)
            return detached.start(self._host, spec, self._reporter)
        _refuse_unless_detached(
            on_interrupt=on_interrupt,
            on_rebalance=on_rebalance,
            environment=environment,
            resume=resume,
            max_replacements=max_replacements,
            max_cost=max_cost,
            fallback=fallback,
        )
        started = time.perf_counter()
        if cmd:
            texts, shown = map(str, as_paths(scripts)), None if return_output else to_stdout()
            output = run_live(
                *(self.connection, self.name, texts), on_stdout=shown, on_stderr=to_stderr(), directory=directory
            )
        else:
            output = self._run_scripts(scripts, directory, capture=return_output)
        if time_it:
            self._reporter.note(f"took {time.perf_counter() - started:.1f} s")
        return _text(output) if return_output else None

    def runs(self) -> list[Run]:
        """The detached runs of this name, oldest first, those of machines that had the name before too.

        They are known to the instance, and to the file system where one is mounted.
        """
        return [Run(self._host, record.id, self._reporter) for record in detached.records(self._host)]

    def find_run(self, run_id: str = "") -> Run:
        """The run with that id; without one, the newest.

        Raises:
            RunNotFound: there is none.
        """
        known = detached.records(self._host, run_id)
        if not known:
            what = f"{self.name} knows no run {run_id}" if run_id else f"nothing was run detached on {self.name}"
            raise RunNotFound(what, advice=f"See `spot_connect runs {shlex.quote(self.name)}`.")
        return Run(self._host, known[-1].id, self._reporter)

    def resume_run(self, run_id: str = "") -> Run:
        """Go on with a run that was interrupted or lost, the newest such one unless named; it is under way then.

        Raises:
            RunNotFound: there is none.
        """
        known = [one for one in detached.records(self._host, run_id) if run_id or not one.has_ended]
        if not known:
            raise RunNotFound(
                f"{self.name} has no run to go on with", advice=f"See `spot_connect runs {shlex.quote(self.name)}`."
            )
        return self._host.resume(known[-1])

    def clone_repo(self, repo_link: str, directory: str) -> None:
        """Clone a git repository into ``directory`` on the instance; git is installed where it is missing.

        A login in an HTTP link (``https://user:token@host/...``) is told to that host alone. It is kept nowhere on the
        instance, nor seen among the arguments of its processes; give it again to :meth:`update_repo`.

        Raises:
            ScriptFailed: git failed; its words were shown.
        """
        origin = repository(repo_link)
        what = f"cannot clone {repo_link} to {directory} on {self.name}"
        self._git(what, clone_repo(origin, directory), origin)

    def update_repo(self, path_on_instance: str, branch: str | None = None, repo_link: str | None = None) -> None:
        """Pull the newest commits of a clone, on ``branch`` and from ``repo_link`` where they are given.

        Raises:
            ScriptFailed: git failed, for instance because of local changes; its words were shown.
        """
        origin = repository(repo_link) if repo_link else None
        what = f"cannot update {path_on_instance} on {self.name}"
        self._git(what, update_repo(path_on_instance, branch, origin), origin)

    def dir_exists(self, directory: str) -> bool:
        """Whether ``directory`` exists on the instance and is a directory."""
        return is_dir(self.connection, directory)

    def refresh_instance(self, verbose: bool = True) -> str:
        """Ask EC2 again; the state it tells, ``terminated`` when it no longer knows the instance."""
        self.seen = seen = finding.again(self._realm, [self.seen])[self.id]
        if verbose:
            self._reporter.note(f"{self.name} ({seen.id}) is {seen.state}")
        return seen.state

    def terminate(self) -> None:
        """End the instance and its disk. Its name is free at once; its key pair and group stay."""
        self.connection.close()
        ending.terminate(self._realm, [self.seen])
        self.refresh_instance(verbose=False)

    def prompt(self) -> int:
        """Open an interactive shell on this terminal; the exit status of that shell."""
        return shell.interact(self.connection)

    def close(self) -> None:
        """Close the SSH line; the instance keeps running."""
        self.connection.close()

    def __enter__(self) -> SpotInstance:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is None:
            # What was found out after the last word came over the line is no less true.
            self._host.connection.doubt.check()

    def _wants_mount(self, filesystem: str | None, asked: bool | None) -> bool:
        profile = self._request.profile
        return asked is not None and bool(filesystem or asked or (profile and profile.efs_mount))

    def _make_ready(self, hooks: Mapping[str, str], *, new_target: bool) -> None:
        """Mount what is to be mounted and leave the hooks; the end of a launch, and ended with it by Ctrl-C."""
        try:
            if any(hooks.values()):
                self._host.agent.ask("hooks", hooks)
            if self.filesystem:
                self._mount(self.filesystem, new_target=new_target)
                if self.launched:
                    self._tell_of_waiting_runs()
        except KeyboardInterrupt:
            if self.launched:
                self.terminate()
                self._reporter.note(f"interrupted: {self.name} ({self.id}) was terminated again")
            raise

    def _mount(self, token: str, *, new_target: bool) -> None:
        place = self._realm, self.seen, self.connection
        mounted = mounting.mount(*place, token, self._reporter, new_target=new_target, tags=self._request.tags)
        self.filesystem_dns = mounted.dns
        self.mount_target = mounted.target.raw

    def _git(self, what: str, commands: str, origin: Repository | None) -> None:
        """Run the commands; where they fail, say what they were for, since git itself says why."""
        login = origin.login if origin else b""
        done = command.run_commands(
            *(self.connection, commands),
            stdin=login, on_stdout=to_stdout(), on_stderr=to_stderr(), capture=False,
        )  # fmt: skip
        if done.exit_status:
            raise ScriptFailed(what, done.exit_status)

    def _tell_of_waiting_runs(self) -> None:
        """A file system may hold runs of machines that had the name before."""
        for record in detached.records(self._host) if self._has_runs() else ():
            if not record.has_ended:
                go_on = f"`spot_connect resume {shlex.quote(self.name)}` goes on with it"
                self._reporter.note(f"run {record.id} ({record.title}) has not ended; {go_on}")

    def _has_runs(self) -> bool:
        return is_dir(self.connection, "efs/.spot-connect/runs")

    def _check_lasting(self, spec: RunSpec) -> None:
        if spec.limits.resume and not self.has_filesystem:
            raise UsageError(
                f"{spec.title} cannot be resumed on another machine",
                f"{self.name} has no file system that outlives it",
                "Mount one with -f (filesystem=).",
            )

    def _scripts(self, scripts: Paths, *, is_command: bool) -> tuple[Script, ...]:
        if is_command:
            return tuple(Script(first_line(text), text.encode()) for text in map(str, as_paths(scripts)))
        return tuple(Script(path.name, command.unix_text(path.read_bytes())) for path in existing_files(scripts))

    def _run_scripts(self, scripts: Paths, directory: str, *, capture: bool) -> bytes:
        """Run them so that they outlive the line."""
        kept: list[bytes] = []
        given = self._scripts(scripts, is_command=False)
        if given:
            shown = Shown(kept.append if capture else to_stdout(), to_stderr())
            spec = RunSpec(given, directory=directory)
            ended = run_attached(self._host, spec, self._realm.state, self._reporter, shown)
            if ended.exit_code != 0:
                status = detached.status_of(ended)
                raise ScriptFailed(f"{ended.script} failed on {self.name}", status, _text(b"".join(kept)))
        return b"".join(kept)


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")


def _refuse_unless_detached(**arguments: object) -> None:
    given = [name for name, value in arguments.items() if value]
    if given:
        raise UsageError(
            f"{', '.join(given)} can be given with detach=True alone", advice="Add detach=True, or leave them out."
        )
