"""Images: those of the shipped table too, with the dates they were made, and the parameters that name them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from moto.ec2.models.amis import Ami, AmiBackend
from moto.ssm.models import Parameter, ParameterDict

from spot_connect.local import images
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_PUBLISHERS = ("/aws/service/canonical/", "/aws/service/debian/")
_AMAZON = "/aws/service/ami-amazon-linux-latest/"


def load_amis(_: Cloud, original: Any, backend: Any) -> None:
    """The images of moto and those of the table."""
    original(backend)
    for image in backend.amis.values():
        image.creation_date = images.creation_date(image.name)
    for known in images.known(backend.region_name):
        if known.id not in backend.amis:
            backend.amis[known.id] = _ami(backend, known)


def load_parameters(_: Cloud, original: Any, parameters: Any, key: str) -> None:
    """The parameters of a publisher whom moto does not know."""
    original(parameters, key)
    unknown_to_moto = () if images.is_in_table(parameters.region_name) else (_AMAZON,)
    for publisher in (*_PUBLISHERS, *unknown_to_moto):
        if str(key or "").startswith(publisher) and publisher not in parameters.__dict__.setdefault(
            "publishers", set()
        ):
            parameters.publishers.add(publisher)
            for name, value in images.parameters(parameters.region_name, publisher):
                dict.setdefault(parameters, name, []).append(_parameter(parameters, name, value))


def _ami(backend: Any, known: images.Known) -> Ami:
    return Ami(
        backend,
        known.id,
        name=known.name,
        description=known.name,
        owner_id=known.owner,
        public=True,
        virtualization_type="hvm",
        architecture=known.architecture,
        creation_date=datetime.fromisoformat(known.made).replace(tzinfo=timezone.utc),
        hypervisor="xen",
        root_device_type="ebs",
        root_device_name=known.root_device,
        region_name=f"{backend.region_name}a",
    )


def _parameter(parameters: Any, name: str, value: str) -> Any:
    make: Any = Parameter
    return make(
        account_id=parameters.account_id,
        name=name,
        value=value,
        parameter_type="String",
        description=None,
        allowed_pattern=None,
        keyid=None,
        last_modified_date=datetime.now(timezone.utc).timestamp(),
        version=1,
        data_type="aws:ec2:image",
    )


PATCHES = (
    Patch(AmiBackend, "_load_amis", load_amis, "has Ubuntu and others, each with its date"),
    Patch(ParameterDict, "_check_loading_status", load_parameters, "names the images of Ubuntu"),
)
