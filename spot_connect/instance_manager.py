"""Many spot instances at once, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from spot_connect import sutils
from spot_connect.core.errors import InstanceNotFound, RunNotFound, SpotConnectError, TransferFailed, UsageError
from spot_connect.core.fleets import Fleet
from spot_connect.core.jobs import JobsRecord, Plan, Terms, jobs_record, slots_of
from spot_connect.core.models import Instance
from spot_connect.core.names import file_system_token
from spot_connect.core.reporting import Reporter
from spot_connect.core.s3_transfers import S3Transfer, s3_transfer
from spot_connect.core.scripts import remote_path
from spot_connect.core.side_by_side import side_by_side
from spot_connect.jobs import starting
from spot_connect.jobs.crew import Crew
from spot_connect.jobs.mapping import CALL, MapRun, jobs_for, write_calls
from spot_connect.jobs.planning import Uploads, plan
from spot_connect.jobs.run import JobRun
from spot_connect.jobs.yard import Line, Yard
from spot_connect.launching import doors, ending, finding, fleets, mounting, s3_transfers
from spot_connect.launching.realm import choose_realm
from spot_connect.launching.requesting import launch_request
from spot_connect.runs.watching import endings
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import say
from spot_connect.spotted import SpotInstance

T = TypeVar("T")
Instances = str | SpotInstance | Sequence[str | SpotInstance]

_CORES = "lscpu -p=CORE,SOCKET | grep -v '^#' | sort -u | wc -l; nproc --all"


class InstanceManager:
    """Launches, reaches and ends many instances; they share AWS clients and work side by side.

    Args:
        kp_dir: directory of private keys; see :func:`spot_connect.sutils.get_default_kp_dir`.
        efs: creation token of a file system that every instance launched here mounts.
        local: use the local cloud; by default as ``SPOT_CONNECT_LOCAL`` says.
        reporter: hears of progress; by default it is written to standard error.

    Attributes:
        instances: the instances launched or reached here, by name.
        fleets: the fleets launched here, by id.
        monitor: the instance of :meth:`launch_monitor`, or ``None``.

    Example:
        >>> manager = InstanceManager(efs="data")  # doctest: +SKIP
        >>> manager.launch_instance("vm1", profile="t3.small")  # doctest: +SKIP
    """

    def __init__(
        self,
        kp_dir: str | Path | None = None,
        efs: str | None = None,
        *,
        local: bool | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self.kp_dir = kp_dir
        self.efs = file_system_token(efs) if efs else None
        self.instances: dict[str, SpotInstance] = {}
        self.fleets: dict[str, Fleet] = {}
        self.monitor: SpotInstance | None = None
        self._realm = choose_realm(local)
        self._reporter: Reporter = reporter or Screen(local=self._realm.is_local)

    def launch_instance(self, name: str, *arguments: Any, **settings: Any) -> SpotInstance:
        """Launch or reach one instance; the same arguments as :class:`spot_connect.spotted.SpotInstance`.

        Example:
            >>> manager.launch_instance("vm1", profile="t3.small")  # doctest: +SKIP
        """
        shared = {"local": self._realm.is_local, "reporter": self._reporter}
        if len(arguments) < _POSITION_OF_KP_DIR:
            shared["kp_dir"] = self.kp_dir
        if self.efs and len(arguments) < _POSITION_OF_FILESYSTEM:
            shared["filesystem"] = self.efs
        instance = SpotInstance(name, *arguments, **{**shared, **settings})
        self.instances[name] = instance
        return instance

    def launch_instances(self, names: Iterable[str], **settings: Any) -> list[SpotInstance]:
        """Launch or reach several instances side by side, all with the same settings.

        Raises:
            PartlyFailed: some failed; the others run, and are in :attr:`instances`.
        """
        wanted = {name: name for name in names}
        return list(side_by_side(lambda name: self.launch_instance(name, **settings), wanted).values())

    def quick_launch(self, instance_name: str = "monitor", profile: str = "t2.micro") -> SpotInstance:
        """Launch or reach a small instance."""
        return self.launch_instance(instance_name, profile=profile)

    def launch_monitor(self, instance_name: str = "monitor", profile: str = "t2.micro") -> SpotInstance:
        """Launch or reach the instance that watches the others, and keep it as :attr:`monitor`."""
        self.monitor = self.quick_launch(instance_name, profile)
        return self.monitor

    def terminate_monitor(self) -> None:
        """End the monitor.

        Raises:
            InstanceNotFound: there is none.
        """
        if self.monitor is None:
            raise InstanceNotFound("cannot terminate the monitor", "none was launched here")
        self.terminate(self.monitor)
        self.monitor = None

    def terminate(self, instance_name: Instances) -> None:
        """End one instance or several, in one call a Region.

        Raises:
            InstanceNotFound: one of them does not run; none was ended.
        """
        given = [instance_name] if isinstance(instance_name, str | SpotInstance) else list(instance_name)
        lines = [self.instances.get(each) if isinstance(each, str) else each for each in given]
        here = [line for line in lines if line is not None]
        # One that was not reached here need not be reached to be ended.
        names = [str(each) for each, line in zip(given, lines, strict=True) if line is None]
        others = ending.all_named(self._realm, names, "", self._reporter)
        for line in here:
            line.close()
        ending.terminate(self._realm, [*(line.seen for line in here), *others])
        for line in here:
            self.instances.pop(line.name, None)

    def show_instances(self) -> dict[str, str]:
        """Print and return the state of every instance launched or reached here; one call a Region."""
        found = finding.again(self._realm, [instance.seen for instance in self.instances.values()])
        states = {}
        for name, instance in self.instances.items():
            instance.seen = found[instance.id]
            states[name] = instance.state
        say(str(states))
        return states

    def interruptions(self) -> dict[str, str]:
        """By name, the instances that have ended or are about to, and why, in words; one call a Region.

        AWS tells two minutes before it takes a spot instance away.

        Example:
            >>> manager.interruptions()  # doctest: +SKIP
            {'vm1': 'AWS needs the capacity back'}
        """
        found = endings(self._realm, [instance.seen for instance in self.instances.values()])
        return {name: found[one.id].words for name, one in self.instances.items() if one.id in found}

    def launch_fleet(
        self,
        n_instances: int,
        profile: str | Mapping[str, Any],
        name: str | None = None,
        *,
        types: Sequence[str] = (),
        maintain: bool = False,
        **settings: Any,
    ) -> Fleet:
        """Launch many instances, ``<name>_0`` and so on, in one call, from the pools that can best give them.

        Args:
            n_instances: how many, 1 to 1000. AWS may give fewer; the fleet's ``errors`` tell why.
            profile: settings for each, as for a :class:`spot_connect.spotted.SpotInstance`.
            name: prefix of their names; by default ``fleet``.
            types: further instance types that will do; the more, the likelier that all are had and stay.
            maintain: AWS replaces instances that end, until :meth:`cancel_fleet`; they cost money until then.
            settings: ``region``, ``image_id``, ``price``, ``key_pair``, ``security_group``, ``firewall``,
                ``instance_profile``, ``monitoring``, ``user_data`` as for a ``SpotInstance``.

        Raises:
            UsageError: a wrong argument, or a fleet of that name runs already; nothing was launched.
            AwsError: AWS gave not a single instance.

        Example:
            >>> manager.launch_fleet(8, "t3.small", "worker", types=["t3a.small"]).ids  # doctest: +SKIP
            ('i-0123456789abcdef0', ...)
        """
        request = launch_request(self._realm, name or "fleet", profile=profile, **settings)
        keys = self._realm.keys(str(self.kp_dir or ""), self._reporter)
        keys.check_writable()
        fleet = fleets.launch_fleet(
            self._realm, request, keys, self._reporter, count=n_instances, types=types, maintain=maintain
        )
        self.fleets[fleet.id] = fleet
        return fleet

    def refresh_fleet_instances(self, fleet_id: str | None = None) -> dict[str, Fleet]:
        """Look at one fleet or all again; an instance that replaced another has taken over its name.

        Example:
            >>> manager.refresh_fleet_instances()["fleet-1"].moved  # doctest: +SKIP
            (Move(name='worker_3', old='i-0a…', new='i-0b…'),)
        """
        for one in self._fleets(fleet_id):
            self.fleets[one.id] = fleets.refresh_fleet(self._realm, one, self._reporter)
            for move in self.fleets[one.id].moved:
                self.instances.pop(move.name, None)
        return dict(self.fleets)

    def get_fleet_iids(self, fleet_id: str | None = None) -> list[str]:
        """The ids of the live instances of one fleet or all."""
        return [each.id for one in self._fleets(fleet_id) for each in fleets.fleet_instances(self._realm, one)]

    def reach_fleet(self, fleet_id: str | None = None) -> list[SpotInstance]:
        """Connect to the instances of one fleet or all, side by side, and keep them in :attr:`instances`."""
        found = [each for one in self._fleets(fleet_id) for each in one.instances]
        by_id = {each.id: each for each in found}
        return list(side_by_side(lambda each: self.launch_instance(each.name, region=each.region), by_id).values())

    def cancel_fleet(self, fleet_id: str | None = None) -> None:
        """Delete one fleet or all, and end their instances."""
        for one in self._fleets(fleet_id):
            for each in one.instances:
                known = self.instances.pop(each.name, None)
                if known is not None:
                    known.close()
            fleets.cancel_fleet(self._realm, one, self._reporter)
            del self.fleets[one.id]

    def run_distributed_jobs(
        self,
        prefix: str,
        n_jobs: int,
        scripts: str | Path | Sequence[str | Path],
        profile: str | Mapping[str, Any],
        filesystem: str | None = None,
        uploads: Sequence[Uploads] | None = None,
        upload_path: str = ".",
        *,
        n_instances: int | None = None,
        slots: int | str = 1,
        retries: int = 0,
        max_interruptions: int | None = None,
        timeout: float | None = None,
        on_interrupt: str = "",
        env: Mapping[str, str] | None = None,
        types: Sequence[str] = (),
        head: str = "worker",
        max_hours: float = 24.0,
        linger: float = 600.0,
        lease: float = 60.0,
        wait: bool = False,
        **settings: Any,
    ) -> JobRun:
        """Run scripts side by side on spot instances ``<prefix>_0`` and so on, launched for them.

        Every job ends exactly once, whatever becomes of this computer. One that AWS interrupts goes on on another
        instance, before those that have not begun: it finds its files again, and what it kept in
        ``$SPOT_CONNECT_CHECKPOINT_DIR``. The instances end themselves when all jobs have ended.

        With a file system any instance may be lost. Without one the first instance keeps what is known of the jobs:
        if it is lost, so are they.

        Args:
            prefix: of the instances' names.
            n_jobs: how many instances to launch, and how many jobs to run where there is one script.
            scripts: texts of scripts, or paths (:class:`~pathlib.Path`) of their files; one for each job, or one for
                all. ``$SPOT_CONNECT_JOB`` is the job's number, from 0; what is put into ``$SPOT_CONNECT_OUT_DIR`` is
                fetched by :meth:`spot_connect.jobs.run.JobRun.results`.
            profile: settings for the instances, as for :class:`spot_connect.spotted.SpotInstance`.
            filesystem: creation token of the file system that all of them mount; by default the manager's own.
            uploads: for each job a file or directory, or several, that is put on whatever instance runs it.
            upload_path: where, from the home directory.
            n_instances: instances to launch, if not ``n_jobs``; jobs that find no room wait.
            slots: jobs at once on an instance; ``"cpus"`` is one for each CPU.
            retries: how often a job that fails is tried again.
            max_interruptions: how often AWS may interrupt a job before it counts as failed; ``None`` is any number.
            timeout: seconds after which an attempt counts as failed.
            on_interrupt: bash command that runs beside a job when the interruption of its instance is announced.
            env: variables for the scripts.
            types: further instance types that will do.
            head: ``"worker"``: one of the instances hands the jobs out, too, and another does when it is lost.
                ``"on-demand"``: a small one, ``<prefix>_head``, is launched for it at the full price, which AWS does
                not take away; then jobs are safe without a file system, too.
            max_hours: after this long an instance ends itself, whatever happens.
            linger: seconds that one instance stays after the end, so that results can be fetched.
            lease: a job without a sign of life for so many seconds is taken for lost with its instance.
            wait: return when all jobs have ended; until then each instance that AWS takes away is replaced.
            settings: further ones, as for :meth:`launch_fleet`.

        Raises:
            UsageError: the numbers do not go together, or a file is missing; nothing was launched.
            AwsError: AWS gave not a single instance.

        Example:
            >>> files = manager.split_workload(8, rows)  # doctest: +SKIP
            >>> run = manager.run_distributed_jobs(
            ...     "sweep", 8, "python train.py workload_$SPOT_CONNECT_JOB.pickle", "t3.small", "data", files
            ... )  # doctest: +SKIP
            >>> run.wait().counts  # doctest: +SKIP
            {'succeeded': 8}
        """
        planned = plan(n_jobs, scripts, uploads)
        terms = Terms(
            slots=slots_of(slots),
            retries=retries,
            max_interruptions=max_interruptions,
            timeout=timeout,
            on_interrupt=on_interrupt,
            environment=env or {},
            upload_path=upload_path,
            head=head,
            max_hours=max_hours,
            linger=linger,
            lease=lease,
        )
        count = min(n_jobs if n_instances is None else n_instances, len(planned.jobs))
        launch = {"profile": profile, "types": types, **settings}
        run = JobRun(*self._begin_jobs(prefix, planned, terms, count, filesystem, launch))
        if wait:
            run.stay()
        return run

    def map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        profile: str | Mapping[str, Any],
        *,
        n_instances: int = 8,
        name: str = "map",
        filesystem: str | None = None,
        chunks: int | str = "auto",
        slots: int | str = 1,
        retries: int = 0,
        max_interruptions: int | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        types: Sequence[str] = (),
        max_hours: float = 24.0,
        **settings: Any,
    ) -> MapRun:
        """Call a Python function on each item, side by side on spot instances; ``gather()`` brings the answers.

        The instances need the same minor version of Python as this computer, and what the function imports. An
        interrupted job goes on with the items that have no answer yet.

        Args:
            function: takes an item. It is sent with :mod:`cloudpickle` (``pip install 'spot-connect[jobs]'``).
            items: what to call it on.
            profile: settings for the instances, as for :class:`spot_connect.spotted.SpotInstance`.
            n_instances: how many, at the most one for each job.
            name: prefix of their names.
            filesystem: as for :meth:`run_distributed_jobs`, like all that follow but for ``chunks``.
            chunks: items in a job; ``"auto"`` makes four jobs for each slot.
            slots: calls at once on an instance; ``"cpus"`` is one for each CPU.
            retries: how often a job is tried again after a call has raised.
            max_interruptions: of a job.
            timeout: seconds for a job.
            env: variables for the calls.
            types: further instance types that will do.
            max_hours: after this long an instance ends itself, whatever happens.
            settings: further ones, as for :meth:`launch_fleet`.

        Raises:
            UsageError: the function or an item cannot be sent, or a number makes no sense; nothing was launched.
            AwsError: AWS gave not a single instance.

        Example:
            >>> manager.map(simulate, range(1000), "c6i.large", n_instances=8).gather()  # doctest: +SKIP
            [0.1, 0.4, ...]
        """
        terms = Terms(
            slots=slots_of(slots),
            retries=retries,
            max_interruptions=max_interruptions,
            timeout=timeout,
            environment=env or {},
            upload_path=".spot-connect/calls",
            max_hours=max_hours,
        )
        given = list(items)
        with TemporaryDirectory(prefix="spot-connect-") as place:
            calls = write_calls(function, given, jobs_for(len(given), n_instances, terms.slots, chunks), Path(place))
            planned = plan(len(calls), CALL, calls)
            launch = {"profile": profile, "types": types, **settings}
            return MapRun(*self._begin_jobs(name, planned, terms, min(n_instances, len(calls)), filesystem, launch))

    def _begin_jobs(
        self, prefix: str, planned: Plan, terms: Terms, count: int, filesystem: str | None, launch: Mapping[str, Any]
    ) -> tuple[str, Crew]:
        """Launch ``count`` instances and begin the jobs on them; the id of the run, and its crew."""
        token = file_system_token(filesystem) if filesystem else self.efs
        if token is None and terms.head == "worker":
            self._reporter.warn(f"without a file system the jobs are lost if AWS takes {prefix}_0 away")
        # Whatever becomes of this computer and of the jobs, the bill has an end.
        last_resort = f"#!/bin/bash\nshutdown -h +{max(1, round(60 * terms.max_hours))}\n"
        fleet = self.launch_fleet(count, name=prefix, user_data=last_resort, **launch)
        head: Line | None = None
        try:
            by_name = {one.name: one for one in fleet.instances}
            lines = list(side_by_side(lambda one: self._reach(one, token or ""), by_name).values())
            doors.open_among(self._realm.cloud(fleet.region), {each for line in lines for each in line.seen.groups})
            if terms.head == "on-demand":
                head = self._yard(prefix, fleet.region).keeper(lines[0], token or "")
            run_id = starting.start(
                lines, prefix, planned, terms, shared=token is not None, reporter=self._reporter, head=head
            )
        except BaseException:
            # Nobody would use them, and nobody end them for hours.
            self.cancel_fleet(fleet.id)
            if head is not None:
                self.terminate(head.name)
            raise
        self._reporter.note(f"{len(planned.jobs)} jobs run as {run_id} on {len(lines)} instances {prefix}_*")
        return run_id, self._crew(prefix, fleet.region, [head, *lines] if head else lines)

    def attach(self, prefix: str, run_id: str = "", *, region: str = "") -> JobRun:
        """Jobs that were started by :meth:`run_distributed_jobs`, here or on another computer, while a machine lives.

        Args:
            prefix: of the instances' names.
            run_id: which of them; by default the newest.
            region: AWS Region, if this computer has not seen them.

        Raises:
            InstanceNotFound: no instance of that prefix lives.
            RunNotFound: they know no such jobs.

        Example:
            >>> manager.attach("sweep").record().summary  # doctest: +SKIP
            'sweep 20261125-074501-9f3a: 8 jobs: 8 succeeded; 1 interruptions'
        """
        [place, *_] = finding.likely_regions(self._realm, f"{prefix}_0", region, "")
        crew = self._crew(prefix, place, ())
        known = [told["run"] for told in crew.ask("jobs-list", {}) if told["name"] == prefix]
        if not known or run_id not in ("", *known):
            raise RunNotFound(f"{prefix} knows no jobs {run_id}".rstrip(), f"there are {', '.join(known) or 'none'}")
        return JobRun(run_id or known[-1], crew)

    def runs(self, region: str = "") -> list[JobsRecord]:
        """The distributed jobs that live instances know, the newest last.

        Example:
            >>> [record.summary for record in manager.runs()]  # doctest: +SKIP
            ['sweep 20261125-074501-9f3a: 8 jobs: ...']
        """
        place = region or self._realm.default_region
        found: dict[str, JobsRecord] = {}
        for prefix in fleets.names(self._realm, place):
            try:
                told = self._crew(prefix, place, ()).ask("jobs-list", {})
            except SpotConnectError as error:
                self._reporter.note(str(error))
                continue
            found.update((one["run"], jobs_record(one)) for one in told)
        return [found[run_id] for run_id in sorted(found)]

    @property
    def reporter(self) -> Reporter:
        """Hears of progress."""
        return self._reporter

    def _crew(self, prefix: str, region: str, lines: Sequence[Line]) -> Crew:
        return Crew(prefix, lines, self._yard(prefix, region), self._reporter)

    def _yard(self, prefix: str, region: str) -> Yard:
        keys = self._realm.keys(str(self.kp_dir or ""), self._reporter)
        return Yard(self._realm, prefix, region, keys, self._reporter, self._reach)

    def _reach(self, one: Instance, token: str) -> SpotInstance:
        mounted = {"filesystem": token} if token else {}
        return self.launch_instance(one.name, region=one.region, **mounted)

    def create_elastic_file_system(self, system_name: str, region: str) -> str:
        """Make the file system with that creation token if it is missing; its id.

        It is encrypted and elastic, and costs money by the GB until you delete it.
        """
        token = file_system_token(system_name)
        return mounting.create(self._realm, token, region, self._reporter).id

    def instance_s3_transfer(
        self,
        source: str,
        dest: str,
        instance_profile: str,
        efs: str | None = None,
        instance_name: str | None = None,
        *,
        profile: str = "t3.small",
        region: str | None = None,
    ) -> SpotInstance:
        """Copy between a bucket and a directory on an instance launched for it, in its background.

        The instance ends itself when the copy is done, also when it failed; the log stays beside the data, on the
        file system. ``aws s3 sync`` does the work, so a copy that was cut off goes on where it was.

        Args:
            source: ``s3://bucket/prefix``, or a directory on the instance, for instance ``~/efs/data``.
            dest: the other of the two.
            instance_profile: name or ARN of an IAM instance profile that may use the bucket.
            efs: creation token of the file system to mount; by default the manager's own. Without either, only a copy
                to a bucket from a running instance is possible.
            instance_name: name of the instance; by default ``s3-`` and the bucket's name.
            profile: settings for the launch.
            region: AWS Region, instead of the profile's.

        Raises:
            UsageError: not exactly one side is in a bucket, or no instance profile is given; nothing was launched.
            AwsObjectMissing: no such bucket, prefix or instance profile; nothing was launched.
            TransferFailed: the instance has no such directory; if it was launched for this, it was terminated again.

        Example:
            >>> manager.instance_s3_transfer("s3://my-data/in", "~/efs/in", "s3-access")  # doctest: +SKIP
        """
        transfer = s3_transfer(source, dest)
        if not instance_profile:
            raise UsageError(
                f"cannot copy {source} to {dest}",
                "the instance needs an instance profile that may use the bucket",
                "Make one with sutils.create_instance_profile, and name it.",
            )
        file_system = efs or self.efs
        if not file_system and (transfer.from_bucket or not instance_name):
            raise UsageError(
                f"cannot copy {source} to {dest}",
                "the instance ends when it is done, and its disk with it",
                "Name the file system with efs=.",
            )
        s3_transfers.check(self._realm, transfer, region or self._realm.default_region)
        name = instance_name or f"s3-{transfer.bucket}"
        # Without a file system there are only files to copy from an instance that runs.
        settings = {"profile": profile, "filesystem": file_system} if file_system else {}
        instance = self.launch_instance(name, instance_profile=instance_profile, region=region, **settings)
        self._must_have(instance, transfer)
        s3_transfers.start(instance.connection, transfer, _log_path(instance.name, instance.filesystem))
        self._reporter.note(f"{instance.name} copies {source} to {dest} and ends itself when it is done")
        afterwards = ", and from another instance of the file system when it has ended" if instance.filesystem else ""
        self._reporter.note(f"watch it with s3_transfer_log({instance.name!r}){afterwards}")
        return instance

    def _must_have(self, instance: SpotInstance, transfer: S3Transfer) -> None:
        if transfer.from_bucket or instance.dir_exists(transfer.directory):
            return
        if instance.launched:
            self.terminate(instance)
        raise TransferFailed(
            f"cannot copy {transfer.source} to {transfer.dest}",
            f"{instance.name} has no such directory",
            f"{instance.name} was terminated again." if instance.launched else "",
        )

    def s3_transfer_log(self, instance: str | SpotInstance, from_instance: str | None = None) -> str:
        """What a transfer has said so far; when it is done, ``finished ... with status 0`` is its last line.

        Args:
            instance: the instance of the transfer.
            from_instance: another running instance with the same file system, to read the log after the first ended.

        Raises:
            ScriptFailed: there is no log.
        """
        one = self._one(instance) if from_instance is None else self._one(from_instance)
        name = instance if isinstance(instance, str) else instance.name
        [text] = self.run(one, f"cat {remote_path(_log_path(name, one.filesystem))}")
        return text

    def clone_repo(self, instance: Instances, repo_link: str, directory: str = ".") -> None:
        """Clone a git repository on one instance or several, into ``directory`` or beneath it.

        Raises:
            ScriptFailed: git failed.
            PartlyFailed: of several, some failed; the others have it.
        """
        target = directory if directory != "." else _repository_name(repo_link)
        side_by_side(lambda each: each.clone_repo(repo_link, target), self._given(instance))

    def update_repo(
        self, instance: Instances, instance_path: str, branch: str | None = None, repo_link: str | None = None
    ) -> None:
        """Bring a clone up to date on one instance or several.

        Raises:
            ScriptFailed: git failed.
            PartlyFailed: of several, some failed; the others are up to date.
        """
        side_by_side(lambda each: each.update_repo(instance_path, branch, repo_link), self._given(instance))

    def run(self, instance: Instances, command: str) -> list[str]:
        """Run a command on one instance or several, side by side; what each printed, in order.

        Raises:
            ScriptFailed: it failed.
            PartlyFailed: of several, some failed: ``.succeeded`` has by name what it printed on the others, ``.failed``
                the errors.
        """
        given = self._given(instance)
        return list(side_by_side(lambda each: each.run(command, cmd=True, return_output=True) or "", given).values())

    def get_instance_home_directory(self, instance: str | SpotInstance) -> str:
        """Print and return the home directory of the login user.

        Example:
            >>> manager.get_instance_home_directory("vm1")  # doctest: +SKIP
            '/home/ec2-user'
        """
        [output] = self.run(instance, "echo ~")
        home = output.strip()
        say(home)
        return home

    def count_cores(self, instance: str | SpotInstance) -> tuple[int, int]:
        """Print and return the numbers of physical and of logical cores."""
        [output] = self.run(instance, _CORES)
        physical, logical = (int(line) for line in output.split())
        say(f"{physical} physical cores, {logical} logical cores")
        return physical, logical

    def list_profiles(self) -> dict[str, dict[str, Any]]:
        """Every profile, name to settings; the same as :func:`spot_connect.sutils.load_profiles`."""
        return sutils.load_profiles()

    list_all_profiles = list_profiles

    def split_workload(
        self, n_jobs: int, workload: Sequence[Any], wrkdir: str | None = None, filename: str | None = None
    ) -> list[str]:
        """Split a workload into even pickle files; the same as :func:`spot_connect.sutils.split_workloads`."""
        return sutils.split_workloads(n_jobs, workload, wrkdir, filename)

    def _fleets(self, fleet_id: str | None) -> list[Fleet]:
        if fleet_id is None:
            return list(self.fleets.values())
        if fleet_id not in self.fleets:
            raise UsageError(
                f"no fleet {fleet_id!r} was launched here", f"known are {', '.join(self.fleets) or 'none'}"
            )
        return [self.fleets[fleet_id]]

    def _given(self, instance: Instances) -> dict[str, SpotInstance]:
        given = [instance] if isinstance(instance, str | SpotInstance) else list(instance)
        return {each.name: each for each in map(self._one, given)}

    def _one(self, instance: str | SpotInstance) -> SpotInstance:
        if isinstance(instance, SpotInstance):
            return instance
        known = self.instances.get(instance)
        return known or self.launch_instance(instance)


_POSITION_OF_KP_DIR = 4
_POSITION_OF_FILESYSTEM = 14


def _log_path(name: str, file_system: str | None) -> str:
    return f"{'~/efs' if file_system else '~'}/s3_transfer_{name}.log"


def _repository_name(link: str) -> str:
    return link.rstrip("/").rpartition("/")[2].removesuffix(".git") or "repository"
