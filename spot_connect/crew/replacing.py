"""Machines that replace one another, also while nobody stays: AWS is asked with the rights of their own role."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from spot_connect.crew.capacity import LOST, Capacity

NAME_TAGS = ("Name", "spot-connect:name")
_ENDED = ("shutting-down", "terminated")
_AGAIN_SECONDS = 5.0
_UNHEARD_OF_SECONDS = 120.0
"""So long EC2 may not have heard of an instance that it has just launched."""


class Replacer:
    """Asks for what is wanted, again and again until AWS has it or says that we may not."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._ec2: Any = None
        self._asked: dict[str, float] = {}
        self._undone: list[tuple[str, float, Callable[[], object]]] = []
        self.trouble = ""

    def look(self, left: int, workers: Collection[str]) -> None:
        """Place the orders that are wanted now; what keeps us from it is in ``trouble``."""
        self._finish()
        wanted = self._capacity.wanted(left, workers)
        for one in wanted:
            if time.monotonic() - self._asked.get(one["lost"], float("-inf")) < _AGAIN_SECONDS:
                continue
            self._asked[one["lost"]] = time.monotonic()
            try:
                self._place(one)
            except Exception as error:  # noqa: BLE001 - boto3's errors are known only where there is boto3
                self._say(f"no instance in the place of {one['lost']}: {error}")

    def _finish(self) -> None:
        """Do what could not be done yet to machines that were launched moments ago."""
        undone, self._undone = self._undone, []
        for what, until, do in undone:
            try:
                do()
            except Exception as error:  # noqa: BLE001 - the same
                if time.monotonic() < until:
                    self._undone.append((what, until, do))
                else:
                    self._say(f"cannot {what}: {error}")

    def _say(self, trouble: str) -> None:
        # What EC2 adds to a denial is hundreds of characters that only AWS can read.
        self.trouble = trouble.partition("Encoded authorization failure message:")[0].rstrip()
        sys.stderr.write(f"{time.strftime('%FT%T')} {self.trouble}\n")

    def _place(self, wanted: Mapping[str, str]) -> None:
        order = self._capacity.order() or {}
        ec2 = self._client(order["region"])
        lost, market = wanted["lost"], wanted["market"]
        if self._capacity.gone()[lost]["why"] == LOST and _was_dismissed(ec2, lost):
            self._capacity.say_dismissed(lost)
            return
        answer = ec2.create_fleet(**order["requests"][market], ClientToken=wanted["token"])
        made = next((one for one in answer.get("Instances", ()) if one["InstanceIds"]), None)
        if made is None:
            said: Mapping[str, Any] = next(iter(answer.get("Errors", ())), {})
            self.trouble = f"no {market} instance in the place of {lost}: {said.get('ErrorMessage', 'no reason given')}"
            return
        self.trouble = ""
        self._settle(ec2, order, wanted, made)

    def _settle(self, ec2: Any, order: Mapping[str, Any], wanted: Mapping[str, str], made: Mapping[str, Any]) -> None:
        [instance] = made["InstanceIds"]
        lost, market = wanted["lost"], wanted["market"]
        pool = made.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
        price = order["prices"].get(market, {}).get(f"{made['InstanceType']}/{pool.get('SubnetId', '')}", "")
        name = str(self._capacity.machines().get(lost, {}).get("name") or "")
        kind = str(made["InstanceType"])
        machine = {"instance": instance, "name": name, "type": kind, "price": price, "market": market}
        if self._capacity.say_placed(lost, machine)["instance"] != instance:
            self._do(f"terminate {instance}", lambda: ec2.terminate_instances(InstanceIds=[instance]))
        elif name:
            tags = [{"Key": key, "Value": name} for key in NAME_TAGS]
            self._do(f"name {instance} {name}", lambda: ec2.create_tags(Resources=[instance], Tags=tags))

    def _do(self, what: str, do: Callable[[], object]) -> None:
        """Do it now, or at one of the next looks: EC2 may not have heard yet of what it has launched."""
        self._undone.append((what, time.monotonic() + _UNHEARD_OF_SECONDS, do))
        self._finish()

    def _client(self, region: str) -> Any:
        if self._ec2 is None:
            import boto3

            self._ec2 = boto3.client("ec2", region_name=region)
        return self._ec2


def _was_dismissed(ec2: Any, instance: str) -> bool:
    """Whether somebody has ended it: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html."""
    found = ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [instance]}])["Reservations"]
    for one in (one for reservation in found for one in reservation["Instances"]):
        code = str(one.get("StateReason", {}).get("Code", ""))
        return one["State"]["Name"] in _ENDED and code.startswith("Client.")
    return False
