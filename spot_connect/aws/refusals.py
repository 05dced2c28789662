"""AWS error codes in words.

Source: EC2 API Reference, "Error codes for the Amazon EC2 API"
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html).
"""

from __future__ import annotations

import codecs
import configparser
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spot_connect.aws.sources import NobodyToAsk, Source, SourceFailed, source_of
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
from spot_connect.core.findings import see_doctor
from spot_connect.core.regions import enabling, must_be_enabled
from spot_connect.core.untrusted import printable

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

_LOG_IN = (
    "Run `aws configure` (or `aws login`, or `aws sso login`) to use your AWS account, or add --local to rehearse on "
    "this computer."
)
_QUOTA = "Terminate something, use another instance family or Region, or raise the limit in the Service Quotas console."
_CAPACITY = "Try another instance type (`-p`), another Region (`-reg`), or again in a few minutes."
_POLICY = "The permissions spot-connect needs are listed in docs/permissions.md."
_CERTIFICATES = (
    "Where a company's proxy opens TLS, its certificate must be in the file that AWS_CA_BUNDLE (or ca_bundle) names; "
    "that file must be there."
)
_CORRECT = "Correct the file; AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name others."
_LONGEST = 300
_ENCODED = "Encoded authorization failure message:"
_GARBLED = (
    "Something between this computer and AWS may answer in its place, such as a proxy or the login page of a network; "
    "try again, or from another network."
)
_FREE_PLAN = (
    "If this account is on AWS's free plan, it may launch t3 and t4g in the sizes micro and small, c7i-flex.large and "
    "m7i-flex.large alone: for example -p t3.micro."
)
_ENABLE = (
    "Enable the Region {region} for your account, which takes minutes: `{command}`; or name another with -reg. Where "
    "it is enabled, your credentials are wrong. {otherwise}"
)
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
    "InvalidParameterCombination": (AwsError, _FREE_PLAN),
    "InvalidSpotInstanceRequestID.NotFound": (AwsObjectMissing, ""),
    "DefaultVpcDoesNotExist": (AwsObjectMissing, "Run `aws ec2 create-default-vpc` once in this Region."),
    "VPCIdNotSpecified": (AwsObjectMissing, "Run `aws ec2 create-default-vpc` once in this Region."),
    "MissingInput": (AwsObjectMissing, "Run `aws ec2 create-default-subnet` for a zone of this Region."),
    "UnauthorizedOperation": (NotAuthorized, _POLICY),
    "AccessDenied": (NotAuthorized, _POLICY),
    "AccessDeniedException": (NotAuthorized, _POLICY),
    # S3's answer to a question that has no body, such as HeadBucket.
    "403": (NotAuthorized, _POLICY),
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted": (NotAuthorized, _SPOT_ROLE),
    "OptInRequired": (NotAuthorized, "Enable the Region, or accept the image's terms in AWS Marketplace, and retry."),
    "PendingVerification": (NotAuthorized, "AWS is still checking the account for this Region; try again later."),
    "Blocked": (NotAuthorized, "The account is blocked; AWS support can tell why."),
    "AuthFailure": (NoCredentials, _LOG_IN),
    "InvalidClientTokenId": (NoCredentials, _LOG_IN),
    "UnrecognizedClientException": (NoCredentials, _LOG_IN),
    "SignatureDoesNotMatch": (NoCredentials, _LOG_IN),
    "ExpiredToken": (NoCredentials, _LOG_IN),
    "ExpiredTokenException": (NoCredentials, _LOG_IN),
    "RequestExpired": (NoCredentials, "Set this computer's clock, or log in anew."),
    "RequestLimitExceeded": (Throttled, _WAIT),
    "Throttling": (Throttled, _WAIT),
    "ThrottlingException": (Throttled, _WAIT),
    "InternalError": (Throttled, _WAIT),
    "InternalFailure": (Throttled, _WAIT),
    "ServiceUnavailable": (Throttled, _WAIT),
    "Unavailable": (Throttled, _WAIT),
}

_FORBIDDEN = ("AccessDenied", "AccessDeniedException", "ForbiddenException", "UnauthorizedOperation")
_STRANGE_THERE = frozenset(
    {
        *("AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"),
        "OptInRequired",
    }
)
"""What services of a Region say that the account has not enabled: they know nobody there."""
_EXAMINED = (NoCredentials, NotAuthorized, QuotaReached, AwsUnreachable)
_EXAMINED_CODES = frozenset({"DefaultVpcDoesNotExist", "VPCIdNotSpecified", "MissingInput"})
"""What `spot_connect doctor` can tell more about; it knows nothing of a mistake in a command."""
_PLACE = "CalledAt"

