"""What our own program cannot do is a failure of the job, with its text: nobody tries it again for ever."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from distributed.scheduler import KilledWorker

from spot_connect.crew import head as heads
from spot_connect.crew import tasks
from spot_connect.crew.archives import Damaged, pack, unpack
from spot_connect.crew.batch import row
from spot_connect.interruption import files, runner
from tests.unit.test_head import batch, begun, waits  # noqa: F401 - the first is a fixture


class Done:
    """What dask tells of a task that has ended."""

    def __init__(self, status, said=None):
        self.status = status
        self.said = said

    def done(self):
        return True

    async def exception(self):
        return self.said

    async def result(self):
        return self.said


def handed(batch, *, shared, status, said):  # noqa: F811
    """A head that has got one task back."""
    files.write(batch.directory / "spec.json", {**batch.spec, "shared": shared})
    head = begun(batch)
    head._backlog.take()
    head._jobs[0].tries = 1
    head._handed[0] = Done(status, said)
    return head


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("error", [TypeError("unexpected keyword argument 'filter'"), OSError(28, "No space left")])
def test_an_error_of_ours_fails_the_job_and_is_read_in_its_log(batch, shared, error):  # noqa: F811
    head = handed(batch, shared=shared, status="error", said=error)
    asyncio.run(head._gather())
    told = row(batch.job(0))
    assert (told["state"], told["failures"], told["interruptions"]) == ("failed", 1, 0)
    assert str(error) in told["why"]
    assert str(error) in batch.job(0).attempt(1).log.read_text()
    assert waits(head) == []


@pytest.mark.parametrize("packed", [b"no archive", None])
def test_what_cannot_be_unpacked_here_fails_the_job_and_not_the_head(batch, packed):  # noqa: F811
    head = handed(batch, shared=False, status="finished", said=packed)
    asyncio.run(head._gather())
    told = row(batch.job(0))
    assert (told["state"], told["interruptions"]) == ("failed", 0)
    assert "it could not be run" in told["why"]


def test_a_job_that_cannot_be_sent_fails_and_the_others_are_handed_out(batch, monkeypatch):  # noqa: F811
    files.write(batch.directory / "spec.json", {**batch.spec, "shared": False})
    (batch.job(1).directory / "attempts").mkdir(parents=True)
    head = begun(batch)
    sent = []

    def packed(place):
        if place == batch.job(0).directory:
            raise PermissionError(13, "Permission denied")
        return pack(place)

    def submit(*given, **settings):
        sent.append(given[2])
        return Future()

    class Future(Done):
        def __init__(self):
            super().__init__("pending")

        def add_done_callback(self, _):
            pass

    class Worker:
        nthreads = 5

    monkeypatch.setattr(heads, "pack", packed)
    head._client.submit = submit
    head._scheduler.running = [Worker()]
    monkeypatch.setattr(head._visitors, "slots", lambda: 0)
    asyncio.run(head._hand_out())
    assert "Permission denied" in row(batch.job(0))["why"]
    assert sent == ["00001"]


@pytest.mark.parametrize("status", ["error", "lost", "cancelled"])
def test_a_machine_that_is_gone_is_an_interruption(batch, status):  # noqa: F811
    head = handed(
        batch, shared=False, status=status, said=KilledWorker("task", SimpleNamespace(address="tls://10.0.0.5:1"), 0)
    )
    asyncio.run(head._gather())
    told = row(batch.job(0))
    assert (told["state"], told["failures"], told["interruptions"]) == ("waiting", 0, 1)
    assert waits(head) == [0]


def test_a_keeper_that_ends_again_and_again_ends_the_job(batch):  # noqa: F811
    files.write(batch.job(0).directory / "spec.json", {"retries": 0, "title": "job.sh"})
    head = handed(batch, shared=False, status="error", said=tasks.KeeperLost("attempt 1"))
    for number in range(1, 6):
        assert batch.job(0).end() is None
        head._jobs[0].tries = number
        head._handed[0] = Done("error", tasks.KeeperLost("attempt"))
        asyncio.run(head._gather())
    assert batch.job(0).end()["outcome"] == "failed"


@pytest.mark.parametrize("broken", ["_placed", "_one", "_close"])
def test_a_runner_that_fails_says_so_and_its_attempt_has_failed(batch, monkeypatch, broken):  # noqa: F811
    def fails(*_):
        raise RuntimeError("no such luck")

    run = batch.job(0)
    (run.directory / "scripts").mkdir()
    (run.directory / "scripts" / "0-job.sh").write_text("true\n")
    monkeypatch.setattr(runner.Runner, broken, fails)
    assert runner.begin(run, 1, "i-1") == 0
    assert (run.end()["outcome"], run.outcomes()) == ("failed", ["failed"])
    assert "no such luck" in run.end()["why"]
    assert "no such luck" in run.attempt(1).log.read_text()


def test_a_file_system_that_does_not_answer_for_a_while_does_not_end_a_script(batch, monkeypatch):  # noqa: F811
    run = batch.job(0)
    (run.directory / "scripts").mkdir()
    (run.directory / "scripts" / "0-job.sh").write_text("sleep 1\n")
    looks = iter([None])
    look = runner.Runner._look

    def sometimes(self):
        if next(looks, "away") == "away":
            raise OSError(5, "Input/output error")
        look(self)

    monkeypatch.setattr(runner.Runner, "_look", sometimes)
    runner.begin(run, 1, "i-1")
    assert run.end()["outcome"] == "succeeded"


def test_a_damaged_archive_is_said_to_be_one(tmp_path):
    with pytest.raises(Damaged, match="cannot be unpacked"):
        unpack(b"x" * 600, tmp_path)
