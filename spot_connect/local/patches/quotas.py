"""The account's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.servicequotas.models import ServiceQuotasBackend

from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_VCPUS = {
    "L-34B43A08": ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 1024.0),
    "L-3819A6DF": ("All G and VT Spot Instance Requests", 256.0),
    "L-7212CCBC": ("All P Spot Instance Requests", 256.0),
    "L-C4BD4855": ("All P5 Spot Instance Requests", 256.0),
    "L-E3A00192": ("All X Spot Instance Requests", 256.0),
    "L-B5D1601B": ("All Inf Spot Instance Requests", 256.0),
    "L-6B0D517C": ("All Trn Spot Instance Requests", 256.0),
    "L-88CF9481": ("All F Spot Instance Requests", 256.0),
    "L-85EED4F7": ("All DL Spot Instance Requests", 256.0),
    "L-1216C47A": ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 1024.0),
    "L-DB2E81BA": ("Running On-Demand G and VT instances", 256.0),
    "L-417A185B": ("Running On-Demand P instances", 256.0),
    "L-7295265B": ("Running On-Demand X instances", 256.0),
    "L-1945791B": ("Running On-Demand Inf instances", 256.0),
    "L-2C3B7624": ("Running On-Demand Trn instances", 256.0),
    "L-74FC7D96": ("Running On-Demand F instances", 256.0),
    "L-6E869C2A": ("Running On-Demand DL instances", 256.0),
    "L-43DA4232": ("Running On-Demand High Memory instances", 512.0),
    "L-F7808C92": ("Running On-Demand HPC instances", 256.0),
}


def get_service_quota(_: Cloud, original: Any, backend: Any, service_code: str, quota_code: str) -> dict[str, Any]:
    """The limit, generous so that nobody meets it by accident."""
    if service_code != "ec2" or quota_code not in _VCPUS:
        found: dict[str, Any] = original(backend, service_code, quota_code)
        return found
    return _quota(backend, quota_code)


def list_defaults(_: Cloud, original: Any, backend: Any, service_code: str) -> list[dict[str, Any]]:
    """Every limit we know of the service."""
    if service_code == "ec2":
        return [_quota(backend, code) for code in _VCPUS]
    found: list[dict[str, Any]] = original(backend, service_code)
    return found


def _quota(backend: Any, code: str) -> dict[str, Any]:
    name, value = _VCPUS[code]
    return {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": f"arn:aws:servicequotas:{backend.region_name}:{backend.account_id}:ec2/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": value,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


PATCHES = (
    Patch(ServiceQuotasBackend, "get_service_quota", get_service_quota, "knows the vCPU limits of EC2"),
    Patch(ServiceQuotasBackend, "list_aws_default_service_quotas", list_defaults, "knows the vCPU limits of EC2"),
)
