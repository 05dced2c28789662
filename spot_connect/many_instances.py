"""Many spot instances at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from spot_connect import sutils
from spot_connect.core.errors import InstanceNotFound, ScriptFailed, TransferFailed, UsageError
from spot_connect.core.fleets import Fleet
from spot_connect.core.models import Instance
from spot_connect.core.names import FILE_SYSTEM_TAG, file_name, file_system_token
from spot_connect.core.reporting import Named, Reporter
from spot_connect.core.s3_transfers import S3Transfer, s3_transfer
from spot_connect.core.scripts import remote_path
from spot_connect.core.side_by_side import side_by_side
from spot_connect.launching import ending, finding, fleets, mounting, s3_transfers
from spot_connect.launching.realm import choose_realm
from spot_connect.launching.requesting import launch_request
from spot_connect.runs.live import run_live
from spot_connect.runs.watching import endings
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import Labelled, say, to_stderr
from spot_connect.spotted import SpotInstance
from spot_connect.store.given import Paths, existing
from spot_connect.store.where import local_is_chosen
from spot_connect.transfers.download import download
from spot_connect.transfers.upload import sync_to_all, upload_to_all

T = TypeVar("T")
Instances = str | SpotInstance | Sequence[str | SpotInstance]

_CORES = "lscpu -p=CORE,SOCKET | grep -v '^#' | sort -u | wc -l; nproc --all"


class ManyInstances:
    """Instances by name, and fleets of them: launched, reached, used and ended side by side.

    A fleet is named by its name or its id. Without either all are meant that were launched or named here.

    The arguments and attributes are those of :class:`spot_connect.instance_manager.InstanceManager`.
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
        self._reporter: Reporter = reporter or Screen(local=local_is_chosen(local))
        self._realm = choose_realm(local, self._reporter)

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
        return self._kept(lambda name: self.launch_instance(name, **settings), wanted)

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
        filesystem: str | None = None,
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
                ``instance_profile``, ``monitoring``, ``user_data``, ``subnet``, ``tags`` as for a ``SpotInstance``. In
                one subnet there is one zone, and less capacity to be had.
            filesystem: creation token of the file system that :meth:`reach_fleet` mounts; by default the manager's own.

        Raises:
            UsageError: a wrong argument, or a fleet of that name runs already; nothing was launched.
            AwsError: AWS gave not a single instance.

        Example:
            >>> manager.launch_fleet(8, "t3.small", "worker", types=["t3a.small"]).ids  # doctest: +SKIP
            ('i-0123456789abcdef0', ...)
        """
        token = file_system_token(filesystem) if filesystem else self.efs
        request = launch_request(self._realm, name or "fleet", profile=profile, **settings)
        request = replace(request, filesystem=token or "")
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
        """Connect to the instances of one fleet or all, side by side, and keep them in :attr:`instances`.

        Raises:
            PartlyFailed: some could not be reached; the others are in :attr:`instances`.
            InstanceNotFound: no fleet of that name or id runs.

        Example:
            >>> InstanceManager().reach_fleet("w")  # launched from another computer # doctest: +SKIP
            [SpotInstance('w_0', i-0123456789abcdef0, running), ...]
        """
        return self._kept(self._reached, {each.name: each for one in self._fleets(fleet_id) for each in one.instances})

    def _kept(self, work: Callable[[T], SpotInstance], items: Mapping[str, T]) -> list[SpotInstance]:
        """What ``work`` makes of each item and keeps in :attr:`instances`, there in the order of the items."""
        try:
            return list(side_by_side(work, items).values())
        finally:
            for name in items:
                if name in self.instances:
                    self.instances[name] = self.instances.pop(name)

    def _reached(self, one: Instance) -> SpotInstance:
        return self._reach(one, one.tags.get(FILE_SYSTEM_TAG, ""))

    def _reach(self, one: Instance, token: str) -> SpotInstance:
        mounted = {"filesystem": token} if token else {}
        return self.launch_instance(one.name, region=one.region, **mounted)

    def cancel_fleet(self, fleet_id: str | None = None) -> None:
        """Delete one fleet or all, and end their instances."""
        for one in self._fleets(fleet_id):
            for each in one.instances:
                known = self.instances.pop(each.name, None)
                if known is not None:
                    known.close()
            fleets.cancel_fleet(self._realm, one, self._reporter)
            del self.fleets[one.id]

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
        subnet: str | None = None,
        tags: Mapping[str, str] | Sequence[str] | None = None,
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
            subnet: id of the subnet to launch in.
            tags: tags for all that is made, as for a ``SpotInstance``.

        Raises:
            UsageError: not exactly one side is in a bucket, or no instance profile is given; nothing was launched.
            AwsObjectMissing: no such bucket, prefix or instance profile; nothing was launched.
            TransferFailed: the instance has no such directory; if it was launched for this, it was terminated again.
            ScriptFailed: the instance has no AWS CLI, and none could be installed; it was terminated again likewise.

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
        place = {"region": region, "subnet": subnet}
        instance = self.launch_instance(name, instance_profile=instance_profile, tags=tags, **place, **settings)
        self._must_have(instance, transfer)
        self._start(instance, transfer)
        self._reporter.note(f"{instance.name} copies {source} to {dest} and ends itself when it is done")
        afterwards = ", and from another instance of the file system when it has ended" if instance.filesystem else ""
        self._reporter.note(f"watch it with s3_transfer_log({instance.name!r}){afterwards}")
        return instance

    def _start(self, instance: SpotInstance, transfer: S3Transfer) -> None:
        log = _log_path(instance.name, instance.filesystem)
        try:
            s3_transfers.start(instance.connection, transfer, log, self._reporter)
        except ScriptFailed:
            if instance.launched:
                self.terminate(instance)
                self._reporter.note(f"{instance.name} was terminated again")
            raise

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

    def upload(self, instance: Instances, files: Paths, remotepath: str = ".", *, delete: bool = False) -> None:
        """Copy files and directories to one instance or several, as :meth:`spot_connect.spotted.SpotInstance.upload`.

        Whatever several instances lack is read here once, unless one of them is far behind the others.

        Raises:
            UsageError: one of the files does not exist here; nothing was copied.
            TransferFailed: the instance could not take one.
            PartlyFailed: of several, some failed: ``.failed`` has the errors by name; the others have all of it.

        Example:
            >>> manager.upload(["vm1", "vm2"], "data", "~/work")  # doctest: +SKIP
        """
        sources = existing(files)
        lines = {name: each.connection for name, each in self._given(instance).items()}
        upload_to_all(lines, sources, remotepath, reporter=self._reporter, delete=delete)

    def sync(
        self, instance: Instances, directory: str | Path = ".", remotepath: str = "", *, delete: bool = False
    ) -> dict[str, str]:
        """Bring a directory up to date on one instance or several, as :meth:`spot_connect.spotted.SpotInstance.sync`.

        Whatever several instances lack is read here once. Returns where it is on each, by name.

        Raises:
            UsageError: there is no such directory here; nothing was copied.
            TransferFailed: the instance could not take a file.
            PartlyFailed: of several, some failed: ``.failed`` has the errors by name; the others have all of it.

        Example:
            >>> manager.sync(["vm1", "vm2"], ".")  # doctest: +SKIP
            {'vm1': '/home/ec2-user/project', 'vm2': '/home/ec2-user/project'}
            >>> manager.run(["vm1", "vm2"], "python3 train.py", directory="project")  # doctest: +SKIP
        """
        (folder,) = existing(directory)
        lines = {name: each.connection for name, each in self._given(instance).items()}
        return sync_to_all(lines, folder, remotepath, reporter=self._reporter, delete=delete)

    def download(
        self, instance: Instances, files: str | Sequence[str], localpath: str | Path = ".", *, delete: bool = False
    ) -> dict[str, list[str]]:
        """Copy files and directories from one instance or several, each into a folder of its name in ``localpath``.

        Returns the paths that they have here, by instance. As :meth:`spot_connect.spotted.SpotInstance.download` it
        copies what has changed and nothing else.

        Raises:
            TransferFailed: one of the files is not there, and nothing came from that instance; or it lists names that
                are refused, and all else came.
            PartlyFailed: of several instances some failed: ``.failed`` has the errors by name; from the others all
                has come.

        Example:
            >>> manager.download(["vm1", "vm2"], "out", "results")  # doctest: +SKIP
            {'vm1': ['results/vm1/out'], 'vm2': ['results/vm2/out']}
        """
        sources = [files] if isinstance(files, str) else list(files)

        def bring(each: SpotInstance) -> list[str]:
            folders = [file_name(each.name)] * len(sources)
            arrived = download(
                *(each.connection, sources, Path(localpath)),
                reporter=Named(self._reporter, each.name),
                delete=delete,
                subfolders=folders,
            )
            return [*map(str, arrived)]

        return side_by_side(bring, self._given(instance))

    def run(self, instance: Instances, command: str, *, directory: str = "") -> list[str]:
        """Run a command on one instance or several, side by side; what each printed, in order.

        It begins in the home directory, or in ``directory``, which is absolute or below it. What it writes to standard
        error is shown as it comes; of several, line by line with their names.

        Raises:
            ScriptFailed: it failed.
            PartlyFailed: of several, some failed: ``.succeeded`` has by name what it printed on the others, ``.failed``
                the errors.
        """

        def work(each: SpotInstance) -> str:
            with Labelled(to_stderr(), each.name) as errors:
                output = run_live(
                    *(each.connection, each.name, [command]), on_stdout=None, on_stderr=errors, directory=directory
                )
            return output.decode("utf-8", "replace")

        given = self._given(instance)
        if len(given) > 1:
            return list(side_by_side(work, given).values())
        return [one.run(command, cmd=True, return_output=True, directory=directory) or "" for one in given.values()]

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

    @property
    def reporter(self) -> Reporter:
        """Hears of progress."""
        return self._reporter

    def _fleets(self, fleet_id: str | None) -> list[Fleet]:
        if fleet_id is None:
            return list(self.fleets.values())
        known = next((one for one in self.fleets.values() if fleet_id in (one.id, one.name)), None)
        if known is None:
            known = fleets.find_anywhere(self._realm, fleet_id, self._reporter)
            self.fleets[known.id] = known
        return [known]

    def _given(self, instance: Instances) -> dict[str, SpotInstance]:
        given = [instance] if isinstance(instance, str | SpotInstance) else list(instance)
        named = {each if isinstance(each, str) else each.name: each for each in given}
        return side_by_side(self._one, named)

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
