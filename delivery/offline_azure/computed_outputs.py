"""What Azure computes for a resource in addition to its inputs: one small function per type.

Values are made from the resource's ID, so that they are the same every time.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import SERVER, short
from delivery.offline_azure.addresses import SUBSCRIPTION, TENANT, own_name
from delivery.offline_azure.values import merged, ordered

Answer = Callable[[str, Mapping[str, Any]], dict[str, Any]]


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
    return {
        "primaryEndpoints": {kind: f"https://{own_name(identifier)}.{kind}.core.windows.net/" for kind in kinds},
        "primaryLocation": inputs.get("location"),
        "statusOfPrimary": "available",
        "creationTime": "2026-01-01T00:00:00Z",
    }


def _vault(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"properties": {"vaultUri": f"https://{own_name(identifier)}.vault.azure.net/"}}


def _secret(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    uri = f"https://{inputs.get('vaultName')}.vault.azure.net/secrets/{own_name(identifier)}"
    return {"properties": {"secretUri": uri, "secretUriWithVersion": f"{uri}/{guid(identifier, 'v').replace('-', '')}"}}


def _postgres(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "fullyQualifiedDomainName": f"{own_name(identifier)}.postgres.database.azure.com",
        "state": "Ready",
        "minorVersion": "1",
        "replicaCapacity": 5,
    }


def _registry(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"loginServer": f"{own_name(identifier)}.azurecr.io", "creationDate": "2026-01-01T00:00:00Z"}


def _workspace(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"customerId": guid(identifier, "customer"), "createdDate": "2026-01-01T00:00:00Z"}


def environment_domain(identifier: Any) -> str:
    return f"calm-{guid(identifier, 'domain')[:8]}.westeurope.azurecontainerapps.io"


def _environment(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"defaultDomain": environment_domain(identifier), "staticIp": "10.0.0.4"}


def _app(identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    name, configuration = own_name(identifier), inputs.get("configuration") or {}
    domain = environment_domain(inputs.get("managedEnvironmentId", inputs.get("environmentId")))
    revision = f"{name}--{guid(ordered(inputs.get('template')), 'revision')[:7]}"
    answer: dict[str, Any] = {
        "latestRevisionName": revision,
        "latestReadyRevisionName": revision,
        "latestRevisionFqdn": f"{revision}.{domain}",
        "customDomainVerificationId": guid(identifier, "domain").replace("-", "").upper(),
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
    return {"networkInterfaces": [{"id": interface}], "customDnsConfigs": []}


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
    "keyvault:Secret": _secret,
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
    return {
        "name": own_name(identifier),
        "provisioningState": "Succeeded",
        **(special(identifier, inputs) if special else {}),
    }


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
    return merged(_kept(chosen, old), dict(inputs))  # type: ignore[no-any-return]


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
