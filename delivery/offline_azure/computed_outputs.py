"""What Azure computes for a resource in addition to its inputs: one small function per type.

Values are made from the resource's ID, so that they are the same every time.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import SERVER, short
from delivery.offline_azure import sdk_types
from delivery.offline_azure.addresses import SUBSCRIPTION, TENANT, own_name
from delivery.offline_azure.server_parameters import PARAMETERS, Kind
from delivery.offline_azure.values import merged, ordered

Answer = Callable[[str, Mapping[str, Any]], dict[str, Any]]

_MADE: Final = "2026-01-01T00:00:00Z"
# These keep their state inside of `properties` (REST reference, "Vaults - Get", "Resource Groups - Get").
_STATE_INSIDE: Final = ("keyvault:Vault", "resources:ResourceGroup")
# Where Azure keeps the second copy of a region's data (Microsoft Learn, "Azure paired regions").
_PAIRS: Final = (
    ("australiaeast", "australiasoutheast"),
    ("canadacentral", "canadaeast"),
    ("centralus", "eastus2"),
    ("eastasia", "southeastasia"),
    ("eastus", "westus"),
    ("francecentral", "francesouth"),
    ("germanywestcentral", "germanynorth"),
    ("japaneast", "japanwest"),
    ("northeurope", "westeurope"),
    ("norwayeast", "norwaywest"),
    ("swedencentral", "swedensouth"),
    ("switzerlandnorth", "switzerlandwest"),
    ("uksouth", "ukwest"),
)
_PAIRED: Final = {**dict(_PAIRS), **{second: first for first, second in _PAIRS}}


def guid(identifier: Any, of: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{identifier}#{of}".lower()))


def _identity(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "principalId": guid(identifier, "principal"),
        "clientId": guid(identifier, "client"),
        "tenantId": TENANT,
    }


def _account(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    kinds = ("blob", "dfs", "file", "queue", "table", "web")
    location, sku = str(inputs.get("location")), str((inputs.get("sku") or {}).get("name", ""))
    copied = {"secondaryLocation": _PAIRED.get(location, location), "statusOfSecondary": "available"}
    return {
        "primaryEndpoints": {kind: f"https://{own_name(identifier)}.{kind}.core.windows.net/" for kind in kinds},
        "primaryLocation": location,
        "statusOfPrimary": "available",
        "creationTime": _MADE,
        "keyCreationTime": {"key1": _MADE, "key2": _MADE},
        "sku": {"tier": sku.partition("_")[0]},
        **(copied if "GRS" in sku or "GZRS" in sku else {}),
    }


def _vault(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"properties": {"vaultUri": f"https://{own_name(identifier)}.vault.azure.net/"}}


def _secret(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    uri = f"https://{inputs.get('vaultName')}.vault.azure.net/secrets/{own_name(identifier)}"
    return {"properties": {"secretUri": uri, "secretUriWithVersion": f"{uri}/{guid(identifier, 'v').replace('-', '')}"}}


def _key(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Microsoft.KeyVault, example "Create a key"."""
    uri = f"https://{inputs.get('vaultName')}.vault.azure.net/keys/{own_name(identifier)}"
    version = guid(identifier, "v").replace("-", "")
    return {"keyUri": uri, "keyUriWithVersion": f"{uri}/{version}", "attributes": {"enabled": True}}


