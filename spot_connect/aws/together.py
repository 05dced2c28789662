"""Questions to AWS that many threads have at the same time, asked in few calls.

Requests are what AWS limits, by tokens that come back at some twenty a second for a whole account:
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from spot_connect.aws.session import Cloud

K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")
_MOST_VALUES = 200


def batches(values: Collection[str]) -> Iterator[list[str]]:
    """The values in parts of at most 200: EC2 takes no more in one filter."""
    listed = list(values)
    return (listed[first : first + _MOST_VALUES] for first in range(0, len(listed), _MOST_VALUES))


def once(ask: Callable[Concatenate[Cloud, P], V]) -> Callable[Concatenate[Cloud, P], V]:
    """``ask``, called once for all who ask the same at the same time; what it takes must be hashable."""

    @wraps(ask)
    def shared(cloud: Cloud, *arguments: P.args, **named: P.kwargs) -> V:
        def answer(_: Collection[None]) -> Mapping[None, V]:
            return {None: ask(cloud, *arguments, **named)}

        question = (ask, arguments, tuple(sorted(named.items())))
        told: V = cloud.shared(question, answer)(None)
        return told

    return cast("Callable[Concatenate[Cloud, P], V]", shared)


def in_one_call(
    ask: Callable[[Cloud, Collection[K]], Mapping[K, V]],
) -> Callable[[Cloud, K], V]:
    """``ask``, which tells of several keys, as a function of one key; those asked for at the same time go together."""

    @wraps(ask)
    def shared(cloud: Cloud, key: K) -> V:
        answer: Callable[[Any], Any] = partial(ask, cloud)
        found: V = cloud.shared(ask, answer)(key)
        return found

    return shared
