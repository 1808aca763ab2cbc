"""What Azure refuses in a request because two of its values do not go together: one function per type, in RULES.

Error codes are Azure's own where they are documented or were seen in public; the rest bear a name of the kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import short
from delivery.offline_azure.combinations import (
    access,
    alerts,
    container_apps,
    container_registry,
    diagnostics,
    key_vault,
    kubernetes,
    networks,
    postgres_servers,
    storage,
)
from delivery.offline_azure.combinations.rule import Rule
from delivery.offline_azure.errors import RefusedError

RULES: Final[Mapping[str, Rule]] = {
    "app:ContainerApp": container_apps.app,
    "app:Job": container_apps.job,
    "app:ManagedEnvironment": container_apps.environment,
    "authorization:ManagementLockByScope": access.lock,
    "authorization:RoleAssignment": access.role_assignment,
    "containerregistry:Registry": container_registry.registry,
    "containerservice:AgentPool": kubernetes.agent_pool,
    "containerservice:MaintenanceConfiguration": kubernetes.maintenance,
    "containerservice:ManagedCluster": kubernetes.cluster,
    "dbforpostgresql:Server": postgres_servers.server,
    "keyvault:Vault": key_vault.vault,
    "managedidentity:FederatedIdentityCredential": access.federated_credential,
    "monitor:ActionGroup": alerts.action_group,
    "monitor:DiagnosticSetting": diagnostics.diagnostic_setting,
    "monitor:MetricAlert": alerts.metric_alert,
    "monitor:ScheduledQueryRule": alerts.query_rule,
    "network:NatGateway": networks.nat_gateway,
    "network:NetworkSecurityGroup": networks.security_group,
    "network:PublicIPAddress": networks.public_address,
    "network:VirtualNetwork": networks.network,
    "privatedns:PrivateRecordSet": networks.record_set,
    "storage:BlobServiceProperties": storage.blob_service,
    "storage:ManagementPolicy": storage.lifecycle_policy,
    "storage:StorageAccount": storage.account,
}


def refusal(type_token: str, inputs: Mapping[str, Any]) -> RefusedError | None:
    """Return why Azure refuses the values of a request together; None if it accepts them."""
    rule = RULES.get(short(type_token))
    found = next(rule(inputs), None) if rule else None
    return RefusedError(400, *found) if found else None
