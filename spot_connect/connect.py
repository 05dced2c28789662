"""The console script."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status.

    0 ok, 1 failure, 2 wrong usage, 4 AWS refused, 5 SSH, 6 interrupted by AWS, 130 Ctrl-C, 143 SIGTERM; a
    script's own status other than 0 is passed on.

    Example:
        >>> main(["--version"])  # doctest: +SKIP
        0
    """
    import atexit
    import gc

    # Start-up makes many objects that live on; to look through them every 700 times finds no garbage, and takes time.
    gc.set_threshold(100_000, 20, 20)
    # At the end Python would look through all of them twice more, for what goes with the process anyway.
    atexit.register(gc.freeze)
    from spot_connect.console.app import run

    return run(argv)
