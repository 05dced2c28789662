"""Other types that can do the work of one that there is no capacity for."""

from __future__ import annotations

from decimal import Decimal

from spot_connect.core.images import ARCHITECTURES
from spot_connect.core.offers import Needs
from spot_connect.store import tables

_BANDS = ("<5%", "5-10%", "10-15%", "15-20%", ">20%")


def stand_ins(instance_type: str, region: str, count: int) -> tuple[str, ...]:
    """Up to ``count`` types with as much of everything, those first that AWS takes away the least often.

    None costs more on the spot market than the type itself costs on demand. They come from the shipped tables; no call
    is made. Of a type that the tables do not know there are none.

    Example:
        >>> stand_ins("t3.micro", "us-east-1", 2)
        ('t3.small', 't3a.micro')
    """
    kind = tables.type_row(instance_type)
    most = tables.on_demand_price(instance_type, region)
    if kind is None or most is None or kind.architecture not in ARCHITECTURES:
        return ()
    needs = Needs(
        vcpus=kind.vcpus,
        memory_gib=kind.memory_gib,
        gpu=kind.gpu_name,
        gpus=int(kind.gpu_count or 0),
        gpu_memory_gib=kind.gpu_memory_gib or Decimal(0),
        architecture=kind.architecture,
    )
    fitting = {one.instance_type for one in tables.types() if one.spot and needs.met_by(one)} - {instance_type}
    rows = [row for row in tables.prices_of(fitting, [region]) if row.spot <= most]
    rows.sort(key=lambda row: (_rank(row.instance_type, region), row.spot, row.instance_type))
    return tuple(row.instance_type for row in rows[:count])


def _rank(instance_type: str, region: str) -> int:
    known = tables.interruption(instance_type, region)
    return _BANDS.index(known.band) if known and known.band in _BANDS else len(_BANDS)
