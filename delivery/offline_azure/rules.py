"""What Azure refuses in a resource because of other resources: references, delegations, principals, duplicates.

What it refuses in a request by itself is in `limits` and `combinations`.

Where Azure's error code is documented or was seen in public it is that one; the rest bear a name of the kind.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import PACKAGE, short
from delivery.offline_azure import combinations, computed_outputs, limits, links, networks
from delivery.offline_azure.addresses import SUBSCRIPTION, existing, own_name
from delivery.offline_azure.errors import RefusedError

Resources = Mapping[str, Mapping[str, Any]]
Rule = Callable[[str, Mapping[str, Any], Resources], RefusedError | None]

_ID: Final = re.compile(rf"/subscriptions/{SUBSCRIPTION}/.+/providers/.+", re.IGNORECASE)
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_APP_ENVIRONMENTS: Final = "Microsoft.App/environments"
_POSTGRES_SERVERS: Final = "Microsoft.DBforPostgreSQL/flexibleServers"
_SMALLEST_ENVIRONMENT: Final = 27
_MOST_CREDENTIALS: Final = 20
_MOST_SETTINGS: Final = 5
_SERVICE_PRINCIPAL: Final = "ServicePrincipal"
_OF_TENANT: Final = ("User", "Group", "ForeignGroup")


def refusal(type_token: str, identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Return why Azure refuses a resource beside the others (by ID in lower case); None if it accepts it."""
    others = {key: value for key, value in resources.items() if key != identifier.lower()}
    rule = RULES.get(short(type_token))
    return (
        limits.refusal(type_token, inputs)
        or combinations.refusal(type_token, inputs)
        or _dangling(identifier, inputs, others)
        or (rule(identifier, inputs, others) if rule else None)
    )


def references(value: Any) -> Iterator[str]:
    """Yield each ID of this subscription's resources in the values; role definitions are in no resource group."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, str) and _ID.match(value) and "/roledefinitions/" not in value.lower():
        yield value


def of_type(resources: Resources, kind: str) -> list[Mapping[str, Any]]:
    return [one for one in resources.values() if one["type"] == f"{PACKAGE}{kind}"]


def _dangling(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    for reference in references(inputs):
        if existing(reference).lower() in resources or reference.lower() == identifier.lower():
            continue
        if "/userassignedidentities/" in reference.lower():
            message = (
                f"Identity operation for resource '{identifier}' failed: the identity '{reference}' was not found."
            )
            return RefusedError(400, "FailedIdentityOperation", message)
        message = (
            f"Resource {reference} referenced by resource {identifier} was not found. Please make sure that the "
            "referenced resource exists, and that both resources are in the same region."
        )
        return RefusedError(400, "InvalidResourceReference", message)
    return None


def _delegated(resources: Resources, subnet: str, service: str) -> bool:
    """Whether a subnet is the service's. One of another subscription, which is not here, is taken for such a one."""
    if subnet.lower() not in resources:
        return True
    delegations = resources[subnet.lower()]["inputs"].get("delegations") or []
    return any(one.get("serviceName", "").lower() == service.lower() for one in delegations)


