"""The elastic file systems that boxes share: one directory for each, which outlives every box."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from spot_connect.core.errors import LocalCloudError
from spot_connect.local.boxes.layout import close


class FileSystems:
    """The directories below ``root``; ``uid`` is the user that all boxes are, ``None`` the daemon's own."""

    def __init__(self, root: Path, uid: int | None) -> None:
        self.root = root
        self._uid = uid

    def directory(self, file_system_id: str) -> Path:
        """The directory of a file system, made if missing, and writable to every box.

        Raises:
            LocalCloudError: that is not the id of a file system.
        """
        if not file_system_id.startswith("fs-") or "/" in file_system_id:
            raise LocalCloudError(f"{file_system_id!r} cannot name a file system")
        # Boxes without namespaces go to it by its path.
        close(self.root, self._uid)
        path = self.root / file_system_id
        if not path.is_dir():
            path.mkdir(mode=0o755)
            if self._uid is not None:
                os.chown(path, self._uid, self._uid)
        return path

    def remove(self, file_system_id: str) -> None:
        """Delete a file system with everything in it."""
        shutil.rmtree(self.directory(file_system_id), ignore_errors=True)

    def clear(self) -> None:
        """Delete all of them."""
        shutil.rmtree(self.root, ignore_errors=True)
