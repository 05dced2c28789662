"""What an instance type is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.aws.together import once
from spot_connect.core.errors import AwsObjectMissing

_PREFERRED = ("x86_64", "arm64")
_ACCELERATORS = {
    "NeuronInfo": "NeuronDevices",
    "InferenceAcceleratorInfo": "Accelerators",
    "FpgaInfo": "Fpgas",
    "MediaAcceleratorInfo": "Accelerators",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What EC2 tells about a type; memory in GiB, that of GPUs in total."""

    instance_type: str
    vcpus: int
    memory_gib: Decimal
    architecture: str
    gpu_name: str
    gpu_count: Decimal | None
    gpu_memory_gib: Decimal | None
    accelerator_name: str
    accelerator_count: int | None
    spot: bool
    current_generation: bool


@once
def architecture(cloud: Cloud, instance_type: str) -> str:
    """``x86_64`` or ``arm64``: what an image must be built for to run on the type.

    Raises:
        AwsObjectMissing: the Region has no such type, or it is not sold on the spot market.
    """
    with asking(f"look up the instance type {instance_type} in {cloud.region}"):
        raw = cloud.ec2.describe_instance_types(InstanceTypes=[instance_type])["InstanceTypes"][0]
    if "spot" not in raw.get("SupportedUsageClasses", ("spot",)):
        raise AwsObjectMissing(
            f"cannot launch {instance_type}",
            f"{cloud.region} does not sell it on the spot market",
            "Choose another type with -p.",
        )
    supported = raw["ProcessorInfo"]["SupportedArchitectures"]
    return next((wanted for wanted in _PREFERRED if wanted in supported), str(supported[0]))


def facts(cloud: Cloud, instance_types: Collection[str] = ()) -> tuple[Facts, ...]:
    """What every type of the Region is made of, or every one of ``instance_types`` that the Region has, by name.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypes.html
    """
    filters = [{"Name": "instance-type", "Values": sorted(instance_types)}] if instance_types else []
    with asking(f"look up the instance types of {cloud.region}"):
        pages = list(cloud.ec2.get_paginator("describe_instance_types").paginate(Filters=filters))
    found = [_facts(raw) for page in pages for raw in page["InstanceTypes"]]
    return tuple(sorted(found, key=lambda one: one.instance_type))


def _facts(raw: Mapping[str, Any]) -> Facts:
    supported = raw["ProcessorInfo"]["SupportedArchitectures"]
    gpus = raw.get("GpuInfo", {}).get("Gpus", [])
    count = sum((_gpus(gpu) for gpu in gpus), Decimal(0))
    # The same chips may be told as two kinds: Inferentia is a Neuron device and an inference accelerator.
    kinds = (raw.get(info, {}).get(key, []) for info, key in _ACCELERATORS.items())
    others: list[Mapping[str, Any]] = next((kind for kind in kinds if kind), [])
    return Facts(
        instance_type=raw["InstanceType"],
        vcpus=raw["VCpuInfo"]["DefaultVCpus"],
        memory_gib=_gib(raw["MemoryInfo"]["SizeInMiB"]),
        architecture=next((wanted for wanted in _PREFERRED if wanted in supported), str(supported[0])),
        gpu_name=gpus[0]["Name"] if gpus else "",
        gpu_count=count or None,
        gpu_memory_gib=_gib(raw["GpuInfo"].get("TotalGpuMemoryInMiB", 0), "0.01") or None if gpus else None,
        accelerator_name=others[0]["Name"] if others else "",
        accelerator_count=sum(one.get("Count", 1) for one in others) or None,
        spot="spot" in raw.get("SupportedUsageClasses", ()),
        current_generation=bool(raw.get("CurrentGeneration")),
    )


def _gpus(gpu: Mapping[str, Any]) -> Decimal:
    """How many; a fraction where the type has a share of one, which EC2 counts as none."""
    return Decimal(gpu.get("Count", 0)) or Decimal(str(gpu.get("GpuPartitionSize", 0)))


def _gib(mib: int, step: str = "0.001") -> Decimal:
    return (Decimal(mib) / 1024).quantize(Decimal(step)).normalize() + 0
