"""The type tokens that the offline Azure treats in a way of their own."""

from __future__ import annotations

from typing import Final

PACKAGE: Final = "azure-native:"

ADMINISTRATOR: Final = f"{PACKAGE}dbforpostgresql:AdministratorsMicrosoftEntra"
BUDGET: Final = f"{PACKAGE}consumption:Budget"
CONFIGURATION: Final = f"{PACKAGE}dbforpostgresql:Configuration"
AGENT_POOL: Final = f"{PACKAGE}containerservice:AgentPool"
CLUSTER: Final = f"{PACKAGE}containerservice:ManagedCluster"
CONTAINER_APP: Final = f"{PACKAGE}app:ContainerApp"
DATABASE: Final = f"{PACKAGE}dbforpostgresql:Database"
JOB: Final = f"{PACKAGE}app:Job"
LOCK: Final = f"{PACKAGE}authorization:ManagementLockByScope"
METRIC_ALERT: Final = f"{PACKAGE}monitor:MetricAlert"
PRIVATE_ENDPOINT: Final = f"{PACKAGE}network:PrivateEndpoint"
QUERY_RULE: Final = f"{PACKAGE}monitor:ScheduledQueryRule"
REGISTRY: Final = f"{PACKAGE}containerregistry:Registry"
RESOURCE_GROUP: Final = f"{PACKAGE}resources:ResourceGroup"
SERVER: Final = f"{PACKAGE}dbforpostgresql:Server"
STORAGE_ACCOUNT: Final = f"{PACKAGE}storage:StorageAccount"
VAULT: Final = f"{PACKAGE}keyvault:Vault"


def short(type_token: str) -> str:
    """Return the token without its package and API version: `storage:StorageAccount`."""
    module, _, name = type_token.removeprefix(PACKAGE).partition(":")
    return f"{module.split('/')[0]}:{name}"


def versionless(type_token: str) -> str:
    """Return the token without its API version: `azure-native:storage/v20240101:X` as `azure-native:storage:X`."""
    return f"{PACKAGE}{short(type_token)}"
