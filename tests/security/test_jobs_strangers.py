"""Who may talk to the scheduler of distributed jobs: only those who have the key of the run."""

from __future__ import annotations

import asyncio

import pytest
from distributed import Client, Scheduler

from spot_connect.core.certificates import shared_secret
from spot_connect.crew.links import secured


def key_file(folder, name):
    path = folder / f"{name}.pem"
    path.write_text(shared_secret(name))
    return str(path)


async def answer_to(address, **options):
    async with Client(address, asynchronous=True, timeout=2, **options) as client:
        return await client.scheduler.identity()


@pytest.mark.parametrize("who", ["in plain TCP", "with the key of another run", "with the key of the run"])
def test_only_the_key_of_the_run_is_let_in(tmp_path, who):
    ours, other = key_file(tmp_path, "ours"), key_file(tmp_path, "other")

    async def ask():
        security = secured(ours)
        async with Scheduler(host="127.0.0.1", port=0, security=security, dashboard=False) as scheduler:
            if who == "in plain TCP":
                return await answer_to(scheduler.address.replace("tls://", "tcp://"))
            return await answer_to(scheduler.address, security=secured(ours if who.endswith("the run") else other))

    if who == "with the key of the run":
        assert asyncio.run(ask())["type"] == "Scheduler"
    else:
        with pytest.raises(OSError, match=r".+"):
            asyncio.run(ask())
