"""One question to many Regions at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from spot_connect.core.errors import AwsError, NoCredentials
from spot_connect.core.reporting import Reporter

T = TypeVar("T")


def ask_each(regions: Sequence[str], ask: Callable[[str], T], reporter: Reporter) -> dict[str, T]:
    """The answers by Region, in the order of ``regions``.

    A Region that refuses, such as one that a policy closes, is passed over with a warning as long as another answers.

    Raises:
        AwsError: no Region answered, or there are no credentials for any.
    """
    answers: dict[str, T] = {}
    refusals: dict[str, AwsError] = {}
    with ThreadPoolExecutor(max_workers=16) as pool:
        for region, pending in [(region, pool.submit(ask, region)) for region in regions]:
            try:
                answers[region] = pending.result()
            except NoCredentials:
                raise
            except AwsError as error:
                refusals[region] = error
    for region, refusal in refusals.items():
        if not answers:
            raise refusal
        reporter.warn(f"no prices of {region}: {refusal.said or refusal.what}")
    return answers
