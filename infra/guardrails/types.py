"""The resource types that rules look at, by the names that the program's SDK has for them."""

from __future__ import annotations

import re
from typing import Final

_VERSION: Final = re.compile(r"/v\d{8}[a-z0-9]*(?=:)")
_PACKAGE: Final = "azure-native:"

ACTION_GROUP: Final = f"{_PACKAGE}monitor:ActionGroup"
ADDRESS: Final = f"{_PACKAGE}network:PublicIPAddress"
ASSIGNMENT: Final = f"{_PACKAGE}authorization:RoleAssignment"
BALANCER: Final = "kubernetes:core/v1:Service"
BLOB_SERVICE: Final = f"{_PACKAGE}storage:BlobServiceProperties"
CLUSTER: Final = f"{_PACKAGE}containerservice:ManagedCluster"
CONTAINER: Final = f"{_PACKAGE}storage:BlobContainer"
CONTAINER_APP: Final = f"{_PACKAGE}app:ContainerApp"
DEPLOYMENT: Final = "kubernetes:apps/v1:Deployment"
DIAGNOSTICS: Final = f"{_PACKAGE}monitor:DiagnosticSetting"
ENVIRONMENT: Final = f"{_PACKAGE}app:ManagedEnvironment"
FIREWALL_RULE: Final = f"{_PACKAGE}dbforpostgresql:FirewallRule"
JOB: Final = f"{_PACKAGE}app:Job"
KUBERNETES_JOB: Final = "kubernetes:batch/v1:Job"
CRON_JOB: Final = "kubernetes:batch/v1:CronJob"
LOCK: Final = f"{_PACKAGE}authorization:ManagementLockByScope"
LOG_ALERT: Final = f"{_PACKAGE}monitor:ScheduledQueryRule"
METRIC_ALERT: Final = f"{_PACKAGE}monitor:MetricAlert"
NETWORK: Final = f"{_PACKAGE}network:VirtualNetwork"
NETWORK_RULES: Final = f"{_PACKAGE}network:NetworkSecurityGroup"
PARAMETER: Final = f"{_PACKAGE}dbforpostgresql:Configuration"
REGISTRY: Final = f"{_PACKAGE}containerregistry:Registry"
SERVER: Final = f"{_PACKAGE}dbforpostgresql:Server"
STORAGE: Final = f"{_PACKAGE}storage:StorageAccount"
VAULT: Final = f"{_PACKAGE}keyvault:Vault"
WORKSPACE: Final = f"{_PACKAGE}operationalinsights:Workspace"

DATA: Final = (REGISTRY, SERVER, STORAGE, VAULT, WORKSPACE)
"""What holds data that nobody can make again."""


def versionless(token: str) -> str:
    """Return a type without the version of Azure's API that a program may have named."""
    return _VERSION.sub("", token)
