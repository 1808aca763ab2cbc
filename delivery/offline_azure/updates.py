"""Updates that the provider tries and Azure refuses: what is fixed when a resource is made, or while it is used.

Error codes are Azure's own where they are documented or were seen in public; PropertyChangeNotAllowed stands for the
rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from delivery.azure_types.type_tokens import short
from delivery.offline_azure import defaults, links, networks
from delivery.offline_azure.errors import RefusedError
from delivery.offline_azure.values import Json, merged

Resources = Mapping[str, Mapping[str, Any]]

_MISSING: Final = object()
_FIXED: Final = "PropertyChangeNotAllowed"


@dataclass(frozen=True, kw_only=True)
class Update:
    """What a resource is (with what Azure filled in), what a request wants, and the resources beside it."""

    identifier: str
    old: Mapping[str, Json]
    new: Mapping[str, Json]
    resources: Resources

    def moved(self, *path: str) -> tuple[Json, Json]:
        """Return a value before and after; a request that does not name it leaves it."""
        before, after = _at(self.old, path), _at(self.new, path)
        before = None if before is _MISSING else before
        return before, before if after is _MISSING else after

    def changed(self, *path: str) -> bool:
        before, after = self.moved(*path)
        return bool(before != after)


Problem = tuple[str, str]
Rule = Callable[[Update], Iterator[Problem]]


def refusal(
    type_token: str, identifier: str, old: Mapping[str, Json], new: Mapping[str, Json], resources: Resources
) -> RefusedError | None:
    """Return why Azure refuses an update that the provider tries; None if it accepts it."""
    rule = _RULES.get(short(type_token))
    if rule is None:
        return None
    current = merged(defaults.filled_in(type_token, identifier, old, resources), dict(old))
    found = next(rule(Update(identifier=identifier, old=current, new=new, resources=resources)), None)
    return RefusedError(400, *found) if found else None


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return _MISSING
        value = value[key]
    return value


def _vault(update: Update) -> Iterator[Problem]:
    """Microsoft Learn, "Azure Key Vault soft-delete overview": purge protection and the days of soft delete stay."""
    before = update.moved("properties", "enablePurgeProtection")[0]
    if before is True and _at(update.new, ("properties", "enablePurgeProtection")) is not True:
        yield _FIXED, "The property 'enablePurgeProtection' cannot be set to false. It is irreversible."
    if update.changed("location"):
        yield _FIXED, "The vault cannot be moved to another location."
    if update.changed("properties", "softDeleteRetentionInDays"):
        yield "BadRequest", "The property 'softDeleteRetentionInDays' has been set already and it can't be modified."


def _server(update: Update) -> Iterator[Problem]:
    """Microsoft Learn, Azure Database for PostgreSQL: "Storage options" (it only grows), "Backup and restore" (geo
    backup is chosen at creation), "High availability" (from one kind to the other over none), "Data encryption"
    (the kind of key is chosen at creation), "Major version upgrades"."""
    before, after = update.moved("storage", "storageSizeGB")
    if before and after and after < before:
        yield _FIXED, f"Storage cannot be reduced from {before:g} to {after:g} GiB."
    if update.changed("backup", "geoRedundantBackup"):
        yield _FIXED, "The property 'backup.geoRedundantBackup' is chosen when a server is created."
    before, after = update.moved("highAvailability", "mode")
    if before != after and "Disabled" not in (before, after):
        message = f"High availability cannot be changed from '{before}' to '{after}': disable it first."
        yield "HighAvailabilityModeChangeNotAllowed", message
    elif before == after != "Disabled":
        before, after = update.moved("highAvailability", "standbyAvailabilityZone")
        if after and before not in (None, "", after) and after != update.moved("availabilityZone")[0]:
            message = f"The standby cannot be moved from zone '{before}' to '{after}': disable high availability first."
            yield "HighAvailabilityZoneChangeNotAllowed", message
    if update.changed("dataEncryption", "type"):
        yield _FIXED, "The property 'dataEncryption.type' is chosen when a server is created."
    before, after = update.moved("version")
    if before and after and int(after) < int(before):
        yield "MajorVersionDowngradeNotAllowed", f"A server of version {before} cannot go back to {after}."


def _assignment(update: Update) -> Iterator[Problem]:
    """Microsoft Learn, "Troubleshoot Azure RBAC": RoleAssignmentUpdateNotPermitted."""
    if any(update.changed(key) for key in ("roleDefinitionId", "principalId", "scope")):
        message = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."
        yield "RoleAssignmentUpdateNotPermitted", message


def _account(update: Update) -> Iterator[Problem]:
    """Microsoft Learn, "Change how a storage account is replicated": copies in another region come and go by an update,
    copies in other zones by a conversion. "Enable infrastructure encryption": at creation only."""
    before, after = (str(name) for name in update.moved("sku", "name"))
    if ("ZRS" in before and "ZRS" not in after) or ("ZRS" not in before and "ZRS" in after):
        message = f"The property 'sku.name' cannot be updated from '{before}' to '{after}': it takes a conversion."
        yield "AccountPropertyCannotBeUpdated", message
    if before.partition("_")[0] != after.partition("_")[0]:
        yield "AccountPropertyCannotBeUpdated", f"The tier of '{before}' and '{after}' is not the same."
    old, new = update.moved("kind")
    if old != new and (old, new) not in (("Storage", "StorageV2"), ("BlobStorage", "StorageV2")):
        yield "AccountPropertyCannotBeUpdated", f"The property 'kind' cannot be updated from '{old}' to '{new}'."
    for path in (("encryption", "requireInfrastructureEncryption"), ("enableNfsV3",), ("dnsEndpointType",)):
        if update.changed(*path):
            message = f"The property '{path[-1]}' was specified in the input, but it cannot be updated."
            yield "AccountPropertyCannotBeUpdated", message


def _container(update: Update) -> Iterator[Problem]:
    """REST reference, "Blob Containers - Update": the encryption scope is chosen at creation."""
    for key in ("defaultEncryptionScope", "denyEncryptionScopeOverride"):
        if update.changed(key):
            yield "ContainerPropertyCannotBeUpdated", f"The property '{key}' is chosen when a container is created."


def _registry(update: Update) -> Iterator[Problem]:
    """Microsoft Learn: "Zone redundancy in Azure Container Registry", "Azure Container Registry service tiers" (what
    only Premium has is removed before another tier), "Encrypt a registry with customer-managed keys"."""
    if update.changed("zoneRedundancy"):
        yield "ZoneRedundancyCannotBeUpdated", "The property 'zoneRedundancy' is chosen when a registry is created."
    if update.changed("encryption", "status"):
        yield "EncryptionCannotBeUpdated", "The property 'encryption' is chosen when a registry is created."
    if update.moved("sku", "name")[1] != "Premium" and (found := _endpoints(update)):
        yield "FeatureNotSupportedForSku", f"Private endpoints need the SKU Premium; there are {', '.join(found)}."


def _endpoints(update: Update) -> list[str]:
    return [
        str(one["id"])
        for one in update.resources.values()
        for connection in one["inputs"].get("privateLinkServiceConnections") or []
        if str(connection.get("privateLinkServiceId")).lower() == update.identifier.lower()
    ]


def _environment(update: Update) -> Iterator[Problem]:
    """Microsoft Learn, "Networking in Azure Container Apps environment": accessibility and subnet are chosen when the
    environment is created; "Workload profiles": one that an app uses is not removed."""
    for key in ("infrastructureSubnetId", "internal"):
        before, after = update.moved("vnetConfiguration", key)
        if (before or False) != (after or False):
            message = f"The property 'vnetConfiguration.{key}' cannot be changed after the environment is created."
            yield "ManagedEnvironmentInvalidNetworkConfiguration", message
    if update.changed("infrastructureResourceGroup"):
        yield _FIXED, "The property 'infrastructureResourceGroup' is chosen when an environment is created."
    before, after = update.moved("workloadProfiles")
    gone = {one.get("name") for one in before or []} - {one.get("name") for one in after or []}
    for one in update.resources.values():
        inputs = one["inputs"]
        where = str(inputs.get("environmentId", inputs.get("managedEnvironmentId"))).lower()
        if where == update.identifier.lower() and inputs.get("workloadProfileName") in gone:
            message = f"The workload profile '{inputs['workloadProfileName']}' is used by '{one['id']}'."
            yield "WorkloadProfileInUse", message


def _address(update: Update) -> Iterator[Problem]:
    """ResourceAvailabilityZonesCannotBeModified; Microsoft Learn, "Public IP addresses", availability zone."""
    before, after = (sorted(zones or []) for zones in (update.old.get("zones"), update.new.get("zones")))
    if before != after:
        message = (
            f"Resource {update.identifier} has an existing availability zone constraint {', '.join(before) or 'NoZone'}"
            f" and the request has availability zone constraint {', '.join(after) or 'NoZone'}, which do not match. "
            "Zones cannot be added/updated/removed once the resource is created."
        )
        yield "ResourceAvailabilityZonesCannotBeModified", message


def _network(update: Update) -> Iterator[Problem]:
    """As at its creation beside the subnets that there are: see `networks.network`."""
    found = networks.network(update.identifier, update.new, update.resources)
    if found is not None:
        yield found.code, found.message


def _subnet(update: Update) -> Iterator[Problem]:
    """Microsoft Learn, "Add, change, or delete a virtual network subnet": neither range nor delegation of one in use
    changes."""
    in_use = [*networks.users(update.identifier, update.resources), *links.of(update.identifier, update.resources)]
    if not in_use:
        return
    before, after = networks.prefixes(update.old), networks.prefixes(update.new)
    if gone := [prefix for prefix in before if prefix not in after]:
        message = f"IpPrefix {gone[0]} on Subnet {update.identifier} has active allocations and cannot be deleted."
        yield "InUsePrefixCannotBeDeleted", message
    services = [
        {str(one.get("serviceName")).lower() for one in given.get("delegations") or []}
        for given in (update.old, update.new)
    ]
    if services[0] != services[1]:
        message = f"Delegations of subnet {update.identifier} cannot be changed: it is used by {', '.join(in_use)}."
        yield "SubnetDelegationsCannotChangeWhenSubnetUsedByResource", message


def _endpoint(update: Update) -> Iterator[Problem]:
    """Microsoft Learn, "Manage Azure private endpoints": subnet, target and interface are chosen at creation."""
    if str(update.moved("subnet", "id")[0]).lower() != str(update.moved("subnet", "id")[1]).lower():
        yield _FIXED, "The subnet of a private endpoint is chosen when it is created."
    targets = [
        sorted(str(one.get("privateLinkServiceId")).lower() for one in given or [])
        for given in update.moved("privateLinkServiceConnections")
    ]
    if targets[0] != targets[1]:
        yield _FIXED, "The target of a private endpoint is chosen when it is created."
    if update.changed("customNetworkInterfaceName"):
        yield _FIXED, "The name of a private endpoint's interface is chosen when it is created."


def _cluster(update: Update) -> Iterator[Problem]:
    """Pools of their own are made and set by the pools' own operations (pulumi-azure-native issues 579 and 2719)."""
    there = {str(pool.get("name")).lower() for pool in update.old.get("agentPoolProfiles") or []}
    below = f"{update.identifier}/agentPools/".lower()
    there |= {identifier.removeprefix(below) for identifier in update.resources if identifier.startswith(below)}
    new = {str(pool.get("name")).lower() for pool in update.new.get("agentPoolProfiles") or []}
    if new - there:
        yield (
            "BadRequest",
            "A new agent pool was introduced. Adding agent pools to an existing cluster is not allowed through managed "
            "cluster operations.",
        )


def _agent_pool(update: Update) -> Iterator[Problem]:
    """Microsoft Learn, "Create node pools for a cluster in AKS": what is chosen when a pool is created."""
    for key in (
        *("availabilityZones", "enableEncryptionAtHost", "maxPods", "osDiskSizeGB", "osDiskType", "osType"),
        *("vmSize", "vnetSubnetID"),
    ):
        if update.changed(key):
            yield _FIXED, f"Changing property 'properties.{key}' is not allowed."


_RULES: Final[Mapping[str, Rule]] = {
    "app:ManagedEnvironment": _environment,
    "authorization:RoleAssignment": _assignment,
    "containerregistry:Registry": _registry,
    "containerservice:AgentPool": _agent_pool,
    "containerservice:ManagedCluster": _cluster,
    "dbforpostgresql:Server": _server,
    "keyvault:Vault": _vault,
    "network:NatGateway": _address,
    "network:PrivateEndpoint": _endpoint,
    "network:PublicIPAddress": _address,
    "network:Subnet": _subnet,
    "network:VirtualNetwork": _network,
    "storage:BlobContainer": _container,
    "storage:StorageAccount": _account,
}
