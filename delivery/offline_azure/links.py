"""Links of services to a subnet that outlive what made them, for hours or days: until then the subnet stays in use.

Source: microsoft/azure-container-apps issue 974; Microsoft Learn, "Troubleshoot deletion of a virtual network or
subnet", for the code of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import short
from delivery.offline_azure.errors import RefusedError

Resources = Mapping[str, Mapping[str, Any]]

_NAMES: Final = {
    "app:ManagedEnvironment": ("legionservicelink", "vnetConfiguration", "infrastructureSubnetId"),
    "dbforpostgresql:Server": ("AzureDatabaseForPostgreSQLFlexibleServers", "network", "delegatedSubnetResourceId"),
}


def left_by(type_token: str, inputs: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the subnet in which a deleted resource leaves a link, and the link's ID; None for all other resources."""
    if short(type_token) not in _NAMES:
        return None
    name, block, field = _NAMES[short(type_token)]
    subnet = (inputs.get(block) or {}).get(field)
    return (str(subnet), f"{subnet}/serviceAssociationLinks/{name}") if subnet else None


def of(subnet: str, resources: Resources) -> list[str]:
    """Return the links that a subnet still has."""
    return list(resources.get(subnet.lower(), {}).get("links", ()))


def refusal(subnet: str, resources: Resources) -> RefusedError | None:
    """Return why Azure does not delete a subnet yet; None if nothing links it."""
    found = of(subnet, resources)
    if not found:
        return None
    message = (
        f"Subnet {subnet.rsplit('/', 1)[-1]} is in use by {', '.join(found)} and cannot be deleted. In order to delete "
        "the subnet, delete all the resources within the subnet."
    )
    return RefusedError(400, "InUseSubnetCannotBeDeleted", message)
