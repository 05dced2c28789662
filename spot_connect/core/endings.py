"""Why a machine has ended, or is about to, in words."""

from __future__ import annotations

from dataclasses import dataclass

from spot_connect.core.models import LIVE_STATES, Instance

_BY_EC2 = frozenset({"Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"})
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
_REASONS = {
    "Server.SpotInstanceTermination": "AWS took the spot instance away",
    "Server.SpotInstanceShutdown": "AWS took the spot instance away",
    "Server.InsufficientInstanceCapacity": "AWS had no capacity to start it",
    "Server.InternalError": "AWS had an error of its own",
    "Server.ScheduledStop": "AWS stopped it for a scheduled event",
    "Client.UserInitiatedShutdown": "somebody with your AWS account terminated it",
    "Client.InstanceInitiatedShutdown": "it shut itself down",
    "Client.InternalError": "it could not boot",
    "Client.VolumeLimitExceeded": "the account's limit of volumes is reached",
    "Client.InvalidSnapshot.NotFound": "the image's snapshot is gone",
}
# EC2 User Guide, "Spot Instance request status".
_STATUSES = {
    "marked-for-termination": "AWS is about to take the spot instance away",
    "marked-for-stop": "AWS is about to stop the spot instance",
    "instance-terminated-no-capacity": "AWS needs the capacity back",
    "instance-terminated-by-price": "the spot price has risen above the maximum",
    "instance-terminated-by-service": "AWS took the spot instance away",
    "instance-terminated-by-experiment": "an experiment of the AWS Fault Injection Service ended it",
    "instance-terminated-capacity-oversubscribed": "AWS needs the capacity back",
    "instance-terminated-launch-group-constraint": "another machine of its launch group has ended",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a machine ended; ``interrupted`` when AWS took it, and not its user, itself or a fault."""

    interrupted: bool
    words: str


def why_it_ended(instance: Instance) -> Ending:
    """The reason of an instance that no longer lives, from its state reason.

    Example:
        >>> why_it_ended(instance).words  # doctest: +SKIP
        'AWS took the spot instance away'
    """
    if instance.state in LIVE_STATES:
        return Ending(interrupted=False, words=f"it is {instance.state}")
    code = instance.state_reason
    unknown = f"it is {instance.state} ({code or 'AWS no longer knows why'})"
    return Ending(code in _BY_EC2, _REASONS.get(code, unknown))


def announced(status_code: str) -> Ending | None:
    """What the status of a spot request says about its instance; ``None`` while nothing is about to happen.

    The status changes when the notice is given, two minutes before the instance ends.

    Example:
        >>> announced("fulfilled") is None
        True
    """
    words = _STATUSES.get(status_code)
    return None if words is None else Ending(interrupted=True, words=words)