def _environment(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Microsoft Learn, "Networking in Azure Container Apps environment": a delegated subnet for itself, from /27 on."""
    subnet = (inputs.get("vnetConfiguration") or {}).get("infrastructureSubnetId")
    if subnet is None:
        return None
    if not _delegated(resources, subnet, _APP_ENVIRONMENTS):
        message = f"The subnet of the environment must be delegated to the service '{_APP_ENVIRONMENTS}'."
        return RefusedError(400, "ManagedEnvironmentSubnetDelegationError", message)
    prefix = resources.get(subnet.lower(), {}).get("inputs", {}).get("addressPrefix")
    if prefix and ipaddress.ip_network(prefix).prefixlen > _SMALLEST_ENVIRONMENT:
        message = f"The environment network configuration is invalid: the subnet {prefix} must be /27 or larger."
        return RefusedError(400, "ManagedEnvironmentInvalidNetworkConfiguration", message)
    users = [one["id"] for one in resources.values() if subnet.lower() in map(str.lower, references(one["inputs"]))]
    users += links.of(subnet, resources)
    if users:
        message = f"The subnet '{subnet}' is in use by {', '.join(sorted(users))}."
        return RefusedError(400, "ManagedEnvironmentSubnetInUse", message)
    return None


def _server(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Microsoft Learn, "Networking with private access (VNet integration)": a subnet delegated to flexible servers."""
    subnet = (inputs.get("network") or {}).get("delegatedSubnetResourceId")
    if subnet is None or _delegated(resources, subnet, _POSTGRES_SERVERS):
        return None
    message = f"The subnet '{subnet}' must be delegated to '{_POSTGRES_SERVERS}'."
    return RefusedError(400, "SubnetNotDelegated", message)


def _assignment(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Microsoft Learn, "Troubleshoot Azure RBAC": PrincipalNotFound, UnmatchedPrincipalType, RoleAssignmentExists.

    The people and groups of a tenant are no resources: any that is said to be one is taken for one that exists.
    """
    if not _GUID.match(str(inputs.get("roleAssignmentName", ""))):
        return RefusedError(400, "InvalidRoleAssignmentId", "The role assignment ID must be a GUID.")
    identities = of_type(resources, "managedidentity:UserAssignedIdentity")
    principals = {computed_outputs.guid(one["id"], "principal") for one in identities} | {
        computed_outputs.client()["objectId"]
    }
    principal, kind = str(inputs.get("principalId")), str(inputs.get("principalType", _SERVICE_PRINCIPAL))
    if principal.lower() in principals and kind != _SERVICE_PRINCIPAL:
        message = (
            f"The PrincipalId '{principal}' has type '{_SERVICE_PRINCIPAL}', which is different from specified "
            f"PrincipalType '{kind}'."
        )
        return RefusedError(400, "UnmatchedPrincipalType", message)
    if principal.lower() not in principals and kind not in _OF_TENANT:
        message = f"Principal {principal} does not exist in the directory."
        return RefusedError(400, "PrincipalNotFound", message)
    for other in of_type(resources, "authorization:RoleAssignment"):
        if all(_same(other["inputs"], inputs, key) for key in ("scope", "principalId", "roleDefinitionId")):
            return RefusedError(409, "RoleAssignmentExists", "The role assignment already exists.")
    return None


def _credential(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Microsoft Learn, "Workload identity federation considerations": 20 of an identity, each pair of them once."""
    beside = identifier.lower().rpartition("/")[0]
    credentials = of_type(resources, "managedidentity:FederatedIdentityCredential")
    siblings = [one for one in credentials if one["id"].lower().rpartition("/")[0] == beside]
    if any(all(one["inputs"].get(key) == inputs.get(key) for key in ("issuer", "subject")) for one in siblings):
        message = "Issuer and subject combination already exists for this Managed Identity."
        return RefusedError(409, "Conflict", message)
    if len(siblings) >= _MOST_CREDENTIALS:
        return RefusedError(400, "BadRequest", "Too many Federated Identity Credentials for this Managed Identity.")
    return None


def _diagnostic_setting(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Microsoft Learn, "Diagnostic settings in Azure Monitor": one sink takes a category of a resource once."""
    target = str(inputs.get("resourceUri", "")).lower()
    logs = inputs.get("logs") or []
    if logs and re.search(r"/storageaccounts/[^/]+\Z", target):
        return RefusedError(400, "BadRequest", f"Category groups of logs are not supported by '{target}'.")
    settings = of_type(resources, "monitor:DiagnosticSetting")
    if sum(_same(one["inputs"], inputs, "resourceUri") for one in settings) >= _MOST_SETTINGS:
        return RefusedError(400, "BadRequest", f"A resource has at most {_MOST_SETTINGS} diagnostic settings.")
    for other in settings:
        both = other["inputs"]
        if all(_same(both, inputs, key) for key in ("resourceUri", "workspaceId")) and both.get("logs") == logs:
            message = (
                f"Data sink '{inputs.get('workspaceId')}' is already used in diagnostic setting '{both.get('name')}'. "
                "Data sinks can't be reused in different settings on the same category for the same resource."
            )
            return RefusedError(409, "Conflict", message)
    return None


def _link(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Microsoft Learn, "What is a virtual network link?": a network is linked to a zone once."""
    beside = identifier.lower().rpartition("/")[0]
    for other in of_type(resources, "privatedns:VirtualNetworkLink"):
        same = str(other["inputs"].get("virtualNetwork")).lower() == str(inputs.get("virtualNetwork")).lower()
        if same and other["id"].lower().rpartition("/")[0] == beside:
            return RefusedError(409, "Conflict", "The virtual network is already linked to the private DNS zone.")
    return None


def _workbook(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Microsoft Learn, "Programmatically manage workbooks": a workbook's name is a GUID."""
    if _GUID.match(own_name(identifier)):
        return None
    return RefusedError(400, "InvalidResourceName", f"'{own_name(identifier)}' is not a GUID.")


def _same(first: Mapping[str, Any], second: Mapping[str, Any], key: str) -> bool:
    """Return whether two IDs or GUIDs are the same; their case does not matter."""
    return str(first.get(key)).rstrip("/").lower() == str(second.get(key)).rstrip("/").lower()


RULES: Final[Mapping[str, Rule]] = {
    "app:ManagedEnvironment": _environment,
    "dbforpostgresql:Server": _server,
    "authorization:RoleAssignment": _assignment,
    "managedidentity:FederatedIdentityCredential": _credential,
    "monitor:DiagnosticSetting": _diagnostic_setting,
    "network:NatGateway": networks.gateway,
    "network:PrivateEndpoint": networks.endpoint,
    "network:Subnet": networks.subnet,
    "network:VirtualNetwork": networks.network,
    "privatedns:VirtualNetworkLink": _link,
    "applicationinsights:Workbook": _workbook,
}
