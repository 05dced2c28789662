"""The Keras callback with the real Keras: each training is a process of its own, as it is on an instance."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BACKENDS = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}
BACKEND = next((name for name, module in BACKENDS.items() if importlib.util.find_spec(module)), "")
REPOSITORY = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("keras") is None or not BACKEND,
    reason="Keras or its backend is not installed here: pip install keras jax",
)

TRAINING = """
import json, os, signal, sys
import keras, numpy
from pathlib import Path
from spot_connect.keras_callback import SpotTermination

CASE = json.loads(sys.argv[1])
EVENTS = []


class World(keras.callbacks.Callback):
    # What happens around the training; it comes before our callback.

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        EVENTS.append(epoch)

    def happens(self, place):
        if CASE.get("notice") == [self.epoch, *place]:
            Path(os.environ["SPOT_CONNECT_NOTICE_FILE"]).write_text(json.dumps({"deadline": 4e9, "seen": 0}))

    def on_train_batch_end(self, batch, logs=None):
        self.happens(["batch", batch])

    def on_test_batch_end(self, batch, logs=None):
        self.happens(["test", batch])

    def on_epoch_end(self, epoch, logs=None):
        self.happens(["end"])


def build():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


spot = SpotTermination(CASE.get("path"))
if CASE.get("weights"):
    model = spot.resume(build())
else:
    model = spot.resume() or build()
if CASE.get("term"):
    plain = model.save
    model.save = lambda path: (os.kill(os.getpid(), signal.SIGTERM), plain(path))
first, at_first = spot.epoch, int(model.optimizer.iterations)
x = numpy.arange(64, dtype="float32").reshape(32, 2) / 64
history = model.fit(
    x, x[:, :1], batch_size=8, epochs=3, initial_epoch=first, verbose=0, shuffle=False,
    validation_data=(x, x[:, :1]), validation_batch_size=8, callbacks=[World(), spot],
)
loss = float(numpy.asarray(model.evaluate(x, x[:, :1], verbose=0)))
print(json.dumps({
    "first": first, "at_first": at_first, "begun": EVENTS, "interrupted": spot.interrupted, "epoch": spot.epoch,
    "steps": int(model.optimizer.iterations), "loss": loss,
}))
if spot.interrupted:
    raise SystemExit(75)
"""


class Machine:
    """Where a training runs; the next one finds the directory of the last."""

    def __init__(self, root: Path, checkpoints: Path) -> None:
        self.notice = root / "notice.json"
        self.script = root / "train.py"
        self.script.write_text(TRAINING)
        self.checkpoints = checkpoints

    def trains(self, status: int = 0, **case: object) -> dict:
        """What the training tells of itself at its end."""
        environment = os.environ | {
            "KERAS_BACKEND": BACKEND,
            "PYTHONPATH": str(REPOSITORY),
            "SPOT_CONNECT_NOTICE_FILE": str(self.notice),
            "SPOT_CONNECT_CHECKPOINT_DIR": str(self.checkpoints),
        }
        done = subprocess.run(
            [sys.executable, str(self.script), json.dumps(case)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def machines(tmp_path):
    """A new machine each time, with the checkpoints of the last."""

    def made() -> Machine:
        root = tmp_path / f"machine-{len(list(tmp_path.iterdir()))}"
        root.mkdir()
        return Machine(root, tmp_path / "state")

    return made


def test_an_epoch_that_was_broken_off_is_begun_again_with_model_and_optimizer_as_they_were(machines):
    machine = machines()
    before = machine.trains(75, notice=[1, "batch", 1])
    assert (before["interrupted"], before["epoch"], before["begun"], before["steps"]) == (True, 1, [0, 1], 6)
    assert sorted(path.name for path in machine.checkpoints.iterdir()) == ["model.keras", "model.keras.json"]
    after = machines().trains()
    assert (after["first"], after["at_first"], after["begun"]) == (1, 6, [1, 2])
    assert (after["interrupted"], after["steps"]) == (False, 14)


def test_going_on_after_an_epoch_ends_where_an_unbroken_training_ends(machines):
    unbroken = machines().trains(path="unbroken.keras")
    assert not unbroken["interrupted"]
    before = machines().trains(75, notice=[0, "end"])
    assert (before["epoch"], before["begun"]) == (1, [0])
    after = machines().trains()
    assert (after["first"], after["begun"], after["steps"]) == (1, [1, 2], unbroken["steps"])
    assert after["loss"] == pytest.approx(unbroken["loss"], rel=1e-4)


def test_a_notice_during_validation_costs_no_epoch(machines):
    before = machines().trains(75, notice=[1, "test", 0])
    assert (before["epoch"], before["begun"], before["steps"]) == (2, [0, 1], 8)
    after = machines().trains()
    assert (after["first"], after["at_first"], after["begun"]) == (2, 8, [2])


def test_weights_alone_go_into_a_model_that_the_script_has_built(machines, tmp_path):
    path = str(tmp_path / "kept" / "m.weights.h5")
    before = machines().trains(75, notice=[0, "end"], path=path, weights=True)
    after = machines().trains(path=path, weights=True)
    assert (before["epoch"], after["first"], after["begun"]) == (1, 1, [1, 2])
    assert after["loss"] < before["loss"]


def test_sigterm_does_not_end_a_save(machines):
    machine = machines()
    assert machine.trains(75, notice=[0, "batch", 0], term=True)["interrupted"]
    assert machines().trains()["at_first"] == 1


def test_the_archive_that_is_sent_to_an_instance_has_it(tmp_path):
    from spot_connect.runs.agent import program

    (tmp_path / "agent.zip").write_bytes(program())
    line = "from spot_connect.keras_callback import SpotTermination as one; import inspect; print(inspect.getfile(one))"
    done = subprocess.run(
        [sys.executable, "-c", line],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"KERAS_BACKEND": BACKEND, "PYTHONPATH": str(tmp_path / "agent.zip")},
    )
    assert (done.returncode, "agent.zip" in done.stdout) == (0, True), done.stderr
