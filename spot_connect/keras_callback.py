"""A Keras callback that saves the model when AWS takes the machine away, and the way back to it.

For code that runs on the instance. Under a detached run (``--detach True``) it can be imported without installing
anything; elsewhere it needs spot-connect. Keras 3 or 2 is imported when the class is, and not before. ::

    from spot_connect.keras_callback import SpotTermination

    spot = SpotTermination()
    model = spot.resume() or build()
    model.fit(x, y, epochs=50, initial_epoch=spot.epoch, callbacks=[spot])
    if spot.interrupted:
        raise SystemExit(75)

With status 75 a script says: not finished, go on elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spot_connect.interruption import notice

CHECKPOINT_DIR = "SPOT_CONNECT_CHECKPOINT_DIR"
"""Names the directory that every attempt at a run finds as the last one left it."""
_WEIGHTS = ".weights.h5"
_FORMATS = (".keras", ".h5", ".hdf5")
_MISSING = (
    "SpotTermination needs Keras, which cannot be imported here: {}\n"
    "  Install it with one of its backends, such as: pip install keras jax\n"
    "  With another backend than TensorFlow set KERAS_BACKEND to its name: jax or torch."
)


class _SpotTermination:
    """Saves the model when AWS gives notice that it takes this machine away, and ends the training.

    The notice is looked for after every batch and at the end of every epoch. It costs next to nothing.
    A batch should be done within 30 seconds: a quarter of the time from the notice to the end of the machine is the
    script's to end by itself, before it gets SIGTERM. Saving may take longer, for SIGTERM does not end it.

    Where a machine may fail without a notice, use Keras's own ``ModelCheckpoint`` beside it, with another path.

    Args:
        path: where the model is saved, with its optimizer: a ``.keras`` file, or one ending in ``.weights.h5`` for
            what ``save_weights`` saves. Without it, ``model.keras`` in ``$SPOT_CONNECT_CHECKPOINT_DIR``, or in the
            working directory where that is not set. A small file of the same name and ``.json`` holds the epoch.

    Attributes:
        path: where the model is saved.
        interrupted: whether the notice has come during the last ``fit``, and the model has been saved.
        epoch: what ``initial_epoch`` should be to go on. An epoch that the notice broke off is begun again.

    Example:
        >>> spot = SpotTermination()  # doctest: +SKIP
        >>> model = spot.resume() or build()  # doctest: +SKIP
        >>> model.fit(x, y, epochs=50, initial_epoch=spot.epoch, callbacks=[spot])  # doctest: +SKIP
        >>> if spot.interrupted:  # doctest: +SKIP
        ...     raise SystemExit(75)
    """

    model: Any

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self.path = Path(path) if path else Path(os.environ.get(CHECKPOINT_DIR) or ".") / "model.keras"
        if not self.path.name.endswith(_FORMATS):
            raise ValueError(f"cannot save a model in {self.path}: the name must end in .keras or {_WEIGHTS}")
        self.interrupted = False
        self.epoch = 0
        self._trains = False

    def resume(self, model: Any = None, **options: Any) -> Any:
        """The model as it was saved, or ``None`` when nothing has been; ``epoch`` is where to go on.

        Args:
            model: put the saved weights into this model, which is also the answer then; needed where ``path`` ends
                in ``.weights.h5``.
            options: go to ``keras.models.load_model``, e.g. ``custom_objects``.
        """
        if not self.path.exists():
            return model
        if model is not None:
            model.load_weights(str(self.path), **options)
        elif self.path.name.endswith(_WEIGHTS):
            raise ValueError(f"{self.path} has weights alone: build the model, compile it, and call resume(model)")
        else:
            model = _keras().models.load_model(str(self.path), **options)
        self.epoch = _epoch_in(self._epoch_file)
        return model

    def on_train_begin(self, logs: Any = None) -> None:
        """Keras calls this."""
        self.interrupted = False
        self._trains = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keras calls this."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keras calls this."""
        self._look(self.epoch)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keras calls this, also while ``fit`` validates: the epoch's training is over then."""
        if self._trains:
            self._look(self.epoch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keras calls this."""
        if not self.interrupted:
            self._look(epoch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        """Keras calls this."""
        self._trains = False

    @property
    def _epoch_file(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def _look(self, following: int) -> None:
        if self.interrupted or notice() is None:
            return
        with _undisturbed():
            self._save(following)
        self.interrupted = True
        self.epoch = following
        self.model.stop_training = True

    def _save(self, following: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The model comes first: whoever finds it with an older epoch does some work twice, and skips none.
        with _replacing(self.path) as temporary:
            if self.path.name.endswith(_WEIGHTS):
                self.model.save_weights(str(temporary))
            else:
                self.model.save(str(temporary))
        with _replacing(self._epoch_file) as temporary:
            temporary.write_text(json.dumps({"epoch": following}) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary name that becomes ``path`` when all has been written: a machine may go away in the middle."""
    # Keras knows the format by the end of the name.
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        descriptor = os.open(str(temporary), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    finally:
        if temporary.exists():
            temporary.unlink()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let SIGTERM wait for nothing but what is under way; one that the script handles itself is left to it."""
    is_ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if is_ours:
        signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _epoch_in(path: Path) -> int:
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["epoch"])
    except (OSError, ValueError, KeyError):
        return 0


def _keras() -> Any:
    """The Keras that is installed; the one of old, where TensorFlow is told to use that."""
    names = ["keras", "tf_keras", "tensorflow.keras"]
    if os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
        names.insert(0, "tf_keras")
    why = []
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            why.append(error)
    raise ImportError(_MISSING.format(why[0])) from why[0]


def __getattr__(name: str) -> Any:
    """The class itself is made when it is asked for first (PEP 562), since its base class is Keras's."""
    if name != "SpotTermination":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    bases = (_SpotTermination, _keras().callbacks.Callback)
    made = type(name, bases, {"__doc__": _SpotTermination.__doc__, "__module__": __name__})
    globals()[name] = made
    return made
