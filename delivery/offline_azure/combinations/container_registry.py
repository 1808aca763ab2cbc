"""Microsoft.ContainerRegistry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from delivery.offline_azure.combinations.rule import Problem


def registry(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure Container Registry service tiers", features of the tiers. Zone redundancy is in all."""
    tier = (inputs.get("sku") or {}).get("name", "Premium")
    policies = inputs.get("policies") or {}
    of_premium = {
        "publicNetworkAccess": inputs.get("publicNetworkAccess") == "Disabled",
        "networkRuleSet": (inputs.get("networkRuleSet") or {}).get("defaultAction") == "Deny",
        "encryption": (inputs.get("encryption") or {}).get("status") == "enabled",
        "dataEndpointEnabled": inputs.get("dataEndpointEnabled") is True,
        "policies.retentionPolicy": (policies.get("retentionPolicy") or {}).get("status") == "enabled",
        "policies.softDeletePolicy": (policies.get("softDeletePolicy") or {}).get("status") == "enabled",
        "policies.trustPolicy": (policies.get("trustPolicy") or {}).get("status") == "enabled",
        "policies.exportPolicy": (policies.get("exportPolicy") or {}).get("status") == "disabled",
    }
    for path in (path for path, wanted in of_premium.items() if wanted and tier != "Premium"):
        message = f"The property '{path}' is not supported for the SKU {tier}; it needs Premium."
        yield "FeatureNotSupportedForSku", message
    if inputs.get("anonymousPullEnabled") is True and tier == "Basic":
        yield "FeatureNotSupportedForSku", "The property 'anonymousPullEnabled' is not supported for the SKU Basic."
    exported = (policies.get("exportPolicy") or {}).get("status")
    if exported == "disabled" and inputs.get("publicNetworkAccess", "Enabled") != "Disabled":
        yield "ExportPolicyNotValid", "Export is disabled with public network access disabled only."
