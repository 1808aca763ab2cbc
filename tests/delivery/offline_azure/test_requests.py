"""What the offline Azure refuses in a request by itself: each row changes one value of a request that it accepts."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.offline_azure import combinations, limits, rules, values
from delivery.offline_azure.addresses import SUBSCRIPTION, address
from tests.support.stacks import STACKS, graph

PLACED = {"resourceGroupName": "rg", "location": "westeurope"}
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
GUID = "11111111-1111-1111-1111-111111111111"


def app(**change: Any) -> dict[str, Any]:
    container = {
        "name": "web",
        "resources": {"cpu": 0.5, "memory": "1Gi"},
        "probes": [{"type": "Liveness", "failureThreshold": 3, "periodSeconds": 10}],
        **change.pop("container", {}),
    }
    template = {"containers": [container], "scale": {"minReplicas": 1, "maxReplicas": 3}, **change.pop("template", {})}
    return {**PLACED, "containerAppName": "ca-web", "template": template, **change}


def job(**configuration: Any) -> dict[str, Any]:
    schedule = {"cronExpression": "5 4 * * *", "parallelism": 1, "replicaCompletionCount": 1}
    given = {"triggerType": "Schedule", "replicaTimeout": 600, "scheduleTriggerConfig": schedule, **configuration}
    container = {"name": "web", "resources": {"cpu": 0.25, "memory": "0.5Gi"}}
    return {**PLACED, "jobName": "job-one", "configuration": given, "template": {"containers": [container]}}


def registry(sku: str = "Premium", **change: Any) -> dict[str, Any]:
    return {**PLACED, "registryName": "acrone7f3a", "sku": {"name": sku}, **change}


def server(**change: Any) -> dict[str, Any]:
    return {
        **PLACED,
        "serverName": "psql-one",
        "sku": {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"},
        "storage": {"storageSizeGB": 128},
        "backup": {"backupRetentionDays": 35},
        "highAvailability": {"mode": "ZoneRedundant", "standbyAvailabilityZone": "2"},
        "availabilityZone": "1",
        **change,
    }


def vault(name: str = "kv-one", **properties: Any) -> dict[str, Any]:
    always = {"tenantId": GUID, "sku": {"family": "A", "name": "standard"}, "softDeleteRetentionInDays": 90}
    return {**PLACED, "vaultName": name, "properties": {**always, **properties}}


def account(**change: Any) -> dict[str, Any]:
    return {**PLACED, "accountName": "stone7f3a", "kind": "StorageV2", "sku": {"name": "Standard_GZRS"}, **change}


def service(**change: Any) -> dict[str, Any]:
    kept = {"enabled": True, "days": 30}
    always = {"deleteRetentionPolicy": kept, "isVersioningEnabled": True, "changeFeed": {"enabled": True}}
    return {"resourceGroupName": "rg", "accountName": "stone7f3a", "blobServicesName": "default", **always, **change}


def lifecycle(**base: int) -> dict[str, Any]:
    actions = {"baseBlob": {tier: {"daysAfterModificationGreaterThan": days} for tier, days in base.items()}}
    definition = {"actions": actions, "filters": {"blobTypes": ["blockBlob"]}}
    rules_ = [{"name": "ages", "type": "Lifecycle", "definition": definition}]
    return {"resourceGroupName": "rg", "accountName": "stone7f3a", "managementPolicyName": "default"} | {
        "policy": {"rules": rules_}
    }


def metric_alert(**change: Any) -> dict[str, Any]:
    return {
        "resourceGroupName": "rg",
        "location": "global",
        "ruleName": "full",
        "severity": 1,
        "evaluationFrequency": "PT5M",
        "windowSize": "PT15M",
        **change,
    }


def query_rule(**change: Any) -> dict[str, Any]:
    periods = {"numberOfEvaluationPeriods": 2, "minFailingPeriodsToAlert": 1}
    return {
        **PLACED,
        "ruleName": "errors",
        "severity": 1,
        "evaluationFrequency": "PT5M",
        "windowSize": "PT10M",
        "criteria": {"allOf": [{"query": "T", "failingPeriods": periods}]},
        **change,
    }


def action_group(**change: Any) -> dict[str, Any]:
    emails = [{"name": "on-call", "emailAddress": "on-call@example.com"}]
    return {
        "resourceGroupName": "rg",
        "location": "global",
        "actionGroupName": "ag",
        "groupShortName": "mlflow",
        "emailReceivers": emails,
        **change,
    }


def setting(*, target: str, logs: list[dict[str, Any]], metrics: tuple[str, ...] = ()) -> dict[str, Any]:
    kinds = {"vault": "Microsoft.KeyVault/vaults/kv", "server": "Microsoft.DBforPostgreSQL/flexibleServers/psql"}
    kinds |= {
        "registry": "Microsoft.ContainerRegistry/registries/acr",
        "rules": "Microsoft.Network/networkSecurityGroups/nsg",
        "blobs": "Microsoft.Storage/storageAccounts/st/blobServices/default",
        "environment": "Microsoft.App/managedEnvironments/cae",
    }
    return {
        "name": "logs",
        "resourceUri": f"/subscriptions/other/resourceGroups/rg/providers/{kinds[target]}",
        "workspaceId": "/subscriptions/other/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/log",
        "logs": logs,
        "metrics": [{"category": metric, "enabled": True} for metric in metrics],
    }


def group_of(category: str) -> list[dict[str, Any]]:
    return [{"categoryGroup": category, "enabled": True}]


def category(name: str) -> list[dict[str, Any]]:
    return [{"category": name, "enabled": True}]


def security_group(*priorities: int, **change: Any) -> dict[str, Any]:
    made = [
        {
            "name": f"rule-{number}",
            "priority": priority,
            "direction": "Inbound",
            "destinationPortRange": "443",
            "sourceAddressPrefix": "*",
            **change,
        }
        for number, priority in enumerate(priorities)
    ]
    return {**PLACED, "networkSecurityGroupName": "nsg", "securityRules": made}


def public_address(**change: Any) -> dict[str, Any]:
    always = {"sku": {"name": "Standard"}, "publicIPAllocationMethod": "Static", "zones": ["1", "2", "3"]}
    return {**PLACED, "publicIpAddressName": "out", **always, **change}


def network(*ranges: str) -> dict[str, Any]:
    return {**PLACED, "virtualNetworkName": "v", "addressSpace": {"addressPrefixes": list(ranges)}}


def environment(**change: Any) -> dict[str, Any]:
    return {**PLACED, "environmentName": "cae", "appLogsConfiguration": {"destination": "azure-monitor"}, **change}


def assignment(**change: Any) -> dict[str, Any]:
    return {
        "scope": GROUP_ID,
        "roleAssignmentName": GUID,
        "principalId": GUID,
        "principalType": "Group",
        "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/x",
        **change,
    }


def credential(**change: Any) -> dict[str, Any]:
    return {
        "resourceGroupName": "rg",
        "resourceName": "id-one",
        "federatedIdentityCredentialResourceName": "github",
        "issuer": "https://token.actions.githubusercontent.com",
        "subject": "repo:acme/mlflow:environment:dev",
        "audiences": ["api://AzureADTokenExchange"],
        **change,
    }


def cluster(**change: Any) -> dict[str, Any]:
    return {
        **PLACED,
        "resourceName": "aks-one",
        "kubernetesVersion": "1.36",
        "sku": {"name": "Base", "tier": "Standard"},
        "disableLocalAccounts": True,
        "aadProfile": {"managed": True, "enableAzureRBAC": True},
        "oidcIssuerProfile": {"enabled": True},
        "securityProfile": {"workloadIdentity": {"enabled": True}},
        "apiServerAccessProfile": {"enablePrivateCluster": True, "privateDNSZone": "none"},
        "networkProfile": {
            **dict.fromkeys(("networkDataplane", "networkPolicy"), "cilium"),
            **{"networkPlugin": "azure", "networkPluginMode": "overlay"},
            **{"podCidr": "100.64.0.0/16", "serviceCidr": "100.65.0.0/20", "dnsServiceIP": "100.65.0.10"},
        },
        "agentPoolProfiles": [{"name": "system", "mode": "System", "vmSize": "Standard_D2ads_v5", "count": 2}],
        **change,
    }


def network_of(**change: Any) -> dict[str, Any]:
    return cluster(networkProfile={**cluster()["networkProfile"], **change})


def pool(**change: Any) -> dict[str, Any]:
    scaled = {"enableAutoScaling": True, "minCount": 2, "maxCount": 3, "count": 2}
    return {"resourceGroupName": "rg", "resourceName": "aks-one", "agentPoolName": "work", **scaled, **change}


def window(**change: Any) -> dict[str, Any]:
    weekly = {"weekly": {"dayOfWeek": "Monday", "intervalWeeks": 1}}
    found = {"durationHours": 4, "startTime": "01:00", "schedule": weekly}
    named = {"resourceGroupName": "rg", "resourceName": "aks-one", "configName": "aksManagedAutoUpgradeSchedule"}
    return {**named, "maintenanceWindow": {**found, **change}}


# With the requests of the API specifications' own examples, where a rule is near them.
ACCEPTED: dict[str, list[dict[str, Any]]] = {
    "app:ContainerApp": [
        app(),
        app(container={"resources": {"cpu": 4, "memory": "8Gi"}}),
        app(container={"resources": {"cpu": 0.2, "memory": "100Mi"}}, workloadProfileName="My-GP-01"),
    ],
    "app:Job": [job(), job(triggerType="Manual", scheduleTriggerConfig=None)],
    "app:ManagedEnvironment": [environment()],
    "authorization:RoleAssignment": [assignment(), assignment(principalType="User")],
    "containerregistry:Registry": [
        registry(publicNetworkAccess="Disabled", zoneRedundancy="Enabled"),
        registry("Basic", publicNetworkAccess="Enabled"),
        registry("Standard", anonymousPullEnabled=True),
        registry("Standard", registryName="myRegistry", zoneRedundancy="Enabled"),
    ],
    "containerservice:AgentPool": [pool(), pool(enableAutoScaling=False, minCount=None, maxCount=None)],
    "containerservice:MaintenanceConfiguration": [window(), window(durationHours=24)],
    "containerservice:ManagedCluster": [
        cluster(),
        cluster(apiServerAccessProfile={"authorizedIPRanges": ["20.1.2.3/32"]}, kubernetesVersion="1.36.3"),
        network_of(networkDataplane="azure", networkPolicy="azure"),
    ],
    "dbforpostgresql:Server": [
        server(),
        server(sku={"name": "Standard_B1ms", "tier": "Burstable"}, highAvailability={"mode": "Disabled"}),
        server(sku={"name": "Standard_E4ds_v5", "tier": "MemoryOptimized"}, storage={"storageSizeGB": 4095}),
        server(storage={"storageSizeGB": 100, "type": "PremiumV2_LRS"}),
        server(storage={"storageSizeGB": 128, "tier": "P50"}),
        server(storage={"storageSizeGB": 8192, "tier": "P80"}),
    ],
    "keyvault:Vault": [
        vault(),
        vault(enablePurgeProtection=True),
        vault("sample-vault", networkAcls={"ipRules": [{"value": "124.56.78.91"}, {"value": "'10.91.4.0/24'"}]}),
    ],
    "managedidentity:FederatedIdentityCredential": [credential(), credential(subject="repo:" + "a" * 595)],
    "monitor:ActionGroup": [action_group()],
    "monitor:DiagnosticSetting": [
        setting(target="vault", logs=group_of("allLogs"), metrics=("AllMetrics",)),
        setting(target="server", logs=category("PostgreSQLLogs")),
        setting(target="blobs", logs=group_of("audit"), metrics=("Transaction",)),
    ],
    "monitor:MetricAlert": [metric_alert(), metric_alert(windowSize="PT12H"), metric_alert(windowSize="Pt15m")],
    "monitor:ScheduledQueryRule": [query_rule(), query_rule(windowSize="P2D", criteria={"allOf": []})],
    "network:NetworkSecurityGroup": [
        security_group(100, 4096),
        security_group(100, sourceAddressPrefix="Storage.WestEurope"),
        security_group(100, sourceAddressPrefix=None, sourceAddressPrefixes=["10.0.0.0/8", "192.168.1.4"]),
    ],
    "network:PublicIPAddress": [public_address(), public_address(zones=None)],
    "network:VirtualNetwork": [network("10.0.0.0/24", "10.1.0.0/16")],
    "storage:BlobServiceProperties": [service(), service(restorePolicy={"enabled": True, "days": 29})],
    "storage:ManagementPolicy": [lifecycle(tierToCool=30, tierToCold=90)],
    "storage:StorageAccount": [
        account(),
        account(kind="Storage", sku={"name": "Standard_GRS"}, isHnsEnabled=True, isSftpEnabled=True),
        account(kind="BlockBlobStorage", sku={"name": "Premium_LRS"}),
    ],
}

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("containerservice:AgentPool", pool(agentPoolName="work-load"), "InvalidParameter"),
    ("containerservice:AgentPool", pool(count=4), "InvalidParameter"),
    ("containerservice:AgentPool", pool(minCount=None), "InvalidParameter"),
    ("containerservice:AgentPool", pool(enableAutoScaling=False), "InvalidParameter"),
    ("containerservice:AgentPool", pool(maxPods=251), "InvalidParameterValue"),
    ("containerservice:AgentPool", pool(mode="System", vmSize="Standard_B2s"), "InvalidSystemPoolVMSize"),
    ("containerservice:MaintenanceConfiguration", window(durationHours=3), "InvalidParameterValue"),
    ("containerservice:MaintenanceConfiguration", {**window(), "configName": "mine"}, "InvalidParameter"),
    ("containerservice:MaintenanceConfiguration", window(schedule={}), "InvalidParameter"),
    ("containerservice:ManagedCluster", cluster(resourceName="aks-"), "InvalidResourceName"),
    ("containerservice:ManagedCluster", cluster(aadProfile=None), "BadRequest"),
    ("containerservice:ManagedCluster", cluster(oidcIssuerProfile={"enabled": False}), "BadRequest"),
    ("containerservice:ManagedCluster", cluster(kubernetesVersion="latest"), "K8sVersionNotSupported"),
    (
        "containerservice:ManagedCluster",
        cluster(sku={"tier": "Free"}, metricsProfile={"costAnalysis": {"enabled": True}}),
        "CostAnalysisNotSupported",
    ),
    *(
        ("containerservice:ManagedCluster", cluster(apiServerAccessProfile=profile), code)
        for profile, code in (
            ({"enablePrivateCluster": True, "authorizedIPRanges": ["20.1.2.3/32"]}, "BadRequest"),
            ({"privateDNSZone": "none"}, "BadRequest"),
            ({"authorizedIPRanges": ["office"]}, "InvalidAuthorizedIPRanges"),
            ({"enableVnetIntegration": True}, "BadRequest"),
        )
    ),
    ("containerservice:ManagedCluster", network_of(networkDataplane="azure"), "InvalidParameter"),
    ("containerservice:ManagedCluster", network_of(networkPlugin="kubenet"), "InvalidParameter"),
    ("containerservice:ManagedCluster", network_of(serviceCidr="100.64.0.0/20"), "ServiceCidrOverlapPodCidr"),
    ("containerservice:ManagedCluster", network_of(dnsServiceIP="10.0.0.10"), "DnsServiceIpOutOfServiceCidr"),
    ("containerservice:ManagedCluster", network_of(dnsServiceIP="100.65.0.1"), "InvalidDnsServiceIp"),
    ("containerservice:ManagedCluster", cluster(agentPoolProfiles=[{"name": "a"}]), "SystemPoolRequired"),
    *(
        ("app:ContainerApp", app(container={"resources": {"cpu": cpu, "memory": memory}}), "InvalidResourceTotal")
        for cpu, memory in ((0.5, "2Gi"), (0.3, "0.6Gi"), (1, "1Gi"), (4.25, "8.5Gi"), (0.25, "512M"))
    ),
    *(
        ("app:ContainerApp", app(containerAppName=name), "ContainerAppInvalidName")
        for name in ("Mlflow", "mlflow--web", "1mlflow", "mlflow-", "m" * 33)
    ),
    ("app:ContainerApp", app(container={"name": "web_1"}), "ContainerAppInvalidContainerName"),
    ("app:ContainerApp", app(container={"probes": [{"failureThreshold": 30}]}), "InvalidParameterValue"),
    ("app:ContainerApp", app(container={"probes": [{"periodSeconds": 300}]}), "InvalidParameterValue"),
    ("app:ContainerApp", app(container={"env": [{"name": "A", "secretRef": "s"}]}), "ContainerAppSecretRefNotFound"),
    (
        "app:ContainerApp",
        app(container={"volumeMounts": [{"volumeName": "v", "mountPath": "/v"}]}),
        "ContainerAppVolumeMountNameNotFound",
    ),
    ("app:ContainerApp", app(template={"scale": {"minReplicas": 4, "maxReplicas": 3}}), "InvalidScaleSpec"),
    ("app:ContainerApp", app(template={"scale": {"maxReplicas": 1001}}), "InvalidParameterValue"),
    ("app:ContainerApp", app(template={"terminationGracePeriodSeconds": 601}), "InvalidParameterValue"),
    (
        "app:ContainerApp",
        app(configuration={"ingress": {"targetPort": 80, "traffic": [{"weight": 90}]}}),
        "ContainerAppInvalidTrafficWeight",
    ),
    (
        "app:ContainerApp",
        app(configuration={"registries": [{"server": "a.azurecr.io", "identity": "/subscriptions/x"}]}),
        "ContainerAppRegistryIdentityNotAssigned",
    ),
    ("app:Job", {**job(), "jobName": "Job"}, "ContainerAppsJobInvalidName"),
    ("app:Job", job(scheduleTriggerConfig={"cronExpression": "0 5 4 * * *"}), "InvalidScheduleTriggerConfig"),
    ("app:Job", job(scheduleTriggerConfig=None), "InvalidScheduleTriggerConfig"),
    ("app:Job", job(replicaTimeout=0), "InvalidParameterValue"),
    ("app:ManagedEnvironment", environment(zoneRedundant=True), "ZoneRedundancyNotSupported"),
    ("app:ManagedEnvironment", environment(vnetConfiguration={"internal": True}), "InvalidNetworkConfiguration"),
    ("app:ManagedEnvironment", environment(appLogsConfiguration={"destination": "files"}), "InvalidParameterValue"),
    ("app:ManagedEnvironment", environment(appLogsConfiguration={"destination": "log-analytics"}), "LogAnalytics"),
    ("authorization:RoleAssignment", assignment(principalType="ServicePrincipal"), "PrincipalNotFound"),
    ("authorization:RoleAssignment", assignment(condition="true"), "InvalidCondition"),
    ("containerregistry:Registry", registry("Standard", publicNetworkAccess="Disabled"), "FeatureNotSupportedForSku"),
    ("containerregistry:Registry", registry("Basic", dataEndpointEnabled=True), "FeatureNotSupportedForSku"),
    ("containerregistry:Registry", registry("Basic", anonymousPullEnabled=True), "FeatureNotSupportedForSku"),
    (
        "containerregistry:Registry",
        registry("Standard", policies={"retentionPolicy": {"status": "enabled", "days": 7}}),
        "FeatureNotSupportedForSku",
    ),
    ("containerregistry:Registry", registry(policies={"retentionPolicy": {"days": 366}}), "InvalidParameterValue"),
    ("containerregistry:Registry", {**registry(), "registryName": "acr-one"}, "NameNotValid"),
    *(("dbforpostgresql:Server", server(storage={"storageSizeGB": size}), "InvalidParameter") for size in (100, 16)),
    *(
        ("dbforpostgresql:Server", server(backup={"backupRetentionDays": days}), "InvalidParameterValue")
        for days in (6, 36, 40)
    ),
    ("dbforpostgresql:Server", server(sku={"name": "Standard_B1ms", "tier": "GeneralPurpose"}), "InvalidParameter"),
    ("dbforpostgresql:Server", server(sku={"name": "Standard_B1ms", "tier": "Burstable"}), "HANotSupported"),
    ("dbforpostgresql:Server", server(availabilityZone="2"), "InvalidParameterValue"),
    ("dbforpostgresql:Server", server(availabilityZone="4"), "InvalidParameterValue"),
    ("dbforpostgresql:Server", server(serverName="Psql"), "InvalidServerName"),
    ("dbforpostgresql:Server", server(maintenanceWindow={"startHour": 24}), "InvalidParameterValue"),
    (
        "dbforpostgresql:Server",
        server(authConfig={"activeDirectoryAuth": "Disabled", "passwordAuth": "Disabled"}),
        "InvalidAuthConfig",
    ),
    ("keyvault:Vault", vault("1kv"), "VaultNameNotValid"),
    ("keyvault:Vault", vault("kv--one"), "VaultNameNotValid"),
    ("keyvault:Vault", vault(softDeleteRetentionInDays=91), "BadRequest"),
    ("keyvault:Vault", vault(enablePurgeProtection=False), "BadRequest"),
    ("keyvault:Vault", vault(enableSoftDelete=False), "BadRequest"),
    ("managedidentity:FederatedIdentityCredential", credential(audiences=["a", "b"]), "BadRequest"),
    ("managedidentity:FederatedIdentityCredential", credential(issuer="http://example.com"), "BadRequest"),
    ("managedidentity:FederatedIdentityCredential", credential(subject="repo:" + "a" * 596), "BadRequest"),
    ("managedidentity:FederatedIdentityCredential", credential(subject="repo:example/mlflow:*"), "BadRequest"),
    ("managedidentity:FederatedIdentityCredential", credential(subject=" repo:example/mlflow"), "BadRequest"),
    ("managedidentity:FederatedIdentityCredential", credential(audiences=[""]), "BadRequest"),
    ("app:ContainerApp", app(tags={"a?b": "c"}), "InvalidTagNameCharacters"),
    ("storage:StorageAccount", account(tags={"n" * 129: "c"}), "InvalidTagLength"),
    ("keyvault:Vault", {**vault(), "tags": {"name": "v" * 257}}, "InvalidTagLength"),
    ("resources:ResourceGroup", {**PLACED, "tags": {str(n): "v" for n in range(51)}}, "TooManyTags"),
    ("resources:ResourceGroup", {**PLACED, "location": "westeurop"}, "LocationNotAvailableForResourceType"),
    ("dbforpostgresql:Server", server(version="12"), "InvalidParameterValue"),
    *(
        ("network:NetworkSecurityGroup", security_group(100, sourceAddressPrefix=prefix), "InvalidAddressPrefix")
        for prefix in ("10.0.0.5/8", "10.0.0.0/33", "not a tag")
    ),
    (
        "network:NetworkSecurityGroup",
        security_group(100, sourceAddressPrefix=None, sourceAddressPrefixes=["VirtualNetwork", "10.0.0.0/8"]),
        "SecurityRuleServiceTagNotAlone",
    ),
    ("monitor:ActionGroup", action_group(groupShortName="much-too-long"), "ActionGroupShortNameInvalid"),
    ("monitor:ActionGroup", action_group(emailReceivers=[{"name": "a", "emailAddress": "a"}]), "InvalidEmail"),
    ("monitor:DiagnosticSetting", setting(target="vault", logs=category("Nothing")), "BadRequest"),
    ("monitor:DiagnosticSetting", setting(target="registry", logs=group_of("everything")), "BadRequest"),
    ("monitor:DiagnosticSetting", setting(target="environment", logs=category("PostgreSQLLogs")), "BadRequest"),
    ("monitor:DiagnosticSetting", setting(target="rules", logs=[], metrics=("AllMetrics",)), "BadRequest"),
    ("monitor:DiagnosticSetting", setting(target="server", logs=[]), "BadRequest"),
    (
        "monitor:DiagnosticSetting",
        setting(target="vault", logs=[*group_of("audit"), *category("AuditEvent")]),
        "BadRequest",
    ),
    *(("monitor:MetricAlert", metric_alert(windowSize=window), "BadRequest") for window in ("PT7M", "PT1M", "P2D")),
    ("monitor:MetricAlert", metric_alert(evaluationFrequency="PT10M"), "BadRequest"),
    ("monitor:MetricAlert", metric_alert(severity=5), "BadRequest"),
    ("monitor:MetricAlert", metric_alert(location="westeurope"), "BadRequest"),
    *(("monitor:ScheduledQueryRule", query_rule(windowSize=one), "BadRequest") for one in ("PT7M", "PT1M", "P3D")),
    ("monitor:ScheduledQueryRule", query_rule(windowSize="P2D"), "BadRequest"),
    ("network:NetworkSecurityGroup", security_group(99), "SecurityRuleInvalidPriority"),
    ("network:NetworkSecurityGroup", security_group(100, 100), "SecurityRuleConflict"),
    ("network:NetworkSecurityGroup", security_group(100, sourceAddressPrefixes=["10.0.0.0/8"]), "SecurityRule"),
    ("network:NetworkSecurityGroup", security_group(100, destinationPortRange="99999"), "SecurityRuleInvalidPort"),
    ("network:PublicIPAddress", public_address(publicIPAllocationMethod="Dynamic"), "StandardSku"),
    ("network:PublicIPAddress", public_address(sku={"name": "Basic"}), "BasicSku"),
    ("network:PublicIPAddress", public_address(zones=["4"]), "InvalidAvailabilityZone"),
    ("network:VirtualNetwork", network("10.0.0.1/24"), "InvalidCIDRNotation"),
    ("network:VirtualNetwork", network("10.0.0.0/24", "10.0.0.0/16"), "InvalidAddressSpace"),
    ("storage:BlobServiceProperties", service(deleteRetentionPolicy={"enabled": True, "days": 366}), "InvalidParam"),
    ("storage:BlobServiceProperties", service(restorePolicy={"enabled": True, "days": 30}), "InvalidRequestProperty"),
    ("storage:ManagementPolicy", lifecycle(tierToCool=90, tierToCold=30), "InvalidRequestPropertyValue"),
    ("storage:ManagementPolicy", lifecycle(), "InvalidRequestPropertyValue"),
    ("storage:StorageAccount", account(accountName="StOne"), "AccountNameInvalid"),
    ("storage:StorageAccount", account(sku={"name": "Standard_GZRS"}, kind="BlobStorage"), "InvalidAccountType"),
    ("storage:StorageAccount", account(isSftpEnabled=True), "InvalidRequestPropertyValue"),
    (
        "storage:StorageAccount",
        account(networkRuleSet={"ipRules": [{"iPAddressOrRange": "10.0.0.1"}]}),
        "InvalidValuesForRequestParameters",
    ),
    *(
        ("resources:ResourceGroup", {**PLACED, "tags": tags}, code)
        for tags, code in (
            ({"team": "a", "Team": "b"}, "DuplicateTagName"),
            ({"azure-team": "a"}, "ReservedTagName"),
            ({"Microsoft": "a"}, "ReservedTagName"),
        )
    ),
    ("resources:ResourceGroup", {**PLACED, "location": "global"}, "LocationNotAvailableForResourceType"),
    *(
        ("dbforpostgresql:Server", server(storage=storage), "InvalidParameterValue")
        for storage in (
            {"storageSizeGB": 128, "tier": "P4"},
            {"storageSizeGB": 128, "tier": "P60"},
            {"storageSizeGB": 8192, "tier": "P50"},
            {"storageSizeGB": 128, "tier": "P11"},
            {"storageSizeGB": 31, "type": "PremiumV2_LRS"},
        )
    ),
    ("dbforpostgresql:Server", server(administratorLogin="root"), "InvalidParameterValue"),
    ("dbforpostgresql:Server", server(administratorLogin="mlops"), "InvalidParameterValue"),
    *(
        ("network:VirtualNetwork", network(prefix), code)
        for prefix, code in (
            ("10.0.0.0/255.255.0.0", "InvalidCIDRNotation"),
            ("127.0.0.0/8", "AddressPrefixNotAllowed"),
            ("224.0.0.0/8", "AddressPrefixNotAllowed"),
            ("168.63.129.0/24", "AddressPrefixNotAllowed"),
            ("10.0.0.0/30", "InvalidAddressPrefix"),
        )
    ),
    ("network:NetworkSecurityGroup", security_group(*range(100, 1101)), "SecurityRuleCountExceeded"),
    *(
        (
            "network:NetworkSecurityGroup",
            security_group(100, sourceAddressPrefix=None, sourceAddressPrefixes=prefixes),
            code,
        )
        for prefixes, code in (
            (["10.0.0.0/255.0.0.0"], "SecurityRuleInvalidAddressPrefix"),
            (["10.0.0.0/8", "fd00::/8"], "SecurityRuleMixedAddressFamilies"),
            ([f"10.0.{n // 256}.{n % 256}" for n in range(4001)], "SecurityRuleTooManyAddressPrefixes"),
        )
    ),
    ("storage:ManagementPolicy", lifecycle(delete=-1), "InvalidRequestPropertyValue"),
    ("storage:ManagementPolicy", lifecycle(delete=100_000), "InvalidRequestPropertyValue"),
    *(
        ("app:ContainerApp", app(container={"probes": [{"type": kind}, {"type": kind}]}), "ContainerAppInvalidProbe")
        for kind in ("Liveness", "Readiness")
    ),
    *(
        ("app:ContainerApp", app(template={"scale": {"rules": rules}}), "ContainerAppInvalidScaleSpec")
        for rules in (
            [{"name": "a"}, {"name": "a"}],
            [{"name": "a", "http": {"metadata": {"concurrentRequests": "0"}}}],
        )
    ),
    (
        "app:ContainerApp",
        app(
            configuration={
                "ingress": {"targetPort": 80, "ipSecurityRestrictions": [{"action": "Allow"}, {"action": "Deny"}]}
            }
        ),
        "ContainerAppInvalidIngress",
    ),
    ("app:ContainerApp", app(configuration={"secrets": [{"name": "Key"}]}), "ContainerAppInvalidSecretName"),
    (
        "app:ContainerApp",
        app(template={"volumes": [{"name": "v", "storageType": "AzureFile"}]}),
        "ContainerAppInvalidVolume",
    ),
]


def test_a_subnet_of_another_subscription_is_taken_for_one_that_is_there_and_fits() -> None:
    elsewhere = "/subscriptions/other/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
    assert (
        refusal("app:ManagedEnvironment", environment(vnetConfiguration={"infrastructureSubnetId": elsewhere})) is None
    )
    assert refusal("dbforpostgresql:Server", server(network={"delegatedSubnetResourceId": elsewhere})) is None


def refusal(short: str, inputs: dict[str, Any]) -> str | None:
    token = f"azure-native:{short}"
    found = rules.refusal(token, address(token, inputs), inputs, {})
    return None if found is None else found.code


@pytest.mark.parametrize("short", sorted(ACCEPTED))
def test_azure_takes_it(short: str) -> None:
    assert [refusal(short, inputs) for inputs in ACCEPTED[short]] == [None] * len(ACCEPTED[short])


@pytest.mark.parametrize(
    ("short", "inputs", "code"), REFUSED, ids=[f"{number}-{row[0]}" for number, row in enumerate(REFUSED)]
)
def test_azure_refuses_it(short: str, inputs: dict[str, Any], code: str) -> None:
    found = refusal(short, inputs)
    assert found is not None
    assert code in found


@pytest.mark.parametrize("stack", STACKS)
def test_azure_takes_every_request_of_a_stack(stack: str) -> None:
    recorded = graph(stack)
    names = [name for name in recorded.names if recorded.type(name).startswith("azure-native:")]
    assert len(names) > 50
    found = {}
    for name in names:
        inputs = values.known(recorded.inputs(name))
        found[name] = limits.refusal(recorded.type(name), inputs) or combinations.refusal(recorded.type(name), inputs)
    assert {name: str(refused) for name, refused in found.items() if refused} == {}
