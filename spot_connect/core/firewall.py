"""Ingress rules: who may open which port."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spot_connect.core.errors import UsageError

_FORM = "Write it as protocol,from,to,CIDR, for example tcp,22,22,203.0.113.7/32."
_PROTOCOLS = frozenset({"tcp", "udp", "icmp"})
SSH_PORT = 22
_BITS = {4: 32, 6: 128}
_LARGEST = {4: 8, 6: 32}
"""By version of IP, of the largest networks that one holder has: IANA gave IPv4 out in blocks of a /8, and an internet
registry gives a network of IPv6 a /32 (RIPE-738, 5.1.2)."""


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
        return self.is_about("tcp", SSH_PORT)

    def is_about(self, protocol: str, port: int) -> bool:
        """Whether the rule opens that port."""
        return self.protocol == protocol and self.first <= port <= self.last

    def __str__(self) -> str:
        return f"{self.protocol},{self.first},{self.last},{self.cidr}"


def ssh_from(address: str) -> Rule:
    """The rule that opens SSH to one address.

    Example:
        >>> str(ssh_from("203.0.113.7"))
        'tcp,22,22,203.0.113.7/32'
    """
    return Rule("tcp", SSH_PORT, SSH_PORT, _network(address))


@dataclass(frozen=True, slots=True)
class Opening:
    """A port that ``rules`` together open to more addresses than any one network has."""

    protocol: str
    port: int
    rules: tuple[Rule, ...]
    share: float
    """Of all addresses of their version of IP."""

    def __str__(self) -> str:
        kind = f"IPv{_version(self.rules[0])}"
        whom = f"every {kind} address" if self.share == 1 else f"{100 * self.share:.2g}% of all {kind} addresses"
        return f"{self.protocol} port {self.port} is open to {whom}: {' '.join(map(str, self.rules))}"


def wide_openings(rules: Iterable[Rule]) -> tuple[Opening, ...]:
    """Where the rules let in more addresses than any one network has, each rule alone or several together.

    Example:
        >>> halves = parse_rules(["tcp,22,22,0.0.0.0/1", "tcp,22,22,128.0.0.0/1"])
        >>> [str(one) for one in wide_openings(halves)]
        ['tcp port 22 is open to every IPv4 address: tcp,22,22,0.0.0.0/1 tcp,22,22,128.0.0.0/1']
    """
    given = tuple(dict.fromkeys(rules))
    found: dict[tuple[Rule, ...], Opening] = {}
    # More may come in only from a port on where a rule begins.
    for protocol, port in dict.fromkeys((rule.protocol, rule.first) for rule in given):
        for version, bits in _BITS.items():
            about = tuple(one for one in given if one.is_about(protocol, port) and _version(one) == version)
            addresses = _count(about)
            if addresses > 2 ** (bits - _LARGEST[version]):
                found.setdefault(about, Opening(protocol, port, about, addresses / 2**bits))
    return tuple(found.values())


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


def _version(rule: Rule) -> int:
    return 6 if ":" in rule.cidr else 4


def _count(rules: Iterable[Rule]) -> int:
    """How many addresses the rules name; one that several of them name counts once."""
    from netaddr import cidr_merge

    return sum(int(one.size) for one in cidr_merge([rule.cidr for rule in rules]))


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
