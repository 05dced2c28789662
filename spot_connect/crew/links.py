"""How the head and the members talk: dask over TLS, with the one key of their run."""

from __future__ import annotations

import dask
from distributed import Security

from spot_connect.crew.batch import Batch

_SETTINGS = {
    # What is queued at a machine is stranded when the machine goes: the head holds the backlog.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.worker.profile.enabled": False,
    "distributed.comm.timeouts.connect": "5s",
    "distributed.admin.system-monitor.interval": "10s",
}


def settle() -> None:
    """Set dask up for this process."""
    dask.config.set(_SETTINGS)


def security(batch: Batch) -> Security:
    """Who does not have the run's key is refused, and can read nothing."""
    return secured(str(batch.directory / "tls.pem"))


def secured(key: str) -> Security:
    """The same with the key itself, as text, or as the path of its file."""
    parts = {f"tls_{role}_{kind}": key for role in ("scheduler", "worker", "client") for kind in ("cert", "key")}
    return Security(require_encryption=True, tls_ca_file=key, **parts)
