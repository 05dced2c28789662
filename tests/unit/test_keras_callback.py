"""The Keras callback without Keras: old Pythons, what it says, and what it does with its files."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from spot_connect import keras_callback

SOURCE = Path(keras_callback.__file__)


@pytest.fixture
def told(tmp_path, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_NOTICE_FILE", str(tmp_path / "notice.json"))
    monkeypatch.setenv("SPOT_CONNECT_CHECKPOINT_DIR", str(tmp_path / "state"))

    def told():
        (tmp_path / "notice.json").write_text(json.dumps({"deadline": 0, "seen": 0}))

    return told


class Model:
    """What a callback sees of a model."""

    stop_training = False
    fails = False

    def save(self, path):
        """Write something, or fail in the middle."""
        Path(path).write_text("half")
        if self.fails:
            raise OSError("No space left on device")
        Path(path).write_text("whole")


@pytest.fixture
def spot(told, monkeypatch):
    keras = types.ModuleType("keras")
    keras.callbacks = types.SimpleNamespace(Callback=type("Callback", (), {}))
    keras.models = types.SimpleNamespace(load_model=lambda path, **options: (Path(path).read_text(), options))
    monkeypatch.setitem(sys.modules, "keras", keras)
    monkeypatch.delitem(vars(keras_callback), "SpotTermination", raising=False)
    from spot_connect.keras_callback import SpotTermination

    spot = SpotTermination()
    spot.model = Model()
    yield spot
    monkeypatch.delitem(vars(keras_callback), "SpotTermination")


def test_it_is_python_of_2018_and_needs_the_standard_library_alone():
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 7))
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    strangers = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert strangers == {"spot_connect.interruption"}


def test_without_keras_what_to_install_is_told_and_the_module_can_be_imported():
    line = "import sys; sys.modules.update({n: None for n in ('keras', 'tf_keras', 'tensorflow')});"
    line += "import spot_connect.keras_callback; print('imported');"
    line += "from spot_connect.keras_callback import SpotTermination"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "imported\n")
    assert "ImportError: SpotTermination needs Keras" in done.stderr
    assert "pip install keras jax" in done.stderr


def test_the_class_is_made_once(spot):
    assert keras_callback.SpotTermination is type(spot)
    with pytest.raises(AttributeError, match="Nothing"):
        _ = keras_callback.Nothing


def test_without_a_notice_nothing_is_written(spot):
    spot.on_train_begin()
    spot.on_epoch_begin(0)
    spot.on_train_batch_end(0)
    spot.on_epoch_end(0)
    assert not spot.path.parent.exists()
    assert (spot.interrupted, spot.model.stop_training, spot.resume()) == (False, False, None)


def test_at_the_notice_the_model_is_saved_once_and_the_training_ends(spot, told):
    spot.on_train_begin()
    spot.on_epoch_begin(3)
    told()
    spot.on_train_batch_end(0)
    assert (spot.interrupted, spot.epoch, spot.model.stop_training) == (True, 3, True)
    spot.path.write_text("as it was")
    spot.on_train_batch_end(1)
    spot.on_epoch_end(3)
    assert (spot.path.read_text(), spot.epoch) == ("as it was", 3)
    again = type(spot)()
    assert again.resume(compile=False) == ("as it was", {"compile": False})
    assert again.epoch == 3


def test_a_save_that_fails_leaves_the_last_one_and_says_so(spot, told):
    spot.path.parent.mkdir()
    spot.path.write_text("earlier")
    told()
    spot.model.fails = True
    with pytest.raises(OSError, match="No space"):
        spot.on_train_batch_end(0)
    assert [path.read_text() for path in spot.path.parent.iterdir()] == ["earlier"]
    assert not spot.interrupted
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_script_that_handles_sigterm_itself_goes_on_doing_so(spot, told, monkeypatch):
    heard = []
    signal.signal(signal.SIGTERM, lambda *_: heard.append("TERM"))
    try:
        monkeypatch.setattr(spot.model, "save", lambda path: (os.kill(os.getpid(), signal.SIGTERM), Path(path).touch()))
        told()
        spot.on_train_batch_end(0)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert heard == ["TERM"]


def test_a_name_that_keras_would_not_know_is_refused(spot):
    with pytest.raises(ValueError, match=r"must end in \.keras"):
        type(spot)("model.pickle")


def test_evaluating_outside_of_a_training_saves_nothing(spot, told):
    told()
    spot.on_test_batch_end(0)
    assert not spot.interrupted


def test_a_damaged_epoch_is_the_first(spot, told):
    told()
    spot.on_epoch_end(4)
    spot.path.with_name("model.keras.json").write_text("{")
    spot.resume()
    assert spot.epoch == 0
