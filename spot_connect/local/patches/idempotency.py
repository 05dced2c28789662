"""Client tokens: the same request twice is one launch.

A token counts for the Region, or for the zone when the request names a zone or a subnet.
"""

from __future__ import annotations

import json
from typing import Any

from spot_connect.local.patches import errors

MISMATCH = (
    "The request uses the same client token as a previous, but non-identical request. "
    "Do not reuse a client token with different requests, unless the requests are identical."
)


class Launch:
    """A request as its client token identifies it. Make it before anything changes the parameters."""

    def __init__(self, backend: Any, params: dict[str, Any]) -> None:
        self._backend = backend
        self._token = params.get("ClientToken")
        self._scope = (str(self._token), _zone(params))
        self._fingerprint = json.dumps(params, sort_keys=True, default=str)

    def earlier(self) -> Any | None:
        """The reservation that the same request made before.

        Raises:
            EC2ClientError: the token was used for another request, or its instances have ended.
        """
        found = _memory(self._backend).get(self._scope) if self._token else None
        if found is None:
            return None
        fingerprint, reservation_id, instance_ids = found
        if fingerprint != self._fingerprint:
            raise errors.refusal("IdempotentParameterMismatch", MISMATCH)
        reservation = self._backend.reservations.get(reservation_id)
        instances = reservation.instances if reservation else []
        if all(one.state in ("shutting-down", "terminated") for one in instances):
            raise errors.refusal(
                "IdempotentInstanceTerminated",
                f"The instances of this client token have been terminated: {', '.join(instance_ids)}",
            )
        return reservation

    def granted(self, reservation: Any) -> None:
        """Remember what came of the request."""
        if self._token:
            ids = [instance.id for instance in reservation.instances]
            _memory(self._backend)[self._scope] = (self._fingerprint, reservation.id, ids)


def _memory(backend: Any) -> dict[tuple[str, str], tuple[str, str, list[str]]]:
    memory: dict[tuple[str, str], tuple[str, str, list[str]]] = backend.__dict__.setdefault("launch_tokens", {})
    return memory


def _zone(params: dict[str, Any]) -> str:
    places = [params.get("SubnetId"), *(nic.get("SubnetId") for nic in params.get("NetworkInterfaces", []))]
    zone = (params.get("Placement") or {}).get("AvailabilityZone")
    return next((str(place) for place in [*places, zone] if place), "")
