"""Which types of resources have a price, and which are known to cost nothing.

A type that is in neither table has no price, which an estimate says and never counts as nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from delivery.cost import compute, data, monitoring, network
from delivery.cost.charge import Rule


class Group(enum.StrEnum):
    """The parts of a stack, in the order of a report."""

    COMPUTE = "compute"
    DATABASE = "database"
    STORAGE = "storage"
    NETWORK = "network"
    MONITORING = "monitoring"


RULES: Mapping[str, tuple[Group, Rule]] = {
    "azure-native:app:ContainerApp": (Group.COMPUTE, compute.container_app),
    "azure-native:app:Job": (Group.COMPUTE, compute.job),
    "azure-native:app:ManagedEnvironment": (Group.COMPUTE, compute.environment),
    "azure-native:containerservice:ManagedCluster": (Group.COMPUTE, compute.cluster),
    "azure-native:containerservice:AgentPool": (Group.COMPUTE, compute.node_pool),
    "kubernetes:core/v1:Service": (Group.COMPUTE, compute.cluster_service),
    "azure-native:dbforpostgresql:Server": (Group.DATABASE, data.database),
    "azure-native:storage:StorageAccount": (Group.STORAGE, data.blob_storage),
    "azure-native:containerregistry:Registry": (Group.STORAGE, data.registry),
    "azure-native:keyvault:Vault": (Group.STORAGE, data.vault),
    "azure-native:network:PrivateEndpoint": (Group.NETWORK, network.private_endpoint),
    "azure-native:network:NatGateway": (Group.NETWORK, network.nat_gateway),
    "azure-native:network:PublicIPAddress": (Group.NETWORK, network.public_address),
    "azure-native:privatedns:PrivateZone": (Group.NETWORK, network.private_zone),
    "azure-native:operationalinsights:Workspace": (Group.MONITORING, monitoring.workspace),
    "azure-native:monitor:DataCollectionRule": (Group.MONITORING, monitoring.inventory),
    "kubernetes:apps/v1:Deployment": (Group.MONITORING, monitoring.pod_logs),
    "azure-native:monitor:MetricAlert": (Group.MONITORING, monitoring.metric_alert),
    "azure-native:monitor:ScheduledQueryRule": (Group.MONITORING, monitoring.query_alert),
}

LOGS: Mapping[str, tuple[Group, Rule]] = {
    "azure-native:app:ContainerApp": (Group.MONITORING, monitoring.app_logs),
    "kubernetes:core/v1:Service": (Group.MONITORING, monitoring.cluster_requests),
}
"""What resources with a price write into the workspace besides."""

_MANAGEMENT = "management of Azure resources is not billed"
_IDENTITY = "identities and their rights are not billed"
_OF_SERVER = "billed with its server"
_OF_ACCOUNT = "billed with its storage account"
_OF_NETWORK = "networks and their rules are not billed"
_OF_ZONE = "billed with its zone"
FREE: Mapping[str, str] = {
    "azure-native:resources:ResourceGroup": _MANAGEMENT,
    "azure-native:authorization:ManagementLockByScope": _MANAGEMENT,
    "azure-native:authorization:RoleAssignment": _IDENTITY,
    "azure-native:authorization:RoleDefinition": _IDENTITY,
    "azure-native:managedidentity:UserAssignedIdentity": _IDENTITY,
    "azure-native:managedidentity:FederatedIdentityCredential": _IDENTITY,
    "azure-native:dbforpostgresql:Database": _OF_SERVER,
    "azure-native:dbforpostgresql:Configuration": _OF_SERVER,
    "azure-native:dbforpostgresql:AdministratorsMicrosoftEntra": _OF_SERVER,
    "azure-native:dbforpostgresql:FirewallRule": _OF_SERVER,
    "azure-native:storage:BlobServiceProperties": _OF_ACCOUNT,
    "azure-native:storage:BlobContainer": _OF_ACCOUNT,
    "azure-native:storage:ManagementPolicy": _OF_ACCOUNT,
    "azure-native:keyvault:Key": "billed with the operations of its vault",
    "azure-native:keyvault:Secret": "billed with the operations of its vault",
    "azure-native:network:VirtualNetwork": _OF_NETWORK,
    "azure-native:network:Subnet": _OF_NETWORK,
    "azure-native:network:NetworkSecurityGroup": _OF_NETWORK,
    "azure-native:network:PrivateDnsZoneGroup": "billed with its endpoint",
    "azure-native:privatedns:PrivateRecordSet": _OF_ZONE,
    "azure-native:privatedns:VirtualNetworkLink": _OF_ZONE,
    "azure-native:containerservice:MaintenanceConfiguration": "when a cluster is changed is not billed",
    "azure-native:monitor:DataCollectionRuleAssociation": "billed with the logs of its workspace",
    "azure-native:monitor:DiagnosticSetting": "billed with the logs of its workspace",
    "azure-native:monitor:ActionGroup": "the first 1,000 e-mails of a month are not billed",
    "azure-native:applicationinsights:Workbook": "workbooks are not billed, only the logs that they show",
    "azure-native:consumption:Budget": "budgets are not billed",
    **dict.fromkeys(
        (
            f"kubernetes:{kind}"
            for kind in (
                "admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy",
                "admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding",
                "autoscaling/v2:HorizontalPodAutoscaler",
                "batch/v1:CronJob",
                "batch/v1:Job",
                "core/v1:LimitRange",
                "core/v1:Namespace",
                "core/v1:ResourceQuota",
                "core/v1:ServiceAccount",
                "networking.k8s.io/v1:NetworkPolicy",
                "policy/v1:PodDisruptionBudget",
            )
        ),
        "billed with the nodes of its cluster",
    ),
}
