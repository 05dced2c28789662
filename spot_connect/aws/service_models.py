"""What botocore must know of AWS, cut down to what we call: to read all of it takes longer than most calls."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

SERVICES = ("ec2", "efs", "iam", "pricing", "s3", "service-quotas", "ssm", "sts")
"""Every service that a client is made for."""

_FOR_CREDENTIALS = ("signin", "sso", "sso-oidc", "sts")
"""What botocore itself asks for credentials, depending on where they come from."""

EC2_OPERATIONS = frozenset(
    {
        "AuthorizeSecurityGroupIngress",
        "CancelSpotInstanceRequests",
        "CreateFleet",
        "CreateLaunchTemplate",
        "CreateSecurityGroup",
        "CreateTags",
        "DeleteFleets",
        "DeleteKeyPair",
        "DeleteLaunchTemplate",
        "DescribeFleets",
        "DescribeImages",
        "DescribeInstanceAttribute",
        "DescribeInstanceTypes",
        "DescribeInstances",
        "DescribeKeyPairs",
        "DescribeLaunchTemplates",
        "DescribeRegions",
        "DescribeRouteTables",
        "DescribeSecurityGroupRules",
        "DescribeSecurityGroups",
        "DescribeSpotInstanceRequests",
        "DescribeSpotPriceHistory",
        "DescribeSubnets",
        "GetConsoleOutput",
        "ImportKeyPair",
        "RevokeSecurityGroupIngress",
        "RunInstances",
        "TerminateInstances",
    }
)
"""Every EC2 operation that this package calls; a client knows no other."""

_FORMAT = 1


class Cache(Protocol):
    """Keeps bytes by name from one process to the next; may forget any of them, and never fails."""

    def get(self, name: str) -> bytes | None:
        """What was put under the name, unless it is forgotten."""

    def put(self, name: str, data: bytes) -> None:
        """Keep ``data`` under the name if that is possible."""


def trimmed(model: Mapping[str, Any], operations: frozenset[str]) -> dict[str, Any]:
    """A service model with ``operations`` alone, the shapes that they need, and no documentation.

    Example:
        >>> trimmed({"metadata": {}, "operations": {"A": {"input": {"shape": "X"}}, "B": {}},
        ...          "shapes": {"X": {"type": "string", "documentation": "long"}, "Y": {}}}, frozenset({"A"}))
        {'metadata': {}, 'operations': {'A': {'input': {'shape': 'X'}}}, 'shapes': {'X': {'type': 'string'}}}
    """
    kept = {name: operation for name, operation in model["operations"].items() if name in operations}
    needed: set[str] = set()
    ahead = list(_shapes_in(kept))
    while ahead:
        name = ahead.pop()
        if name not in needed:
            needed.add(name)
            ahead.extend(_shapes_in(model["shapes"][name]))
    shapes = {name: shape for name, shape in model["shapes"].items() if name in needed}
    rest = {key: value for key, value in model.items() if key not in ("operations", "shapes", "documentation")}
    return {**rest, "operations": _undocumented(kept), "shapes": _undocumented(shapes)}


def _shapes_in(tree: Any) -> Iterator[str]:
    """The names of the shapes that a part of a model refers to."""
    if isinstance(tree, dict):
        if isinstance(tree.get("shape"), str):
            yield tree["shape"]
        for value in tree.values():
            yield from _shapes_in(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _shapes_in(value)


def _undocumented(tree: Any) -> Any:
    if isinstance(tree, dict):
        # A member of a structure may be called so, too; then it is a mapping.
        return {
            key: _undocumented(value)
            for key, value in tree.items()
            if not (key == "documentation" and isinstance(value, str))
        }
    return [_undocumented(value) for value in tree] if isinstance(tree, list) else tree


def quick_session(cache: Cache | None, variables: Mapping[str, Any] | None = None) -> Any:
    """A botocore session that does not search the disk for services, and reads of EC2 what we call.

    The cut model is made of botocore's own when first needed, once for each version of botocore, and kept in
    ``cache``. Models that the user has put beside botocore's (``AWS_DATA_PATH``, ``~/.aws/models``) are left whole.
    A service that is neither ours nor known to give credentials is looked for as botocore does it.

    Args:
        cache: where the cut model is kept.
        variables: where the session takes its settings from instead, as botocore's ``session_vars``.
    """
    from botocore.loaders import Loader, instance_cache
    from botocore.session import Session

    known = (*SERVICES, *_FOR_CREDENTIALS)

    class OurServices(Loader):  # type: ignore[misc]
        def list_available_services(self, type_name: str) -> list[str]:
            return list(known)

        @instance_cache  # type: ignore[untyped-decorator, unused-ignore]
        def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
            if service_name not in known:
                return Loader(_data_paths(session)).load_service_model(service_name, type_name, api_version)

            def whole() -> Any:
                return super(OurServices, self).load_service_model(service_name, type_name, api_version)

            if (service_name, type_name, api_version) != ("ec2", "service-2", None) or _has_own_ec2(self):
                return whole()
            return _kept(cache, lambda: trimmed(whole(), EC2_OPERATIONS))

    session = Session(session_vars=variables)
    session.register_component("data_loader", OurServices(_data_paths(session)))
    return session


def _data_paths(session: Any) -> list[str] | None:
    """A new list each time: botocore's loader adds its own paths to it."""
    paths = session.get_config_variable("data_path")
    return [os.path.expanduser(os.path.expandvars(path)) for path in paths.split(os.pathsep)] if paths else None  # noqa: PTH111


def _has_own_ec2(loader: Any) -> bool:
    others = (Path(path, "ec2") for path in loader.search_paths if not loader.is_builtin_path(path))
    return any(found for place in others for found in place.glob("*/service-2.json*"))


def _kept(cache: Cache | None, make: Any) -> Any:
    name = _cache_name()
    found = cache.get(name) if cache else None
    try:
        return json.loads(found or b"")
    except ValueError:
        made = make()
    if cache:
        cache.put(name, json.dumps(made, separators=(",", ":")).encode())
    return made


def _cache_name() -> str:
    from botocore import __version__

    known = hashlib.sha256("\n".join([str(_FORMAT), *sorted(EC2_OPERATIONS)]).encode()).hexdigest()[:12]
    return f"ec2-{__version__}-{known}.json"
