"""Errors in words, and the exit status that goes with each; what is wrong with a flag is said at once."""

from __future__ import annotations

import os
import sys

from spot_connect.core.errors import SpotConnectError
from spot_connect.core.untrusted import printable

INTERRUPTED = 130
_BROKEN_PIPE = 141


def tell(error: BaseException, *, debug: bool) -> int:
    """Say what went wrong on standard error; the exit status for it."""
    if debug:
        import traceback

        # Errors of other libraries, which may quote anybody, are in it, too.
        for line in "".join(traceback.format_exception(error)).splitlines():
            _write(line)
    if isinstance(error, SpotConnectError):
        _write(f"spot_connect: {error.what}: {error.said}" if error.said else f"spot_connect: {error.what}")
        if error.advice:
            _write(f"  {error.advice}")
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return _tell_end(error)
    if isinstance(error, BrokenPipeError):
        # Python would complain once more when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    kind = type(error).__name__
    _write(f"spot_connect: this is a bug in spot-connect: {kind}: {error}")
    if not debug:
        _write("  Run the same command with --debug, and report what it prints.")
    return 1


def _tell_end(error: KeyboardInterrupt) -> int:
    from spot_connect.console.ended import Terminated

    if isinstance(error, Terminated):
        _write("spot_connect: terminated")
        return 128 + int(error.args[0])
    _write("spot_connect: interrupted")
    return INTERRUPTED


def _write(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")