_ASKED = {"GetRoleCredentials": "sso-role", "CreateToken": "sso", "CreateOAuth2Token": "login"}
"""What a source was asking for when AWS refused; the source itself without."""

_LOGINS = {"SSOError": "sso", "TokenRetrievalError": "sso", "LoginError": "login"}
"""botocore's classes for a login that has ended, or has never been."""

_NEXT = {
    "InvalidConfigError": _CORRECT,
    "UnknownCredentialError": _CORRECT,
    "LoginInsufficientPermissions": "An administrator can give you the policy SignInLocalDevelopmentAccess.",
    "MissingDependencyException": "Install it with: pip install 'spot-connect[login]'",
    "RefreshWithMFAUnsupportedError": "Give the command again: it asks for a new code.",
    "NobodyToAsk": "Give a command at a terminal first: what the code opens is then kept, an hour as a rule.",
}
"""What to do about failures that do not depend on the source."""


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
    from botocore.parsers import ResponseParserError

    try:
        yield
    except SourceFailed as error:
        raise examined(_not_logged_in(what, error.source, error.cause)) from error
    except ClientError as error:
        raise examined(refusal(what, error), local=_place(error.response).local) from error
    except BotoCoreError as error:
        raise examined(_unasked(what, error)) from error
    except ResponseParserError as error:
        # botocore's words hold all of the answer.
        raise examined(AwsUnreachable(f"cannot {what}", "what came is no answer of AWS", _GARBLED)) from error


def examined(error: AwsError, *, local: bool = False) -> AwsError:
    """The same error; where `spot_connect doctor` may find its cause, the advice ends with that."""
    if not isinstance(error, _EXAMINED) and error.code not in _EXAMINED_CODES:
        return error
    return type(error)(error.what, error.said, see_doctor(error.advice, local=local), error.code)


@dataclass(frozen=True, slots=True)
class _Place:
    region: str = ""
    local: bool = False


def note_place(parsed: dict[str, Any], context: Mapping[str, Any], *, local: bool, **_: Any) -> None:
    """Write into an answer that is a refusal where it comes from; botocore calls this after each call."""
    if "Error" in parsed:
        place = _Place(str(context.get("client_region") or ""), local)
        parsed.setdefault("ResponseMetadata", {})[_PLACE] = place


def _place(response: Mapping[str, Any]) -> _Place:
    found = response.get("ResponseMetadata", {}).get(_PLACE)
    return found if isinstance(found, _Place) else _Place()


def code_of(error: SpotConnectError) -> str:
    """The AWS error code behind ``error``; empty when there is none."""
    return error.code if isinstance(error, AwsError) else ""


def refusal(what: str, error: ClientError) -> AwsError:
    """Our error for a call that AWS answered with an error code."""
    said = error.response.get("Error", {})
    found = refused(what, str(said.get("Code", "")), str(said.get("Message", "")))
    region = _place(error.response).region
    source = source_of(error.response)
    if found.code in _STRANGE_THERE and must_be_enabled(region):
        advice = _ENABLE.format(region=region, command=enabling(region), otherwise=source.advice() if source else "")
        return type(found)(found.what, found.said, advice, found.code)
    if source is None or not isinstance(found, NoCredentials):
        return found
    # EC2 says the same of a session that has ended and of a clock that is wrong.
    clock = "Set this computer's clock if it is wrong. " if found.code == "RequestExpired" else ""
    return NoCredentials(found.what, found.said, f"{clock}{source.advice()}", found.code)


def refused(what: str, code: str, message: str) -> AwsError:
    """Our error for an error code, wherever AWS wrote it."""
    kind, advice = _REFUSALS.get(code, (AwsError, ""))
    # Hundreds of characters that only AWS can read.
    said = message.partition(_ENCODED)[0].rstrip()
    return kind(f"cannot {what}", f"{said} ({code})", advice, code)


