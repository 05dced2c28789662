"""Policies of IAM as far as identities have them: actions, resources and conditions; nothing of moto's.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from spot_connect.core.errors import LocalCloudError

Statement = Mapping[str, Any]
Values = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Need:
    """One right that a call needs; ``context`` holds the condition keys that there are, in small letters."""

    action: str
    resource: str = "*"
    context: Mapping[str, Values] = field(default_factory=dict)


def statements(policy: Any) -> tuple[Statement, ...]:
    """The statements of a policy document.

    Raises:
        LocalCloudError: it is no policy, or holds something that would not be heeded here.

    Example:
        >>> statements({"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}})[0]["Effect"]
        'Allow'
    """
    found = policy.get("Statement") if isinstance(policy, dict) else None
    listed = [found] if isinstance(found, dict) else found
    if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
        raise LocalCloudError("cannot use the policy", 'it is no JSON object with a "Statement"')
    for one in listed:
        _check(one)
    return tuple(listed)


def decide(policies: Iterable[Statement], need: Need) -> str:
    """``Allow``, ``Deny`` or, where no statement is about it, nothing; a denial has the last word."""
    effects = {one["Effect"] for one in policies if _is_about(one, need)}
    return "Deny" if "Deny" in effects else "Allow" if effects else ""


def _check(statement: Statement) -> None:
    name = str(statement.get("Sid") or "a statement")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise LocalCloudError("cannot use the policy", f"{name} neither allows nor denies")
    for kind in ("Action", "Resource"):
        if kind not in statement:
            raise LocalCloudError("cannot use the policy", f"{name} has no {kind}, and Not{kind} is not heeded here")
    for operator, keys in dict(statement.get("Condition") or {}).items():
        if _test(operator) is None:
            raise LocalCloudError("cannot use the policy", f"{name} has {operator}, which is not heeded here")
        if any("${" in value for values in keys.values() for value in _listed(values)):
            raise LocalCloudError("cannot use the policy", f"{name} has a variable, and those are not heeded here")


def _is_about(statement: Statement, need: Need) -> bool:
    return (
        any(_like(one.lower(), need.action.lower()) for one in _listed(statement["Action"]))
        and any(_like(one, need.resource) for one in _listed(statement["Resource"]))
        and all(
            _holds(operator, _listed(wanted), need.context.get(key.lower()))
            for operator, keys in (statement.get("Condition") or {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, wanted: Sequence[str], found: Values | None) -> bool:
    name, is_optional = re.subn("IfExists$", "", operator)
    if name == "Null":
        return (found is None) == (wanted[0] == "true")
    if found is None:
        # Of no values it is true that all are so.
        return bool(is_optional) or name.startswith("ForAllValues:") or "Not" in name
    test = _test(operator)
    assert test is not None  # noqa: S101 - policies are checked when they are read
    hits = [any(test(one, value) for one in wanted) for value in found]
    if "Not" in name:
        return not any(hits)
    return all(hits) if name.startswith("ForAllValues:") else any(hits)


def _test(operator: str) -> Callable[[str, str], bool] | None:
    """How a value that is wanted and one that is found are compared; negations are left to the caller."""
    name = re.sub("IfExists$", "", operator.removeprefix("ForAllValues:").removeprefix("ForAnyValue:"))
    return {
        "StringEquals": str.__eq__,
        "StringNotEquals": str.__eq__,
        "StringEqualsIgnoreCase": lambda one, other: one.lower() == other.lower(),
        "StringLike": _like,
        "StringNotLike": _like,
        "ArnEquals": _like,
        "ArnLike": _like,
        "Bool": lambda one, other: one.lower() == other.lower(),
        "Null": str.__eq__,
    }.get(name)


def _listed(value: Any) -> list[str]:
    return (
        [str(one) for one in value]
        if isinstance(value, list)
        else [str(value).lower() if value in (True, False) else str(value)]
    )


def _like(pattern: str, text: str) -> bool:
    return bool(_pattern(pattern).fullmatch(text))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    parts = [{"*": ".*", "?": "."}.get(one, re.escape(one)) for one in text]
    return re.compile("".join(parts), re.DOTALL)
