"""What a subscription has registered: what docs/azure.md has a person register, unless a test says otherwise.

Sources, Microsoft Learn: "Resolve errors for resource provider registration" (MissingSubscriptionRegistration, a
conflict), "Host-based encryption on AKS", "Enable end-to-end encryption using encryption at host" (the feature).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from delivery.offline_azure import addresses
from delivery.offline_azure.errors import RefusedError
from infra import registrations
from infra.settings.profiles import ComputeKind

_KINDS: Final = (ComputeKind.CONTAINER_APPS, ComputeKind.AKS)
_BY_ITSELF: Final = frozenset({"Microsoft.Authorization", "Microsoft.Resources"})
_ENCRYPTION: Final = "Microsoft.Compute/EncryptionAtHost"


def refusal(identifier: str, inputs: Mapping[str, Any], unregistered: Collection[str]) -> RefusedError | None:
    """Return why the subscription takes no such resource; None if it does."""
    registered = {name for kind in _KINDS for name in (*registrations.providers(kind), *registrations.features(kind))}
    registered = (registered | _BY_ITSELF) - {*unregistered}
    namespace = addresses.arm_type(identifier).partition("/")[0]
    if namespace not in registered:
        message = f"The subscription is not registered to use namespace '{namespace}'."
        return RefusedError(409, "MissingSubscriptionRegistration", message)
    pools = [inputs, *(inputs.get("agentPoolProfiles") or [])]
    if _ENCRYPTION not in registered and any(pool.get("enableEncryptionAtHost") is True for pool in pools):
        message = f"Subscription does not enable EncryptionAtHost: feature {_ENCRYPTION} is not registered."
        return RefusedError(400, "SubscriptionNotEnabledEncryptionAtHost", message)
    return None