def _unasked(what: str, error: BotoCoreError) -> AwsError:
    """Our error for what botocore could not ask, or would not."""
    from botocore import exceptions as causes

    found = _of_settings(what, error)
    if found is not None:
        return found
    said = printable(str(error))
    if isinstance(error, causes.NoCredentialsError):
        return NoCredentials(f"cannot {what}", said, _LOG_IN)
    if isinstance(error, causes.NoRegionError):
        return AwsError(f"cannot {what}", said, "Name a Region with -reg, or run `aws configure`.")
    if isinstance(error, causes.SSLError):
        return AwsUnreachable(f"cannot {what}", said, _CERTIFICATES)
    if isinstance(error, (causes.HTTPClientError, causes.ConnectionError)):
        return AwsUnreachable(f"cannot {what}", said, "Check the network and the Region name.")
    return AwsError(f"cannot {what}", said)


def _of_settings(what: str, error: BotoCoreError) -> AwsError | None:
    """What is wrong with the user's AWS files, if it is that."""
    from botocore import exceptions as causes

    if isinstance(error, causes.ProfileNotFound):
        advice = "AWS_PROFILE names it: unset that, or choose one of `aws configure list-profiles`."
        return NoCredentials(f"cannot {what}", printable(str(error)), advice)
    if isinstance(error, causes.ConfigParseError):
        path = str(error.kwargs["path"])
        return NoCredentials(f"cannot {what}", f"{path}: {_misread(path, error.kwargs['error'])}", _CORRECT)
    return None


def _misread(path: str, error: Exception) -> str:
    """What is wrong with an AWS file. The line itself is not shown: it may be half of a secret."""
    if _has_byte_order_mark(path):
        return "it begins with a byte order mark, which AWS tools do not read; save it as UTF-8 without one (BOM)"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return _mistake(error) or "not all of it is `name = value`"


def _has_byte_order_mark(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            begin = file.read(3)
    except OSError:
        return False
    return begin.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def _mistake(error: Exception) -> str:
    if isinstance(error, configparser.DuplicateSectionError):
        return f"line {error.lineno} begins [{printable(error.section)}] a second time"
    if isinstance(error, configparser.DuplicateOptionError):
        return f"line {error.lineno} sets {printable(error.option)} a second time in [{printable(error.section)}]"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"line {error.lineno} stands before the first [profile]"
    if isinstance(error, configparser.ParsingError) and error.errors:
        return f"line {error.errors[0][0]} is not `name = value`"
    return ""


def _not_logged_in(what: str, source: Source, cause: Exception) -> AwsError:
    """Our error for a source of credentials that has failed."""
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(cause, ClientError):
        found = refusal(what, cause)
        if isinstance(found, Throttled):
            return found
        kind = NotAuthorized if found.code in _FORBIDDEN else NoCredentials
        return kind(found.what, found.said, source.advice(_ASKED.get(cause.operation_name, "")), found.code)
    if isinstance(cause, BotoCoreError):
        known = _unasked(what, cause)
        if isinstance(known, AwsUnreachable) or known.advice == _CORRECT:
            return known
    return NoCredentials(f"cannot {what}", _said(cause), _next(source, cause))


def _next(source: Source, cause: Exception) -> str:
    """What to do about ``cause``; by the names of its classes, some of which older versions of botocore lack."""
    names = [kind.__name__ for kind in type(cause).__mro__]
    advice = next((_NEXT[name] for name in names if name in _NEXT), "")
    login = next((_LOGINS[name] for name in names if name in _LOGINS), "")
    return advice or source.advice(login)


def _said(cause: Exception) -> str:
    """What a source has raised, in one line."""
    from botocore.exceptions import BotoCoreError, CredentialRetrievalError

    if isinstance(cause, NobodyToAsk):
        return "the role wants an MFA code, and there is no terminal to ask you for it"
    if isinstance(cause, CredentialRetrievalError):
        lines = str(cause.kwargs.get("error_msg", "")).strip().splitlines() or ["it failed and did not say why"]
        return printable(f"{cause.kwargs.get('provider')}: {lines[-1][:_LONGEST]}")
    if isinstance(cause, BotoCoreError):
        return printable(str(cause))
    if isinstance(cause, OSError):
        return printable(f"{cause.filename}: {cause.strerror}" if cause.filename else str(cause))
    # What has been read may be a secret; the errors below do not show it.
    if isinstance(cause, (json.JSONDecodeError, UnicodeDecodeError)):
        return "what came is not JSON"
    return printable(f"what came is not as it should be ({type(cause).__name__}: {cause})")
