"""AWS error codes in words.

Source: EC2 API Reference, "Error codes for the Amazon EC2 API"
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spot_connect.core.errors import (
    AwsError,
    AwsObjectMissing,
    AwsUnreachable,
    NoCapacity,
    NoCredentials,
    NotAuthorized,
    PriceTooLow,
    QuotaReached,
    SpotConnectError,
    Throttled,
)

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

_LOG_IN = (
    "Run `aws configure` (or `aws sso login`) to use your AWS account, or add --local to rehearse on this computer."
)
_QUOTA = "Terminate something, use another instance family or Region, or raise the limit in the Service Quotas console."
_CAPACITY = "Try another instance type (`-p`), another Region (`-reg`), or again in a few minutes."
_POLICY = "The permissions spot-connect needs are listed in docs/permissions.md."
_WAIT = "AWS is limiting calls or has trouble of its own; wait a minute and try again."
_SPOT_ROLE = "An administrator must run once: aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"

_REFUSALS: dict[str, tuple[type[AwsError], str]] = {
    "InsufficientInstanceCapacity": (NoCapacity, _CAPACITY),
    "InsufficientFreeAddressesInSubnet": (NoCapacity, _CAPACITY),
    "UnfulfillableCapacity": (NoCapacity, _CAPACITY),
    "Unsupported": (NoCapacity, _CAPACITY),
    "InvalidFleetConfiguration": (NoCapacity, _CAPACITY),
    "SpotMaxPriceTooLow": (
        PriceTooLow,
        "Raise the maximum with -prc; you are billed the current price, never your maximum.",
    ),
    "MaxSpotInstanceCountExceeded": (QuotaReached, _QUOTA),
    "VcpuLimitExceeded": (QuotaReached, _QUOTA),
    "InstanceLimitExceeded": (QuotaReached, _QUOTA),
    "VolumeLimitExceeded": (QuotaReached, _QUOTA),
    "SecurityGroupLimitExceeded": (QuotaReached, _QUOTA),
    "RulesPerSecurityGroupLimitExceeded": (QuotaReached, _QUOTA),
    "RequestResourceCountExceeded": (QuotaReached, _QUOTA),
    "ResourceCountExceeded": (QuotaReached, _QUOTA),
    "MaxFleetCountExceeded": (QuotaReached, "Cancel fleets that are no longer needed, or use another Region."),
    "InvalidAMIID.NotFound": (AwsObjectMissing, "Image ids belong to one Region; leave -ami out to let us choose."),
    "InvalidAMIID.Malformed": (AwsObjectMissing, "An image id looks like ami-0123456789abcdef0."),
    "InvalidAMIID.Unavailable": (AwsObjectMissing, "Choose another image with -ami."),
    "InvalidKeyPair.NotFound": (AwsObjectMissing, "Leave -kp out to have one made."),
    "InvalidGroup.NotFound": (AwsObjectMissing, "Leave -sg out to have one made."),
    "InvalidSecurityGroupID.NotFound": (AwsObjectMissing, "Leave -sg out to have one made."),
    "InvalidInstanceID.NotFound": (AwsObjectMissing, "See `spot_connect list`; -reg names another Region."),
    "InvalidInstanceID.Malformed": (AwsObjectMissing, "An instance id looks like i-0123456789abcdef0."),
    "InvalidInstanceType": (AwsObjectMissing, "Check the spelling of the instance type, or the Region."),
    "DefaultVpcDoesNotExist": (AwsObjectMissing, "Run `aws ec2 create-default-vpc` once in this Region."),
    "VPCIdNotSpecified": (AwsObjectMissing, "Run `aws ec2 create-default-vpc` once in this Region."),
    "MissingInput": (AwsObjectMissing, "Run `aws ec2 create-default-subnet` for a zone of this Region."),
    "UnauthorizedOperation": (NotAuthorized, _POLICY),
    "AccessDenied": (NotAuthorized, _POLICY),
    "AccessDeniedException": (NotAuthorized, _POLICY),
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted": (NotAuthorized, _SPOT_ROLE),
    "OptInRequired": (NotAuthorized, "Enable the Region, or accept the image's terms in AWS Marketplace, and retry."),
    "PendingVerification": (NotAuthorized, "AWS is still checking the account for this Region; try again later."),
    "Blocked": (NotAuthorized, "The account is blocked; AWS support can tell why."),
    "AuthFailure": (NoCredentials, _LOG_IN),
    "InvalidClientTokenId": (NoCredentials, _LOG_IN),
    "UnrecognizedClientException": (NoCredentials, _LOG_IN),
    "SignatureDoesNotMatch": (NoCredentials, _LOG_IN),
    "ExpiredToken": (NoCredentials, "The login has expired: run `aws sso login` or renew the temporary keys."),
    "ExpiredTokenException": (NoCredentials, "The login has expired: run `aws sso login` or renew the temporary keys."),
    "RequestExpired": (NoCredentials, "Set this computer's clock, or renew the login."),
    "RequestLimitExceeded": (Throttled, _WAIT),
    "Throttling": (Throttled, _WAIT),
    "ThrottlingException": (Throttled, _WAIT),
    "InternalError": (Throttled, _WAIT),
    "InternalFailure": (Throttled, _WAIT),
    "ServiceUnavailable": (Throttled, _WAIT),
    "Unavailable": (Throttled, _WAIT),
}


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn whatever botocore raises inside into one of our errors.

    Args:
        what: what is being asked of AWS, as a verb and its object; it completes "cannot ...".

    Raises:
        AwsError: AWS refused or could not be asked.

    Example:
        >>> with asking("describe instances"):
        ...     pass
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise refusal(what, error) from error
    except BotoCoreError as error:
        raise _unasked(what, error) from error


def code_of(error: SpotConnectError) -> str:
    """The AWS error code behind ``error``; empty when there is none."""
    return error.code if isinstance(error, AwsError) else ""


def refusal(what: str, error: ClientError) -> AwsError:
    """Our error for a call that AWS answered with an error code."""
    said = error.response.get("Error", {})
    return refused(what, str(said.get("Code", "")), str(said.get("Message", "")))


def refused(what: str, code: str, message: str) -> AwsError:
    """Our error for an error code, wherever AWS wrote it."""
    kind, advice = _REFUSALS.get(code, (AwsError, ""))
    return kind(f"cannot {what}", f"{message} ({code})", advice, code)


def _unasked(what: str, error: BotoCoreError) -> AwsError:
    from botocore import exceptions as causes

    no_keys = (
        causes.NoCredentialsError,
        causes.PartialCredentialsError,
        causes.CredentialRetrievalError,
        causes.TokenRetrievalError,
        causes.SSOError,
        causes.UnauthorizedSSOTokenError,
        causes.ProfileNotFound,
    )
    unreachable = (causes.HTTPClientError, causes.ConnectionError)
    if isinstance(error, no_keys):
        return NoCredentials(f"cannot {what}", str(error), _LOG_IN)
    if isinstance(error, causes.NoRegionError):
        return AwsError(f"cannot {what}", str(error), "Name a Region with -reg, or run `aws configure`.")
    if isinstance(error, unreachable):
        return AwsUnreachable(f"cannot {what}", str(error), "Check the network and the Region name.")
    return AwsError(f"cannot {what}", str(error))
