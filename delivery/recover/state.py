"""What a killed `up` has left in the state, and the state as it should be: documents in, documents out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from delivery.recover.addresses import AZURE

CREATING: Final = "creating"

_DYNAMIC: Final = "pulumi-python:dynamic"
_ENGINES_OWN: Final = "pulumi:"
_GROUP: Final = "azure-native:resources:ResourceGroup"
_PROVIDER: Final = "pulumi:providers:azure-native"
_VARIABLES: Final = ("ARM_SUBSCRIPTION_ID", "AZURE_SUBSCRIPTION_ID")

# What the program said of a resource and `pulumi import` takes no option for. Without it a destroy before the
# next `up` would not know the order, nor what is protected.
_GOALS: Final = (
    "additionalSecretOutputs",
    "customTimeouts",
    "deletedWith",
    "dependencies",
    "propertyDependencies",
    "protect",
    "retainOnDelete",
)


class Care(StrEnum):
    """What an interrupted operation needs."""

    BRING_BACK = "bring back"
    """A create on Azure: Azure may have made what the state does not know."""
    REFRESH = "refresh"
    """An update or delete on Azure: the state may be older than Azure."""
    REPEAT = "repeat"
    """Not on Azure, or without an effect: the next `up` does it again."""
    UNKNOWN = "unknown"
    """A create by a provider that no program of this repository uses."""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """One operation that was under way. `resource` is the state that it worked towards."""

    operation: str
    resource: Mapping[str, Any]

    @property
    def urn(self) -> str:
        return str(self.resource["urn"])

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[1]

    @property
    def type(self) -> str:
        return str(self.resource["type"])

    @property
    def care(self) -> Care:
        if self.operation == CREATING:
            if self.type.startswith(AZURE):
                return Care.BRING_BACK
            return Care.REPEAT if self.type.startswith((_DYNAMIC, _ENGINES_OWN)) else Care.UNKNOWN
        changing = self.operation in ("updating", "deleting")
        return Care.REFRESH if changing and self.type.startswith(AZURE) else Care.REPEAT


def pending(state: Mapping[str, Any]) -> list[Pending]:
    """The interrupted operations; a resource that several killed runs left is there once, with the last."""
    operations = _deployment(state).get("pending_operations") or []
    found = [Pending(operation=str(one["type"]), resource=one["resource"]) for one in operations]
    return list({(one.urn, one.operation == CREATING): one for one in found}.values())


def known(state: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The resources of the state by URN, without those that are only waiting for their deletion."""
    return {str(one["urn"]): one for one in _resources(state) if not one.get("delete")}


def same(first: object, second: object) -> bool:
    """IDs on Azure are case-insensitive."""
    return str(first).lower() == str(second).lower()


def subscription(state: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    """The stack's subscription: its resource group's, the provider's, or what the environment says; else None."""
    return next(_subscriptions(state, environ), None)


def output(state: Mapping[str, Any], name: str) -> Any:
    """An output of the stack; None if it has none of the name."""
    stacks = (one for one in _resources(state) if one["type"] == f"{_ENGINES_OWN}pulumi:Stack")
    return next((value for one in stacks if (value := (one.get("outputs") or {}).get(name)) is not None), None)


def import_entry(one: Pending, identifier: str) -> dict[str, Any]:
    """The resource of an interrupted create in an import file. With its parent it gets the program's own URN."""
    entry = {"type": one.type, "name": one.name, "id": identifier, "parent": one.resource.get("parent")}
    provider = str(one.resource.get("provider", "")).rpartition("::")[0]
    return {key: value for key, value in (entry | {"provider": provider}).items() if value}


def restored(state: Mapping[str, Any], interrupted: Collection[Pending]) -> dict[str, Any]:
    """The state without pending operations, in which what was imported has what the program said of it.

    What was being replaced, and has its successor's ID, is taken for living again: the next `up` sees by its inputs
    that it has to be replaced.
    """
    goals = {one.urn: one.resource for one in interrupted if one.operation == CREATING}
    seen: set[str] = set()
    resources = []
    for one in _resources(state):
        resource = dict(one)
        if one["urn"] in goals and not one.get("delete"):
            resource.pop("pendingReplacement", None)
            if "propertyDependencies" not in one:
                resource |= _goals(goals[one["urn"]], seen)
        resources.append(resource)
        seen.add(str(one["urn"]))
    deployment = {key: value for key, value in _deployment(state).items() if key != "pending_operations"}
    return {**state, "deployment": {**deployment, "resources": resources}}


def _goals(wanted: Mapping[str, Any], seen: Collection[str]) -> dict[str, Any]:
    """What the program said, without references to what the state no longer has before it."""
    goals = {key: wanted[key] for key in _GOALS if key in wanted}
    if "dependencies" in goals:
        goals["dependencies"] = [urn for urn in goals["dependencies"] if urn in seen]
    if "propertyDependencies" in goals:
        goals["propertyDependencies"] = {
            name: [urn for urn in urns or [] if urn in seen] for name, urns in goals["propertyDependencies"].items()
        }
    if goals.get("deletedWith", "") not in {"", *seen}:
        del goals["deletedWith"]
    return goals


def _subscriptions(state: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[str]:
    resources = _resources(state)
    for one in resources:
        found = re.match(r"/subscriptions/([^/]+)", str(one.get("id", "")))
        if found and one["type"] == _GROUP:
            yield found[1]
    for one in resources:
        given = one.get("inputs", {}).get("subscriptionId")
        if one["type"] == _PROVIDER and isinstance(given, str):
            yield given
    yield from (environ[name] for name in _VARIABLES if environ.get(name))


def _deployment(state: Mapping[str, Any]) -> Mapping[str, Any]:
    deployment: Mapping[str, Any] = state.get("deployment") or {}
    return deployment


def _resources(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(_deployment(state).get("resources") or [])
