"""The Region of the user's AWS settings, read without a session: to make one takes longer than `find` itself."""

from __future__ import annotations

import os
from collections.abc import Mapping

from spot_connect.aws.refusals import asking


def configured_region() -> str:
    """The Region that the user's AWS settings say; empty where they say none.

    That is the one of ``AWS_REGION``, ``AWS_DEFAULT_REGION`` or the AWS profile. The files are read in any case, so
    that a profile which is not there is told of now.

    Raises:
        NoCredentials: a file cannot be read, or there is no such profile.
    """
    with asking("read your AWS configuration"):
        configured = _profile().get("region", "")
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or configured


def _profile() -> Mapping[str, str]:
    from botocore.exceptions import ProfileNotFound

    profiles = _profiles()
    # The order is botocore's.
    name = os.environ.get("AWS_DEFAULT_PROFILE", os.environ.get("AWS_PROFILE"))
    if name is None:
        return profiles.get("default", {})
    if name not in profiles:
        raise ProfileNotFound(profile=name)
    return profiles[name]


def _profiles() -> dict[str, Mapping[str, str]]:
    """What both files say of each profile; the credentials file has the last word, as in botocore."""
    from botocore.configloader import load_config, raw_config_parse
    from botocore.exceptions import ConfigNotFound

    found: dict[str, Mapping[str, str]] = {}
    for variable, usual, read in (
        ("AWS_CONFIG_FILE", "~/.aws/config", lambda path: load_config(path)["profiles"]),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", raw_config_parse),
    ):
        try:
            said = read(os.environ.get(variable, usual))
        except ConfigNotFound:
            continue
        found |= {name: {**found.get(name, {}), **more} for name, more in said.items()}
    return found
