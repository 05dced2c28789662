"""The names and signatures that users of spot-connect 1.0 know."""

from __future__ import annotations

import inspect

import pytest

from spot_connect import bash_scripts, sutils
from spot_connect.instance_manager import InstanceManager
from spot_connect.spotted import SpotInstance

NEWLINE = "\n"
SIGNATURES = {
    SpotInstance: (
        "name",
        ("instance_id", False),
        ("profile", None),
        ("key_pair", None),
        ("kp_dir", None),
        ("security_group", None),
        ("instance_profile", ""),
        ("efs_mount", False),
        ("firewall", None),
        ("image_id", None),
        ("price", None),
        ("region", None),
        ("scripts", None),
        ("username", None),
        ("filesystem", None),
        ("new_mount", False),
        ("monitoring", False),
        ("instance_type", None),
    ),
    SpotInstance.upload: ("self", "files", ("remotepath", "."), ("verbose", False)),
    SpotInstance.download: ("self", "files", ("localpath", ".")),
    SpotInstance.run: ("self", "scripts", ("cmd", False), ("return_output", False), ("time_it", False)),
    SpotInstance.clone_repo: ("self", "repo_link", "directory"),
    SpotInstance.update_repo: ("self", "path_on_instance", ("branch", None), ("repo_link", None)),
    SpotInstance.dir_exists: ("self", "directory"),
    SpotInstance.refresh_instance: ("self", ("verbose", True)),
    SpotInstance.terminate: ("self",),
    InstanceManager: (("kp_dir", None), ("efs", None)),
    InstanceManager.show_instances: ("self",),
    InstanceManager.quick_launch: ("self", ("instance_name", "monitor"), ("profile", "t2.micro")),
    InstanceManager.launch_monitor: ("self", ("instance_name", "monitor"), ("profile", "t2.micro")),
    InstanceManager.terminate: ("self", "instance_name"),
    InstanceManager.terminate_monitor: ("self",),
    InstanceManager.create_elastic_file_system: ("self", "system_name", "region"),
    InstanceManager.instance_s3_transfer: (
        "self",
        "source",
        "dest",
        "instance_profile",
        ("efs", None),
        ("instance_name", None),
    ),
    InstanceManager.clone_repo: ("self", "instance", "repo_link", ("directory", ".")),
    InstanceManager.update_repo: ("self", "instance", "instance_path", ("branch", None), ("repo_link", None)),
    InstanceManager.get_instance_home_directory: ("self", "instance"),
    InstanceManager.count_cores: ("self", "instance"),
    InstanceManager.list_profiles: ("self",),
    InstanceManager.list_all_profiles: ("self",),
    InstanceManager.split_workload: ("self", "n_jobs", "workload", ("wrkdir", None), ("filename", None)),
    InstanceManager.launch_fleet: ("self", "n_instances", "profile", ("name", None)),
    InstanceManager.refresh_fleet_instances: ("self", ("fleet_id", None)),
    InstanceManager.get_fleet_iids: ("self", ("fleet_id", None)),
    sutils.load_profiles: (),
    sutils.save_profiles: ("profiles",),
    sutils.reset_profiles: (("price_increase", 1.15),),
    sutils.change_default_region: ("region",),
    sutils.change_default_image: ("image_id",),
    sutils.default_region: (),
    sutils.get_default_kp_dir: (),
    sutils.set_default_kp_dir: ("directory",),
    sutils.clear_key_pairs: (),
    sutils.list_instance_profiles: (),
    sutils.show_instances: (),
    sutils.split_workloads: ("n_jobs", "workload", ("wrkdir", None), ("filename", None)),
    bash_scripts.init_userdata_script: (),
    bash_scripts.script_to_userdata: ("script",),
    bash_scripts.run_command_as_user: ("command", "user", ("delimiter", NEWLINE)),
    bash_scripts.compose_s3_sync_script: (
        "source",
        "dest",
        "instance_path",
        ("logfile", "s3_sync_log"),
        ("delimiter", NEWLINE),
        ("script", ""),
    ),
    bash_scripts.update_git_repo: (
        "repo_path",
        ("branch", None),
        ("repo_link", None),
        ("delimiter", NEWLINE),
        ("script", ""),
    ),
    bash_scripts.compose_mount_script: (
        "filesystem_dns",
        ("base", "/home/ec2-user"),
        ("delimiter", NEWLINE),
        ("script", ""),
    ),
    bash_scripts.shutdown_instance_after_command: (
        "command",
        ("command_log", ""),
        ("run_as_user", ""),
        ("delimiter", NEWLINE),
        ("script", ""),
    ),
    bash_scripts.cancel_fleet_after_command: (
        "command",
        "region",
        ("command_log", ""),
        ("run_as_user", ""),
        ("delimiter", NEWLINE),
        ("script", ""),
    ),
}


@pytest.mark.parametrize(("known", "wanted"), SIGNATURES.items(), ids=lambda known: getattr(known, "__qualname__", ""))
def test_the_known_arguments_come_first_in_their_order_and_the_rest_is_optional(known, wanted):
    parameters = list(inspect.signature(known).parameters.values())
    for parameter, expected in zip(parameters, wanted, strict=False):
        name, default = expected if isinstance(expected, tuple) else (expected, inspect.Parameter.empty)
        assert parameter.name == name
        assert parameter.default == default
    assert len(parameters) >= len(wanted)
    for further in parameters[len(wanted) :]:
        is_variable = further.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        assert is_variable or further.default is not inspect.Parameter.empty


@pytest.mark.parametrize("attribute", ["profile", "instance", "state", "region"])
def test_what_users_read_from_an_instance_is_there(attribute):
    assert hasattr(SpotInstance, attribute)
