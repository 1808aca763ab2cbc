"""What brings a deleted or overwritten resource back, and what keeps it from being deleted."""

from __future__ import annotations

from collections.abc import Iterator

from infra.guardrails import types
from infra.guardrails.resource import Resource, Stack
from infra.guardrails.rule import Broken, properties
from infra.guardrails.watched import unwatched

versions_are_kept = properties(
    {
        types.BLOB_SERVICE: {
            "isVersioningEnabled": (True,),
            "deleteRetentionPolicy.enabled": (True,),
            "containerDeleteRetentionPolicy.enabled": (True,),
        }
    }
)


def data_is_protected(resource: Resource, stack: Stack) -> Iterator[Broken]:
    """Refuse data that an `up` may delete, where the settings say `protect`."""
    if stack.facts.protect and not resource.protect:
        yield Broken(path="protect", value=False, allowed="true, as the stack's `protect` says")


def data_is_locked(resource: Resource, stack: Stack) -> Iterator[Broken]:
    """Refuse data that a person may delete on Azure, where the settings say `protect`."""
    locks = [lock for lock in stack.of_type(types.LOCK) if lock.at("level") == "CanNotDelete"]
    if stack.facts.protect and unwatched(resource, locks, "scope"):
        yield Broken(path="lock", value=None, allowed="a lock CanNotDelete on it, as the stack's `protect` says")


def vault_cannot_be_purged(resource: Resource, stack: Stack) -> Iterator[Broken]:
    """Refuse a vault that can be purged, where the settings say `purgeProtection`."""
    if stack.facts.purge_protection and resource.at("properties.enablePurgeProtection") is None:
        yield Broken(path="properties.enablePurgeProtection", value=None, allowed="true, as `purgeProtection` says")
