"""Microsoft.KeyVault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from delivery.offline_azure.combinations.rule import Problem, ip_range
from delivery.offline_azure.limits import at


def vault(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn: "Azure Key Vault soft-delete overview", "Configure Azure Key Vault firewalls"."""
    properties = inputs.get("properties") or {}
    for field, why in (
        ("enablePurgeProtection", "Enabling the purge protection for a vault is an irreversible action."),
        ("enableSoftDelete", "Soft delete can no longer be turned off."),
    ):
        if properties.get(field) is False:
            yield "BadRequest", f'The property "{field}" cannot be set to false. {why}'
    acls = properties.get("networkAcls") or {}
    if len(acls.get("ipRules") or []) > 1000 or len(acls.get("virtualNetworkRules") or []) > 200:
        yield "BadRequest", "A vault has at most 1000 IP rules and 200 virtual network rules."
    for value in at(acls, "ipRules[].value"):
        # The specification's own example has quotes around one.
        if ip_range(str(value).strip("'")) is None:
            yield "BadRequest", f"The IP rule '{value}' is no IPv4 address or range."
