"""Every way spot-connect can refuse, one class per cause.

An error says three things: what could not be done to which object, what was said, and what to do
next. The console prints exactly these and exits with ``exit_code``.
"""

from __future__ import annotations

from spot_connect.core.few import few
from spot_connect.core.masking import masked
from spot_connect.core.untrusted import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class SpotConnectError(Exception):
    """Base of every error a user can meet. Passwords in links are masked in it.

    What instances, their servers and tags, or AWS have said may be in it, so each text becomes one line that is fit to
    show, wherever it is shown: on a terminal, in a notebook, in a traceback.

    Args:
        what: what could not be done, and to which object.
        said: what AWS, the server or the system said; empty when there is nothing to add.
        advice: what the user can do next; empty when there is nothing.

    Example:
        >>> str(SpotConnectError("cannot reach vm1", "connection refused", "try again"))
        'cannot reach vm1: connection refused. try again'
    """

    exit_code = 1
    runs_on: SpotConnectError | None = None
    """The same error without the words that a machine runs on and what it costs, where they were added."""

    def __init__(self, what: str, said: str = "", advice: str = "") -> None:
        self.what = printable(masked(what.strip()))
        self.said = printable(masked(said.strip()))
        self.advice = printable(masked(advice.strip()))
        super().__init__(self.what, self.said, self.advice)

    def __str__(self) -> str:
        text = f"{self.what}: {self.said}" if self.said else self.what
        return f"{text.rstrip('.')}. {self.advice}" if self.advice else text


class UsageError(SpotConnectError, ValueError):
    """The request itself is wrong; nothing was called and nothing was changed."""

    exit_code = 2


class UnknownProfile(UsageError):
    """No profile has that name."""


class VersionsDiffer(SpotConnectError):
    """Functions cannot be sent: this computer and the instances have other versions of Python or of dask."""


class InstanceNotFound(SpotConnectError):
    """No live instance has that name or id."""


class TagRefused(SpotConnectError):
    """A tag of the instance is not what it may be, so nothing is connected with it or made of it."""


class LocalCloudError(SpotConnectError):
    """The local cloud could not be started, reached or stopped."""


class StateError(SpotConnectError):
    """A file in the state directory cannot be read or written."""


class KeyMissing(SpotConnectError):
    """The private half of a key pair is not on this computer."""


class DeadlinePassed(SpotConnectError):
    """Something awaited did not happen in time."""


class AwsError(SpotConnectError):
    """AWS refused, or could not be asked.

    ``code`` is the AWS error code, for instance ``UnauthorizedOperation``; empty when AWS was not reached.
    """

    exit_code = 4

    def __init__(self, what: str, said: str = "", advice: str = "", code: str = "") -> None:
        super().__init__(what, said, advice)
        self.code = code


class NoCredentials(AwsError):
    """There are no usable AWS credentials, or they have expired."""


class NotAuthorized(AwsError):
    """The credentials are valid but may not do this."""


class NoCapacity(AwsError):
    """AWS has no spot capacity in the pools that were tried."""


class QuotaReached(AwsError):
    """An account limit stands in the way."""


class PriceTooLow(AwsError):
    """The maximum price is below the current spot price."""


class Throttled(AwsError):
    """AWS asks for fewer calls."""


class AwsObjectMissing(AwsError):
    """Something named in the request does not exist in this Region."""


class AwsUnreachable(AwsError):
    """The AWS endpoint did not answer."""


class RunNotFound(SpotConnectError):
    """No run has that id on the machine of that name."""


class RunInterrupted(SpotConnectError):
    """AWS has taken the machine of a run away, and nobody goes on with the run."""

    exit_code = 6


class NotAuthentic(SpotConnectError):
    """What came back was not made by who was asked."""


class SshError(SpotConnectError):
    """The SSH connection failed."""

    exit_code = 5


class UnreadableAnswer(SshError):
    """What the instance answers is not what its program answers."""


class SshUnreachable(SshError):
    """Nothing answers on the instance's SSH port."""


class SshRefused(SshError):
    """The server answered but did not accept our key and user name."""


class HostKeyChanged(SshError):
    """The server's host key is not the one that belongs to this instance."""


class HostKeyUnknown(SshError):
    """Nothing tells what host key the instance has, and none may be accepted on first sight."""


class SshLost(SshError):
    """The line broke while it was in use."""


class TransferFailed(SshError):
    """A file could not be uploaded or downloaded."""


class PartlyFailed(SpotConnectError):
    """Of several instances, some could not do what was asked.

    ``succeeded`` has what the others made, and ``failed`` the error of each that failed; both by the instance's name.
    """

    def __init__(self, succeeded: Mapping[str, Any], failed: Mapping[str, SpotConnectError]) -> None:
        super().__init__(
            f"{len(failed)} of {len(failed) + len(succeeded)} failed",
            few([f"{name}: {error}" for name, error in failed.items()], between="; "),
        )
        self.succeeded = dict(succeeded)
        self.failed = dict(failed)


class ScriptFailed(SpotConnectError):
    """A script or command on the instance ended with a status other than 0.

    ``exit_status`` is that status (128 + n when signal n ended it) and is also the console's exit code;
    ``output`` is what was captured of its output, empty when it was streamed.
    """

    def __init__(self, what: str, exit_status: int, output: str = "", advice: str = "") -> None:
        super().__init__(what, f"exit status {exit_status}", advice)
        self.exit_status = exit_status
        self.output = output

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """The script's own status, so that the console cannot turn a failure into something else."""
        return self.exit_status
