"""Many spot instances at once and jobs on them, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spot_connect.core.errors import RunNotFound, SpotConnectError
from spot_connect.core.jobs import JobsRecord, Plan, Terms, jobs_record, slots_of
from spot_connect.core.joining import last_resort
from spot_connect.core.names import file_system_token
from spot_connect.core.orders import Order
from spot_connect.core.side_by_side import side_by_side
from spot_connect.core.values import dollars
from spot_connect.jobs import starting
from spot_connect.jobs.crew import Crew
from spot_connect.jobs.mapping import SCRIPT, MapRun, jobs_for, keep_key, kept_key, new_key, write_calls
from spot_connect.jobs.planning import Uploads, plan
from spot_connect.jobs.run import JobRun
from spot_connect.jobs.supply import supply
from spot_connect.jobs.versions import dask_here, same_dask, same_python, told_by
from spot_connect.jobs.yard import Line, Yard
from spot_connect.launching import doors, finding, fleets
from spot_connect.launching.running_on import ended_again
from spot_connect.many_instances import ManyInstances


class InstanceManager(ManyInstances):
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
        max_cost: str | float | Decimal | None = None,
        on_demand_after: int | None = None,
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
            max_hours: after this long the jobs are stopped, and an instance ends itself, whatever happens.
            max_cost: the jobs are stopped when the instances have cost this many US dollars, at the prices that held
                when each was launched.
            on_demand_after: once AWS has taken away so many instances, others are launched on demand.
            linger: seconds that one instance stays after the end, so that results can be fetched.
            lease: a job without a sign of life for so many seconds is taken for lost with its instance.
            wait: return when all jobs have ended; until then each instance that AWS takes away is replaced.
            settings: further ones, as for :meth:`launch_fleet`. With an ``instance_profile`` whose role may launch
                instances (docs/permissions.md) they replace one another while nobody waits, too.

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
            max_cost=None if max_cost is None else dollars(str(max_cost)),
            on_demand_after=on_demand_after,
            linger=linger,
            lease=lease,
        )
        count = min(n_jobs if n_instances is None else n_instances, len(planned.jobs))
        launch = {"profile": profile, "types": types, **settings}
        run_id = starting.new_id()
        run = JobRun(run_id, self._begin_jobs(prefix, run_id, planned, terms, count, filesystem, launch))
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
            VersionsDiffer: the instances have another minor version of Python; they were ended again.
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
        run_id, key = starting.new_id(), new_key()
        with TemporaryDirectory(prefix="spot-connect-") as place:
            jobs = jobs_for(len(given), n_instances, terms.slots, chunks)
            calls = write_calls(function, given, jobs, Path(place), run_id=run_id, key=key)
            planned = plan(len(calls), SCRIPT, calls)
            launch = {"profile": profile, "types": types, **settings}
            count = min(n_instances, len(calls))
            crew = self._begin_jobs(name, run_id, planned, terms, count, filesystem, launch, _takes_functions, key)
        keep_key(self._realm.state, run_id, key)
        return MapRun(run_id, crew, key)

    def cluster(
        self,
        n_instances: int,
        profile: str | Mapping[str, Any],
        *,
        name: str = "cluster",
        filesystem: str | None = None,
        slots: int | str = 1,
        idle: float = 600.0,
        types: Sequence[str] = (),
        head: str = "worker",
        max_hours: float = 24.0,
        **settings: Any,
    ) -> JobRun:
        """Spot instances for a :class:`dask.distributed.Client`, without jobs: see :meth:`JobRun.client`.

        They end themselves when no client has been connected for ``idle`` seconds, or at ``close()``.

        Args:
            n_instances: how many.
            profile: settings for the instances, as for :class:`spot_connect.spotted.SpotInstance`.
            name: prefix of their names.
            filesystem: as for :meth:`run_distributed_jobs`, like all that follow but for ``idle``.
            slots: calls at once on an instance; ``"cpus"`` is one for each CPU.
            idle: seconds without a client until the instances end.
            types: further instance types that will do.
            head: ``"on-demand"`` keeps what a client has submitted from being lost with the head.
            max_hours: after this long an instance ends itself, whatever happens.
            settings: further ones, as for :meth:`launch_fleet`.

        Raises:
            UsageError: a number makes no sense, or dask is not installed here; nothing was launched.
            VersionsDiffer: the instances have another minor version of Python, or another dask; they were ended again.
            AwsError: AWS gave not a single instance.

        Example:
            >>> with manager.cluster(8, "c6i.large").client() as c:  # doctest: +SKIP
            ...     c.gather(c.map(simulate, range(1000)))
            [0.1, 0.4, ...]
        """
        dask_here()
        terms = Terms(slots=slots_of(slots), head=head, max_hours=max_hours, linger=30.0, stay=idle)
        launch = {"profile": profile, "types": types, **settings}
        run_id, none = starting.new_id(), Plan((), ())
        crew = self._begin_jobs(name, run_id, none, terms, n_instances, filesystem, launch, _takes_clients)
        return JobRun(run_id, crew)

    def _begin_jobs(
        self,
        prefix: str,
        run_id: str,
        planned: Plan,
        terms: Terms,
        count: int,
        filesystem: str | None,
        launch: Mapping[str, Any],
        check: Callable[[Sequence[Line]], None] = lambda _: None,
        key: bytes = b"",
    ) -> Crew:
        """Launch ``count`` instances and begin the jobs on those that pass; the crew of the run."""
        token = file_system_token(filesystem) if filesystem else self.efs
        if token is None and terms.head == "worker":
            self._reporter.warn(f"without a file system the jobs are lost if AWS takes {prefix}_0 away")
        # Whatever becomes of this computer and of the jobs, the bill has an end.
        boot = f"#!/bin/bash\n{last_resort(terms.max_hours)}"
        fleet = self.launch_fleet(count, name=prefix, user_data=boot, filesystem=token, **launch)
        yard = self._yard(prefix, fleet.region)
        head: Line | None = None
        order: Order | None = None
        try:
            by_name = {one.name: one for one in fleet.instances}
            lines = list(side_by_side(lambda one: self._reach(one, token or ""), by_name).values())
            check(lines)
            doors.open_among(self._realm.cloud(fleet.region), {each for line in lines for each in line.seen.groups})
            if terms.head == "on-demand":
                head = yard.keeper(lines[0], token or "")
            if token is not None:
                order = yard.write_order(fleet, token, run_id, terms.max_hours)
            supplied = supply(run_id, fleet, [line.seen for line in lines], head.seen if head else None, order)
            crew = self._crew(prefix, fleet.region, [head, *lines] if head else lines)
            starting.start(lines, prefix, planned, terms, supply=supplied, reporter=self._reporter, head=head, key=key)
        except BaseException as error:
            # Nobody would use them, and nobody end them for hours.
            self.cancel_fleet(fleet.id)
            if order is not None:
                yard.withdraw(order)
            if isinstance(error, SpotConnectError):
                raise ended_again(error) from error
            raise
        what = f"{len(planned.jobs)} jobs run" if planned.jobs else "a cluster runs"
        self._reporter.note(f"{what} as {run_id} on {len(lines)} instances {prefix}_*")
        return crew

    def attach(self, prefix: str, run_id: str = "", *, region: str = "", on: str = "") -> JobRun:
        """Jobs that were started by :meth:`run_distributed_jobs`, here or on another computer.

        Args:
            prefix: of the instances' names.
            run_id: which of them; by default the newest.
            region: AWS Region, if this computer has not seen them.
            on: name of any instance that has their file system mounted, to be asked in their place when all of theirs
                have ended.

        Raises:
            InstanceNotFound: no instance of that prefix lives, or none called ``on``.
            RunNotFound: they know no such jobs.

        Calls of :meth:`map` come as a :class:`spot_connect.jobs.mapping.MapRun`, which can ``gather()``.

        Example:
            >>> manager.attach("sweep").record().summary  # doctest: +SKIP
            'sweep 20261125-074501-9f3a: 8 jobs: 8 succeeded; 1 interruptions'
        """
        [place, *_] = finding.likely_regions(self._realm, on or f"{prefix}_0", region, "")
        crew = self._crew(prefix, place, [self.launch_instance(on, region=region or None)] if on else ())
        told = [one for one in map(jobs_record, crew.ask("jobs-list", {})) if one.name == prefix]
        known = {one.id: one for one in told}
        chosen = run_id or max(known, default="")
        if chosen not in known:
            raise RunNotFound(f"{prefix} knows no jobs {run_id}".rstrip(), f"there are {', '.join(known) or 'none'}")
        if known[chosen].calls:
            return MapRun(chosen, crew, kept_key(self._realm.state, chosen))
        return JobRun(chosen, crew)

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
                told = [*map(jobs_record, self._crew(prefix, place, ()).ask("jobs-list", {}))]
            except SpotConnectError as error:
                self._reporter.note(str(error))
                continue
            found.update((one.id, one) for one in told)
        return [found[run_id] for run_id in sorted(found)]

    def _crew(self, prefix: str, region: str, lines: Sequence[Line]) -> Crew:
        return Crew(prefix, lines, self._yard(prefix, region), self._reporter)

    def _yard(self, prefix: str, region: str) -> Yard:
        keys = self._realm.keys(str(self.kp_dir or ""), self._reporter)
        return Yard(self._realm, prefix, region, keys, self._reporter, self._reach)


def _takes_functions(lines: Sequence[Line]) -> None:
    same_python(told_by(lines))


def _takes_clients(lines: Sequence[Line]) -> None:
    told = told_by(lines)
    same_python(told)
    same_dask(told)
