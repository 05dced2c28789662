"""Profiles, images, prices and the directory of private keys.

Example:
    >>> from spot_connect import sutils
    >>> sutils.load_profiles()["t3.micro"]["instance_type"]
    't3.micro'
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from spot_connect.aws import buckets
from spot_connect.aws.session import Cloud
from spot_connect.core import images
from spot_connect.core.errors import UsageError
from spot_connect.core.instance_profiles import InstanceProfile
from spot_connect.core.s3_transfers import bucket_name
from spot_connect.doctor.examination import Report as DoctorReport
from spot_connect.doctor.examination import examined
from spot_connect.launching import clearing, finding, instance_profiles
from spot_connect.launching.listing import usual_regions
from spot_connect.launching.realm import Realm, choose_realm
from spot_connect.market import refreshing
from spot_connect.market.refreshing import Report
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import say
from spot_connect.store import moves, tables
from spot_connect.store.keys import KeyFiles
from spot_connect.store.profiles import ProfileFile
from spot_connect.store.settings import Settings
from spot_connect.store.state import realm
from spot_connect.store.where import local_is_chosen
from spot_connect.store.workloads import split_to_files

__all__ = [
    "change_default_image",
    "change_default_region",
    "clear_key_pairs",
    "create_instance_profile",
    "default_region",
    "delete_from_bucket",
    "doctor",
    "get_default_kp_dir",
    "list_bucket",
    "list_instance_profiles",
    "load_profiles",
    "refresh_images",
    "refresh_prices",
    "reset_profiles",
    "save_profiles",
    "set_default_kp_dir",
    "show_instances",
    "split_workloads",
]


def load_profiles() -> dict[str, dict[str, Any]]:
    """Every profile, name to settings: the user's own ``profiles.txt`` if there is one, else the shipped profiles.

    Raises:
        UsageError: a broken edit; the error names the file and the line.
        StateError: the file cannot be read.
    """
    return _profiles().load()


def save_profiles(profiles: Mapping[str, Mapping[str, Any]]) -> None:
    """Make ``profiles`` the user's own; those they replace stay in ``profiles.txt.bak``.

    Raises:
        UsageError: an unknown key or a wrong value; nothing was written.
        StateError: the file cannot be written.

    Example::

        profiles = sutils.load_profiles()
        profiles["cheap"] = {**profiles["t3.micro"], "price": "0.004"}
        sutils.save_profiles(profiles)
    """
    _profiles().save(profiles)


def default_region() -> str:
    """The Region that most profiles are for.

    Raises:
        StateError: the profile file cannot be read.
    """
    return _profiles().default_region()


def change_default_region(region: str) -> None:
    """Move every profile to ``region``, with the images and prices of that Region, or none of them.

    Images become those of the same name and architecture. A price that was the on-demand price becomes the one
    there; a cap of your own keeps its distance to the spot price. The figures come from the shipped tables.

    Raises:
        UsageError: an unknown Region, or an image without a counterpart there; nothing was changed.
        StateError: the file cannot be written; nothing was changed.

    Example::

        sutils.change_default_region("eu-west-1")
    """
    _profiles().change(lambda profiles: moves.moved(profiles, region))
    Settings(realm(local_is_chosen())).set_region(region)


def change_default_image(
    image_id: str,
    *,
    architecture: str | None = None,
    region: str | None = None,
    username: str = "",
    image_name: str = "",
) -> tuple[str, ...]:
    """Give the profiles another image; the names of those it does not fit, which stay as they are.

    For an image of the shipped table each profile gets the image of that name in its own Region and for its own
    architecture. For any other image ``architecture`` must be given, and the profiles of that architecture in
    ``region`` (the default Region when left out) get it.

    Args:
        image_id: ``ami-`` and 8 or 17 hexadecimal digits.
        architecture: ``x86_64`` or ``arm64``, of an image that the table does not have.
        region: where that image is.
        username: its login name; guessed from ``image_name`` when left out, and else not changed.
        image_name: what it is called.

    Raises:
        UsageError: not an image id, or an unknown image without ``architecture``; nothing was changed.
        StateError: the file cannot be written; nothing was changed.
    """
    known = tables.image_by_id(image_id)
    row = known or _own_image(image_id, architecture or "", region, username, image_name)
    give = moves.with_image if known else moves.with_own_image
    left: tuple[str, ...] = ()

    def edit(profiles: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        nonlocal left
        changed, left = give(profiles, row)
        return changed

    _profiles().change(edit)
    return left


def reset_profiles(price_increase: float = 1.15, region: str | None = None, image: str | None = None) -> None:
    """Make new profiles for every instance type sold in a Region, capped at ``price_increase`` times the spot price.

    Profiles under names of your own stay as they are. The figures come from the shipped tables. What is not given
    is asked for, if there is a terminal to ask at.

    Args:
        price_increase: at least 1.
        region: the Region code.
        image: an image id of the shipped table, or the name or family of an image there.

    Raises:
        UsageError: an unknown Region or image, or nobody to ask; nothing was changed.
        StateError: the file cannot be written; nothing was changed.

    Example::

        sutils.reset_profiles(1.2, region="eu-west-1", image="ubuntu-24.04")
    """
    factor = _factor(price_increase)
    region = moves.known_region(region or _ask("Region", "region", tables.regions(), default_region()))
    choices = dict.fromkeys(row.name for row in tables.images(region))
    image = image or _ask("Image", "image", dict.fromkeys(choices, ""), images.DEFAULT_IMAGE_NAME)
    made = moves.fresh(region, image, factor)
    types = {kind.instance_type for kind in tables.types()}
    _profiles().change(
        lambda profiles: {name: own for name, own in profiles.items() if name not in types} | made,
    )
    Settings(realm(local_is_chosen())).set_region(region)


def refresh_prices(region: str | None = None, *, local: bool | None = None) -> Report:
    """Take today's prices from AWS into your own profiles, all of them or, if anything fails, none.

    ``min_price`` becomes the spot price of the cheapest zone. ``price`` becomes the on-demand price where it was one;
    a cap of your own stays, and so does no cap. Spot prices come in one question for each Region, on-demand prices
    from the Price List where that may be read.

    Args:
        region: only profiles of this Region; each in its own when left out.
        local: ask the local cloud; by default as ``SPOT_CONNECT_LOCAL`` says.

    Returns:
        How many profiles changed, how many were up to date, and which were left as they are, with the reason.

    Raises:
        UsageError: no profile is for ``region``; nothing was changed.
        AwsError: AWS refused; nothing was changed.
        StateError: the file cannot be written; nothing was changed.

    Example::

        report = sutils.refresh_prices()
        print(report.changed, report.left)
    """
    return refreshing.refresh_prices(_realm(local), region or "")


def refresh_images(region: str | None = None, *, local: bool | None = None) -> Report:
    """Take the ids of the newest images into your own profiles, all of them or, if anything fails, none.

    Each profile keeps the kind of image it has. Images of your own stay, and so do those that AWS names no newest of.
    A launch looks the newest up by itself; the ids in the profiles serve where the parameters may not be read then.

    Args:
        region: only profiles of this Region; each in its own when left out.
        local: ask the local cloud; by default as ``SPOT_CONNECT_LOCAL`` says.

    Returns:
        How many profiles changed, how many were up to date, and which were left as they are, with the reason.

    Raises:
        UsageError: no profile is for ``region``; nothing was changed.
        AwsError: AWS refused; nothing was changed.
        StateError: the file cannot be written; nothing was changed.

    Example::

        sutils.refresh_images("us-east-1").changed
    """
    return refreshing.refresh_images(_realm(local), region or "")


def get_default_kp_dir() -> str:
    """The directory private keys are kept in; on the local cloud, that of rehearsals.

    Raises:
        StateError: the settings file is damaged.
    """
    return str(Settings(realm(local_is_chosen())).key_directory)


def set_default_kp_dir(directory: str | Path) -> None:
    """Keep private keys in ``directory`` from now on; keys that exist stay where they are.

    Raises:
        UsageError: the directory is not named, or cannot be written; nothing was changed.
        StateError: the settings cannot be written.
    """
    if not str(directory):
        raise UsageError("no directory for private keys is named", advice=f"The present one is {get_default_kp_dir()}.")
    KeyFiles(directory).check_writable()
    Settings(realm(local_is_chosen())).set_key_directory(directory)


def create_instance_profile(name: str, role_or_policy: str, *, local: bool | None = None) -> InstanceProfile:
    """Make an instance profile, which ``-ip`` lends to an instance, and wait until IAM shows it; again is no error.

    Args:
        name: of the instance profile.
        role_or_policy: a role, or a managed policy like ``AmazonS3ReadOnlyAccess``, by name or ARN. For a policy the
            role ``spot-connect-<name>`` is made.
        local: use the local cloud; by default as ``SPOT_CONNECT_LOCAL`` says.

    Raises:
        AwsObjectMissing: there is no such role or policy.
        AwsError: IAM refused, or the instance profile has another role; it was not changed then.

    Example::

        sutils.create_instance_profile("instance_access_for_s3", "full_s3_access")
    """
    where = _realm(local)
    return instance_profiles.create(where.cloud(where.default_region), name, role_or_policy)


def list_instance_profiles(*, local: bool | None = None) -> tuple[InstanceProfile, ...]:
    """The instance profiles of the account by name, with their ARNs and roles.

    Raises:
        NotAuthorized: ``iam:ListInstanceProfiles`` is not allowed.
    """
    where = _realm(local)
    return instance_profiles.listed(where.cloud(where.default_region))


def show_instances(region: str | None = None, *, local: bool | None = None) -> dict[str, str]:
    """Print and return the state of every instance that spot-connect launched, by name.

    Args:
        region: where to look; by default the usual Region and those this computer has launched in.
        local: use the local cloud; by default as ``SPOT_CONNECT_LOCAL`` says.
    """
    where = _realm(local)
    regions = (region,) if region else usual_regions(where)
    states = {instance.name: instance.state for instance in finding.everything(where, regions)}
    say(str(states))
    return states


def doctor(profile: str | None = None, *, region: str | None = None, local: bool | None = None) -> DoctorReport:
    """Whether a launch would go well, as ``spot_connect doctor`` tells it; nothing is made or changed by that.

    Args:
        profile: a profile or an instance type; ``t3.micro`` when left out.
        region: where; by default where that profile is launched.
        local: look at the local cloud; by default as ``SPOT_CONNECT_LOCAL`` says.

    Returns:
        ``state``, the worst of ``findings``; each of them has ``check``, ``state`` (``ok``, ``warning``, ``fault``,
        ``unknown``), ``says``, ``mend`` and ``details``.

    Raises:
        UnknownProfile: there is no such profile or type.

    Example:
        >>> report = sutils.doctor("t3.micro")  # doctest: +SKIP
        >>> [finding.mend for finding in report.findings if finding.state == "fault"]  # doctest: +SKIP
        ['Run `aws sso login`.']
    """
    screen = Screen(local=local_is_chosen(local))
    return examined(choose_realm(local, screen), profile or "", region or "", "", screen)


def clear_key_pairs(yes: bool = False, *, region: str | None = None, local: bool | None = None) -> tuple[str, ...]:
    """Remove the key pairs that spot-connect made and that no live instance uses; their names.

    They go from AWS, and their private halves from this computer. The next launch makes new ones.

    Args:
        yes: do not ask; without a terminal to ask at it must be true.
        region: only this Region; by default all of the account.
        local: use the local cloud; by default as ``SPOT_CONNECT_LOCAL`` says.

    Raises:
        UsageError: nobody to ask; nothing was removed.
        AwsError: a Region cannot be looked at; nothing was removed.
    """
    screen = Screen(local=local_is_chosen(local))
    where = choose_realm(local, screen)
    unused = clearing.unused_key_pairs(where, region or "")
    if not unused or not (yes or _agreed(f"Remove {', '.join(sorted({pair.name for pair in unused}))}?")):
        return ()
    return clearing.remove_key_pairs(where, where.keys("", screen), unused, screen)


def list_bucket(bucket: str, prefix: str = "", *, local: bool | None = None) -> list[str]:
    """The keys in an S3 bucket that begin with ``prefix``, in alphabetical order.

    Raises:
        UsageError: that is no bucket's name.
        AwsObjectMissing: there is no such bucket.
        AwsError: AWS refused.

    Example:
        >>> sutils.list_bucket("my-data", "results/")  # doctest: +SKIP
        ['results/a.csv']
    """
    bucket_name(bucket)
    cloud = _cloud(local)
    buckets.must_exist(cloud, bucket)
    return list(buckets.keys(cloud, bucket, prefix))


def delete_from_bucket(bucket: str, keys: Sequence[str], *, local: bool | None = None) -> int:
    """Delete these keys from an S3 bucket; how many there were. Prefixes are not keys: see :func:`list_bucket`.

    Raises:
        UsageError: that is no bucket's name, or the keys are one text instead of a list; nothing was deleted.
        AwsObjectMissing: there is no such bucket.
        AwsError: AWS refused one of them; it names it.

    Example:
        >>> sutils.delete_from_bucket("my-data", sutils.list_bucket("my-data", "old/"))  # doctest: +SKIP
        12
    """
    if isinstance(keys, str):
        raise UsageError(f"cannot delete {keys!r}", "a list of keys is needed", "Write it as [key].")
    bucket_name(bucket)
    cloud = _cloud(local)
    buckets.must_exist(cloud, bucket)
    buckets.delete(cloud, bucket, list(keys))
    return len(keys)


def split_workloads(
    n_jobs: int, workload: Any, wrkdir: str | Path | None = None, filename: str | None = None
) -> list[str]:
    """Split a workload into pickle files, one for each job; the paths in order.

    There are as many files as jobs, fewer when there are fewer items; none is empty and their sizes differ by one
    item at the most. A list gives lists, a dictionary dictionaries, an array or data frame slices of its rows.

    Args:
        n_jobs: at least 1.
        workload: the items.
        wrkdir: where the files go; the current directory when left out.
        filename: the files are ``<filename>_0.pickle`` and so on; ``workload`` when left out.

    Raises:
        UsageError: ``n_jobs`` is no positive whole number, or the workload cannot be split or pickled.
        StateError: a file cannot be written.

    Example::

        sutils.split_workloads(3, list(range(10)), "work", "part")  # part_0.pickle, part_1.pickle, part_2.pickle
    """
    return split_to_files(n_jobs, workload, Path(wrkdir or "."), filename or "workload")


def _cloud(local: bool | None) -> Cloud:
    where = _realm(local)
    return where.cloud(where.default_region)


def _profiles() -> ProfileFile:
    return ProfileFile(realm(local_is_chosen()))


def _own_image(image_id: str, architecture: str, region: str | None, username: str, name: str) -> tables.ImageRow:
    images.image_id(image_id)
    if architecture not in images.ARCHITECTURES:
        call = f"change_default_image({image_id!r}, architecture='x86_64', username='ubuntu')"
        raise UsageError(f"image {image_id} is not in the table", "its architecture is needed", f"For example {call}.")
    where = moves.known_region(region or default_region())
    return tables.ImageRow(name, image_id, where, architecture, username or images.username_for(name), "", "", "")


def _factor(price_increase: float) -> Decimal:
    if isinstance(price_increase, bool) or not isinstance(price_increase, (int, float, Decimal)):
        raise UsageError(f"{price_increase!r} is not a number", advice="Give 1.15 for caps 15 % above the spot price.")
    return Decimal(str(price_increase))


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask at", advice="Give yes=True.")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _ask(what: str, argument: str, choices: Mapping[str, str], usual: str) -> str:
    """The user's choice by name or number; an empty answer is the usual one."""
    if not sys.stdin.isatty():
        raise UsageError(f"no {argument} was given and there is no terminal to ask at", advice=f"Give {argument}=...")
    names = list(choices)
    listed = "\n".join(f"{index:3} {name} {choices[name]}".rstrip() for index, name in enumerate(names, 1))
    answer = input(f"{listed}\n{what}, name or number [{usual}]: ").strip() or usual
    return names[int(answer) - 1] if answer.isdigit() and 0 < int(answer) <= len(names) else answer


def _realm(local: bool | None) -> Realm:
    return choose_realm(local, Screen(local=local_is_chosen(local)))
