"""EC2's refusals, word for word where AWS's words are known."""

from __future__ import annotations

from collections.abc import Sequence

from moto.ec2.exceptions import EC2ClientError

_NO_CAPACITY = "InsufficientInstanceCapacity"


def refusal(code: str, message: str) -> EC2ClientError:
    """An EC2 error to raise."""
    return EC2ClientError(code, message)


class NoCapacity(EC2ClientError):  # type: ignore[misc, unused-ignore]
    """The pool is empty, which RunInstances tells with a status of its own."""


def no_capacity(instance_type: str, zone: str, *, spot: bool) -> NoCapacity:
    """The pool has no machine left."""
    if spot:
        return NoCapacity(_NO_CAPACITY, "There is no Spot capacity available that matches your request.")
    return NoCapacity(
        _NO_CAPACITY,
        f"We currently do not have sufficient {instance_type} capacity in the Availability Zone you requested "
        f"({zone}). Our system will be working on provisioning additional capacity.",
    )


def price_too_low(offered: str, needed: str) -> EC2ClientError:
    """The maximum price is below the current price."""
    return refusal(
        "SpotMaxPriceTooLow",
        f"Your Spot request price of {offered} is lower than the minimum required "
        f"Spot request fulfillment price of {needed}.",
    )


def wrong_architecture(of_type: str, of_image: str) -> EC2ClientError:
    """An image of one processor on a type of another."""
    return refusal(
        "InvalidParameterValue",
        f"The architecture '{of_type}' of the specified instance type does not match "
        f"the architecture '{of_image}' of the specified AMI. Specify an instance type and an AMI that have matching "
        "architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to discover the "
        "architecture of the instance type or AMI.",
    )


def not_offered(instance_type: str, zone: str, zones: Sequence[str]) -> EC2ClientError:
    """The zone has no machines of that type."""
    return refusal(
        "Unsupported",
        f"Your requested instance type ({instance_type}) is not supported in your requested Availability Zone "
        f"({zone}). Please retry your request by not specifying an Availability Zone or choosing {', '.join(zones)}.",
    )


def unknown_spot_request(request_id: str) -> EC2ClientError:
    """No spot request has that id."""
    return refusal(
        "InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{request_id}' does not exist"
    )
