"""Which inputs the provider replaces a resource for, and which updates Azure itself refuses.

The rows come from ../shared/azure-native/replacements.json (the provider's own published schema); where that is absent,
the address and the location alone replace.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from delivery.offline_azure import addresses, bodies

TABLE: Final = bodies.FOLDER.parent / "azure-native" / "replacements.json"

# Types that have moved to another module, or were renamed, since the table was made.
MOVED: Final[Mapping[str, str]] = {
    "privatedns:PrivateZone": "network:PrivateZone",
    "privatedns:PrivateRecordSet": "network:PrivateRecordSet",
    "monitor:ActionGroup": "insights:ActionGroup",
    "monitor:DiagnosticSetting": "insights:DiagnosticSetting",
    "monitor:MetricAlert": "insights:MetricAlert",
    "monitor:ScheduledQueryRule": "insights:ScheduledQueryRule",
    "applicationinsights:Workbook": "insights:Workbook",
    "applicationinsights:Component": "insights:Component",
    "dbforpostgresql:AdministratorsMicrosoftEntra": "dbforpostgresql:Administrator",
}

# Departures. The table's VirtualNetworkLink is that of a DNS resolver's forwarding rule set; the one of a private
# zone is bound to its network for life (REST reference "Virtual Network Links - Update": only registration and tags
# change).
DEPARTURES: Final[Mapping[str, frozenset[str]]] = {
    "privatedns:VirtualNetworkLink": frozenset({"location", "virtualNetwork"}),
}


@cache
def _rows() -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = json.loads(TABLE.read_text()) if TABLE.is_file() else {}
    return rows


def replacing(type_token: str, inputs: Mapping[str, Any]) -> frozenset[str]:
    """Input paths, `[]` for a list's items, whose change replaces a resource of this type."""
    short = type_token.removeprefix("azure-native:")
    address = {*addresses.names(type_token, inputs), *bodies.SCOPES}
    if short in DEPARTURES:
        return DEPARTURES[short] | address
    row = _rows().get(MOVED.get(short, short))
    return frozenset(row["replace"] if row else ["location"]) | address


def replaces(path: str, immutable: frozenset[str]) -> bool:
    """Whether a change at this path (`network.x`, `list[0].y`) is one of, or inside of, the immutable ones."""
    general = re.sub(r"\[\d+\]", "[]", path)
    return any(general == one or general.startswith((f"{one}.", f"{one}[")) for one in immutable)


def refusal(type_token: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Why Azure refuses this update although the provider tries it."""

    def moved(*path: str) -> tuple[Any, Any]:
        before: Any = old
        after: Any = new
        for key in path:
            before, after = (before or {}).get(key), (after or {}).get(key)
        return before, after

    match type_token.removeprefix("azure-native:"):
        case "keyvault:Vault":
            # Microsoft Learn, "Azure Key Vault soft-delete overview": purge protection cannot be taken back.
            if moved("properties", "enablePurgeProtection") in [(True, False), (True, None)]:
                return "The property 'enablePurgeProtection' cannot be set to false. It is irreversible."
            if moved("location")[0] != moved("location")[1]:
                return "The vault cannot be moved to another location."
        case "dbforpostgresql:Server":
            # Microsoft Learn, "Storage options in Azure Database for PostgreSQL": storage only grows.
            before, after = moved("storage", "storageSizeGB")
            if before and after and after < before:
                return f"Storage cannot be reduced from {before:g} to {after:g} GiB."
        case "authorization:RoleAssignment":
            # REST error RoleAssignmentUpdateNotPermitted.
            if moved("roleDefinitionId")[0] != moved("roleDefinitionId")[1]:
                return "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."
    return None
