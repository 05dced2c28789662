"""Which instance types fit what is needed, and which of them cost the least."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


class Hardware(Protocol):
    """What a type is made of; GPU memory is the total of its GPUs, in GiB like the other memory."""

    @property
    def instance_type(self) -> str:
        """The type's name."""

    @property
    def vcpus(self) -> int:
        """Virtual CPUs."""

    @property
    def memory_gib(self) -> Decimal:
        """Memory in GiB."""

    @property
    def architecture(self) -> str:
        """What it runs, such as ``x86_64``."""

    @property
    def gpu_name(self) -> str:
        """The model of its GPUs; empty without any."""

    @property
    def gpu_count(self) -> Decimal | None:
        """How many GPUs; a fraction where one is shared."""

    @property
    def gpu_memory_gib(self) -> Decimal | None:
        """Memory of all its GPUs together."""

    @property
    def current_generation(self) -> bool:
        """Whether AWS calls its generation current."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a type must have at the least. ``max_price`` is US dollars per hour on the spot market."""

    vcpus: int = 0
    memory_gib: Decimal = Decimal(0)
    gpu: str = ""
    gpus: int = 0
    gpu_memory_gib: Decimal = Decimal(0)
    architecture: str = ""
    current: bool = False
    max_price: Decimal | None = None

    def met_by(self, kind: Hardware) -> bool:
        """Whether the type has it all; the price is not looked at."""
        return (
            kind.vcpus >= self.vcpus
            and kind.memory_gib >= self.memory_gib
            and self._gpus_met_by(kind)
            and self.architecture in ("", kind.architecture)
            and (kind.current_generation or not self.current)
        )

    def _gpus_met_by(self, kind: Hardware) -> bool:
        return (
            (not self.gpu or plain_name(kind.gpu_name) == plain_name(self.gpu))
            and (kind.gpu_count or 0) >= self.gpus
            and (kind.gpu_memory_gib or 0) >= self.gpu_memory_gib
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """A type on the spot market of a Region: US dollars per hour in its cheapest zone.

    ``zone`` is empty when the figure does not tell it.
    """

    hardware: Hardware
    region: str
    spot: Decimal
    zone: str = ""


def cheapest(offers: Iterable[Offer], needs: Needs, count: int) -> tuple[Offer, ...]:
    """The ``count`` cheapest offers whose price and hardware will do, cheapest first.

    Of equal prices the one with more comes first: vCPUs, then memory, then the name that sorts first.
    """
    fitting = (offer for offer in offers if _affordable(offer, needs) and needs.met_by(offer.hardware))
    return tuple(heapq.nsmallest(count, fitting, key=_rank))


def plain_name(name: str) -> str:
    """A GPU's name without case, blanks and signs, to compare.

    Example:
        >>> plain_name("Radeon Pro V520")
        'radeonprov520'
    """
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _affordable(offer: Offer, needs: Needs) -> bool:
    return needs.max_price is None or offer.spot <= needs.max_price


def _rank(offer: Offer) -> tuple[Decimal, int, Decimal, str, str]:
    kind = offer.hardware
    return (offer.spot, -kind.vcpus, -kind.memory_gib, kind.instance_type, offer.region)
