"""Ingress rules: who may open which port."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spot_connect.core.errors import UsageError

_FORM = "Write it as protocol,from,to,CIDR, for example tcp,22,22,203.0.113.7/32."
_PROTOCOLS = frozenset({"tcp", "udp", "icmp"})
SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class Rule:
    """Addresses in ``cidr`` may reach ports ``first`` to ``last``."""

    protocol: str
    first: int
    last: int
    cidr: str

    @property
    def opens_ssh(self) -> bool:
        """Whether the rule lets somebody reach the SSH port."""
        return self.protocol == "tcp" and self.first <= SSH_PORT <= self.last

    @property
    def is_open_to_the_world(self) -> bool:
        """Whether the rule holds for every address."""
        return self.cidr in ("0.0.0.0/0", "::/0")

    def __str__(self) -> str:
        return f"{self.protocol},{self.first},{self.last},{self.cidr}"


def ssh_from(address: str) -> Rule:
    """The rule that opens SSH to one address.

    Example:
        >>> str(ssh_from("203.0.113.7"))
        'tcp,22,22,203.0.113.7/32'
    """
    return Rule("tcp", SSH_PORT, SSH_PORT, _network(address))


def parse_rule(value: str | Sequence[object]) -> Rule:
    """A rule from ``"tcp,22,22,1.2.3.4/32"`` or from the four parts of it.

    Raises:
        UsageError: not four parts, an unknown protocol, a port outside 0-65535, or a CIDR with host bits.

    Example:
        >>> parse_rule("tcp,22,22,203.0.113.0/24").cidr
        '203.0.113.0/24'
    """
    parts = value.split(",") if isinstance(value, str) else [str(part) for part in value]
    if len(parts) != 4:
        raise UsageError(f"{value!r} is not a firewall rule", advice=_FORM)
    protocol, first, last, cidr = (part.strip() for part in parts)
    if protocol.lower() not in _PROTOCOLS:
        raise UsageError(f"{protocol!r} is not a firewall protocol", "it is tcp, udp or icmp", _FORM)
    return Rule(protocol.lower(), _port(first), _port(last, at_least=first), _network(cidr))


def parse_rules(value: object) -> tuple[Rule, ...]:
    """Rules from nothing, one rule, or several; a rule may be text or four parts.

    Example:
        >>> len(parse_rules([("tcp", 22, 22, "203.0.113.7/32"), "tcp,80,80,203.0.113.7/32"]))
        2
    """
    if not value:
        return ()
    if isinstance(value, str):
        return (parse_rule(value),)
    if not isinstance(value, Iterable):
        raise UsageError(f"{value!r} is not a firewall rule", advice=_FORM)
    items = list(value)
    if len(items) == 4 and items[0] in _PROTOCOLS:
        return (parse_rule(items),)
    return tuple(parse_rule(item) for item in items)


def _port(text: str, at_least: str = "0") -> int:
    if text.isdigit() and int(text) <= 65535 and at_least.isdigit() and int(text) >= int(at_least):
        return int(text)
    raise UsageError(f"{text!r} is not a port here", "ports are 0 to 65535, the first not above the last", _FORM)


def _network(text: str) -> str:
    from netaddr import AddrFormatError, IPNetwork

    try:
        network = IPNetwork(text)
    except (AddrFormatError, ValueError) as error:
        raise UsageError(f"{text!r} is not a CIDR", str(error), _FORM) from error
    if network.ip != network.network:
        raise UsageError(f"{text!r} has host bits set", f"the network is {network.cidr}", _FORM)
    return str(network)