def _postgres(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    mode = (inputs.get("highAvailability") or {}).get("mode")
    return {
        "backup": {"earliestRestoreDate": _MADE},
        "highAvailability": {"state": "Healthy" if mode not in (None, "Disabled") else "NotEnabled"},
        "fullyQualifiedDomainName": f"{own_name(identifier)}.postgres.database.azure.com",
        "state": "Ready",
        "minorVersion": "1",
        "replicaCapacity": 5,
    }


def _registry(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "loginServer": f"{own_name(identifier)}.azurecr.io",
        "creationDate": _MADE,
        "sku": {"tier": (inputs.get("sku") or {}).get("name")},
    }


def _parameter(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Microsoft.DBforPostgreSQL, example "Update the value assigned to a specific server parameter"."""
    name, value = own_name(identifier), inputs.get("value")
    default, kind = PARAMETERS.get(name, (None, Kind.DYNAMIC))
    return {
        "dataType": "Boolean" if value in ("on", "off") else "String",
        # The size of the server decides some.
        "defaultValue": value if default is None else default,
        "description": name,
        "documentationLink": f"https://www.postgresql.org/docs/current/runtime-config.html#{name}",
        "isConfigPendingRestart": kind is Kind.STATIC and value != default,
        "isDynamicConfig": kind is Kind.DYNAMIC,
        "isReadOnly": kind is Kind.READ_ONLY,
    }


def _administrator(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Microsoft.DBforPostgreSQL, example "Add a server administrator": its name is that of the principal."""
    return {"name": inputs.get("principalName", own_name(identifier))}


def _workbook(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"revision": guid(ordered(inputs.get("serializedData")), "revision"), "timeModified": _MADE, "userId": ""}


def _workspace(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"customerId": guid(identifier, "customer"), "createdDate": _MADE}


def environment_domain(identifier: Any) -> str:
    return f"calm-{guid(identifier, 'domain')[:8]}.westeurope.azurecontainerapps.io"


def _environment(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "customDomainConfiguration": {"customDomainVerificationId": _verification(identifier)},
        "defaultDomain": environment_domain(identifier),
        "eventStreamEndpoint": f"https://westeurope.azurecontainerapps.dev{identifier}/eventstream",
        "staticIp": "10.0.0.4",
    }


def _verification(identifier: str) -> str:
    return guid(identifier, "domain").replace("-", "").upper()


def _app(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    name, configuration = own_name(identifier), inputs.get("configuration") or {}
    domain = environment_domain(inputs.get("managedEnvironmentId", inputs.get("environmentId")))
    revision = f"{name}--{guid(ordered(inputs.get('template')), 'revision')[:7]}"
    answer: dict[str, Any] = {
        "latestRevisionName": revision,
        "latestReadyRevisionName": revision,
        "latestRevisionFqdn": f"{revision}.{domain}",
        "customDomainVerificationId": _verification(identifier),
        "eventStreamEndpoint": f"https://westeurope.azurecontainerapps.dev{identifier}/eventstream",
        "outboundIpAddresses": ["20.0.0.1"],
        "runningStatus": "Running",
    }
    if ingress := configuration.get("ingress"):
        inner = "" if ingress.get("external") is True else "internal."
        answer["configuration"] = {"ingress": {"fqdn": f"{name}.{inner}{domain}"}}
    return answer


def _job(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "eventStreamEndpoint": f"https://westeurope.azurecontainerapps.dev{identifier}/eventstream",
        "outboundIpAddresses": ["20.0.0.1"],
    }


def _endpoint(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    interface = identifier.replace("/privateEndpoints/", "/networkInterfaces/") + ".nic"
    return {"networkInterfaces": [{"id": interface}]}


def _address(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"ipAddress": "20.0.0.2", "resourceGuid": guid(identifier, "resource")}


def _cluster(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    host = f"{inputs.get('dnsPrefix', own_name(identifier))}-{guid(identifier, 'fqdn')[:8]}.hcp.westeurope.azmk8s.io"
    issuer = f"https://westeurope.oic.prod-aks.azure.com/{TENANT}/{guid(identifier, 'issuer')}/"
    kubelet = {"clientId": guid(identifier, "kubelet-c"), "objectId": guid(identifier, "kubelet-o")}
    return {
        "fqdn": host,
        "currentKubernetesVersion": inputs.get("kubernetesVersion"),
        "nodeResourceGroup": inputs.get("nodeResourceGroup", f"MC_{own_name(identifier)}"),
        "oidcIssuerProfile": {"issuerURL": issuer},
        "identityProfile": {"kubeletidentity": kubelet},
    }


def _application_insights(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"instrumentationKey": guid(identifier, "key"), "appId": guid(identifier, "app")}


COMPUTED: Final[Mapping[str, Answer]] = {
    "managedidentity:UserAssignedIdentity": _identity,
    "storage:StorageAccount": _account,
    "keyvault:Vault": _vault,
    "keyvault:Key": _key,
    "keyvault:Secret": _secret,
    "applicationinsights:Workbook": _workbook,
    "dbforpostgresql:AdministratorsMicrosoftEntra": _administrator,
    "dbforpostgresql:Configuration": _parameter,
    "dbforpostgresql:Server": _postgres,
    "containerregistry:Registry": _registry,
    "operationalinsights:Workspace": _workspace,
    "app:ManagedEnvironment": _environment,
    "app:ContainerApp": _app,
    "app:Job": _job,
    "network:PrivateEndpoint": _endpoint,
    "network:PublicIPAddress": _address,
    "containerservice:ManagedCluster": _cluster,
    "applicationinsights:Component": _application_insights,
}


def computed(type_token: str, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Azure adds to the inputs of a resource of this type."""
    special = COMPUTED.get(short(type_token))
    added = {"name": own_name(identifier), **(special(identifier, inputs) if special else {})}
    if "systemData" in sdk_types.outputs_of(type_token):
        added["systemData"] = {"createdAt": _MADE, "createdBy": client()["clientId"], "createdByType": "Application"}
    return merged(added, state(type_token))  # type: ignore[no-any-return]


def state(type_token: str, value: str = "Succeeded") -> dict[str, Any]:
    """Return the state of a resource's provisioning, where its type has one; by the SDK most have none."""
    if short(type_token) in _STATE_INSIDE:
        return {"properties": {"provisioningState": value}}
    return {"provisioningState": value} if "provisioningState" in sdk_types.outputs_of(type_token) else {}


def identities(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identities of a resource as Azure answers with them: an object by ID, from the list of IDs.

    An ID that is not known yet (no text) leaves the object out.
    """
    given = (inputs.get("identity") or {}).get("userAssignedIdentities")
    if not isinstance(given, list) or not all(isinstance(identifier, str) for identifier in given):
        return {}
    return {identifier: _identity(identifier, {}) for identifier in given}


def client() -> dict[str, str]:
    """Return the signed-in identity, as `authorization.get_client_config` does."""
    return {
        "clientId": guid("stand-in", "client"),
        "objectId": guid("stand-in", "principal"),
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
    }


def written_back(type_token: str, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs with Azure's own choices for what is not given. Its previous choices stay."""
    chosen = _CHOSEN[type_token](inputs) if type_token in _CHOSEN else {}
    return merged(_kept(chosen, old), _given(inputs, chosen))  # type: ignore[no-any-return]


def _given(inputs: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs without "", which leaves a choice to Azure; it is the SDK's default for zones."""
    return {
        key: _given(value, chosen[key])
        if isinstance(value, Mapping) and isinstance(chosen.get(key), Mapping)
        else value
        for key, value in inputs.items()
        if not (key in chosen and value == "")
    }


def _kept(chosen: Mapping[str, Any], old: Any) -> dict[str, Any]:
    before = old if isinstance(old, Mapping) else {}
    return {
        key: _kept(value, before.get(key)) if isinstance(value, Mapping) else before.get(key, value)
        for key, value in chosen.items()
    }


def _chosen_of_server(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Microsoft Learn, "Azure Database for PostgreSQL flexible server REST API": the answers to Servers - Create."""
    chosen: dict[str, Any] = {"availabilityZone": "1"}
    if (inputs.get("highAvailability") or {}).get("mode") == "ZoneRedundant":
        chosen["highAvailability"] = {"standbyAvailabilityZone": "2"}
    if (inputs.get("network") or {}).get("delegatedSubnetResourceId"):
        chosen["network"] = {"publicNetworkAccess": "Disabled"}
    return chosen


_CHOSEN: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    SERVER: _chosen_of_server,
}
