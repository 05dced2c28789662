"""Which Regions an account can use without enabling them, and where those are asked about that it cannot.

Source: AWS Account Management guide, "Enable or disable AWS Regions in your account"
(https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html).
"""

from __future__ import annotations

_ALWAYS = frozenset(
    {
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1"),
        *("eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3"),
        *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
    }
)
"""Every Region that AWS opened since March 2019 has to be enabled, so this list does not grow."""
_HOMES = {
    "cn-": "cn-north-1",
    "us-gov-": "us-gov-west-1",
    "us-isob-": "us-isob-east-1",
    "us-iso-": "us-iso-east-1",
    "eu-isoe-": "eu-isoe-west-1",
    "us-isof-": "us-isof-south-1",
}
"""Other partitions, by what their Regions begin with. They have no Regions to enable."""


def must_be_enabled(region: str) -> bool:
    """Whether an account has to enable the Region before anything answers there.

    Example:
        >>> must_be_enabled("eu-south-2"), must_be_enabled("eu-west-1"), must_be_enabled("cn-north-1")
        (True, False, False)
    """
    return bool(region) and region not in _ALWAYS and not region.startswith(tuple(_HOMES))


def home_of(region: str) -> str:
    """A Region of the same partition that answers every account, the Region itself if it does.

    Example:
        >>> home_of("eu-west-1"), home_of("eu-south-2"), home_of("cn-northwest-1")
        ('eu-west-1', 'us-east-1', 'cn-north-1')
    """
    if region in _ALWAYS:
        return region
    return next((home for begin, home in _HOMES.items() if region.startswith(begin)), "us-east-1")


def enabling(region: str) -> str:
    """The command that enables a Region for the account.

    Example:
        >>> enabling("eu-south-2")
        'aws account enable-region --region-name eu-south-2'
    """
    return f"aws account enable-region --region-name {region}"
