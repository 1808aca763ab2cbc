"""What Azure refuses in a request because two of its values do not go together: one function per type.

Error codes are Azure's own where they are documented or were seen in public; the rest bear a name of the kind.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import short
from delivery.offline_azure.addresses import arm_type
from delivery.offline_azure.errors import RefusedError
from delivery.offline_azure.limits import at

Problem = tuple[str, str]
"""Azure's error code, and the message."""
Rule = Callable[[Mapping[str, Any]], Iterator[Problem]]

_CONSUMPTION: Final = "Consumption"
_CPU_STEP: Final = 0.25
_MOST_CPU: Final = 4
_GIB_PER_CPU: Final = 2
_UNITS: Final = {"Gi": 1.0, "Mi": 1 / 1024, "G": 1e9 / 2**30, "M": 1e6 / 2**30}
_BURSTABLE: Final = "Burstable"
_TIERS: Final = {"B": _BURSTABLE, "D": "GeneralPurpose", "E": "MemoryOptimized"}
_LONGEST_QUERY_MINUTES: Final = 2 * 24 * 60


def refusal(type_token: str, inputs: Mapping[str, Any]) -> RefusedError | None:
    """Return why Azure refuses the values of a request together; None if it accepts them."""
    rule = _RULES.get(short(type_token))
    found = next(rule(inputs), None) if rule else None
    return RefusedError(400, *found) if found else None


def _app(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn: "Containers in Azure Container Apps", "Ingress", "Manage secrets", "Use storage mounts"."""
    yield from _containers(inputs)
    scale = (inputs.get("template") or {}).get("scale") or {}
    if scale.get("minReplicas", 0) > scale.get("maxReplicas", 10):
        yield "ContainerAppInvalidScaleSpec", "The field 'minReplicas' must not be greater than 'maxReplicas'."
    configuration = inputs.get("configuration") or {}
    weights = [one.get("weight", 0) for one in at(configuration, "ingress.traffic[]")]
    if weights and sum(weights) != 100:
        yield "ContainerAppInvalidTrafficWeight", f"The traffic weights add up to {sum(weights)}; expected 100."
    if configuration.get("activeRevisionsMode", "Single") == "Single" and len(weights) > 1:
        yield "ContainerAppInvalidTrafficWeight", "Traffic is split in the revision mode 'Multiple' only."


def _job(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Jobs in Azure Container Apps": a trigger has its configuration, a schedule five fields."""
    yield from _containers(inputs)
    configuration = inputs.get("configuration") or {}
    if configuration.get("triggerType") == "Schedule":
        expression = (configuration.get("scheduleTriggerConfig") or {}).get("cronExpression")
        if not re.fullmatch(r"(?:[0-9A-Za-z*/,-]+ ){4}[0-9A-Za-z*/,-]+", str(expression)):
            yield "InvalidScheduleTriggerConfig", f"The cron expression '{expression}' is invalid: it has five fields."
    if configuration.get("triggerType") == "Event" and not configuration.get("eventTriggerConfig"):
        yield "InvalidEventTriggerConfig", "The trigger type 'Event' needs 'eventTriggerConfig'."


def _containers(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    template, configuration = inputs.get("template") or {}, inputs.get("configuration") or {}
    containers = [*(template.get("containers") or []), *(template.get("initContainers") or [])]
    volumes = {volume.get("name") for volume in template.get("volumes") or []}
    secrets = {secret.get("name") for secret in configuration.get("secrets") or []}
    for container in containers:
        name = str(container.get("name"))
        if not re.fullmatch(r"(?=.{1,63}\Z)[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?", name):
            yield "ContainerAppInvalidContainerName", f"Invalid container name '{name}'."
        for mount in container.get("volumeMounts") or []:
            if mount.get("volumeName") not in volumes:
                message = f"Volume '{mount.get('volumeName')}' of container '{name}' is not defined in 'volumes'."
                yield "ContainerAppVolumeMountNameNotFound", message
        for variable in container.get("env") or []:
            if variable.get("secretRef") is not None and variable["secretRef"] not in secrets:
                message = f"SecretRef '{variable['secretRef']}' defined for container '{name}' not found."
                yield "ContainerAppSecretRefNotFound", message
    identities = {str(one).lower() for one in (inputs.get("identity") or {}).get("userAssignedIdentities") or []}
    for registry in configuration.get("registries") or []:
        identity = str(registry.get("identity") or "").lower()
        if identity.startswith("/") and identity not in identities:
            message = f"The identity '{registry['identity']}' of registry '{registry.get('server')}' is not assigned."
            yield "ContainerAppRegistryIdentityNotAssigned", message
    if inputs.get("workloadProfileName", _CONSUMPTION) == _CONSUMPTION:
        yield from _size(template.get("containers") or [])


def _size(containers: list[Mapping[str, Any]]) -> Iterator[Problem]:
    """Microsoft Learn, "Containers in Azure Container Apps", allocations: 0.25 to 4 cores, 2 GiB for each core."""
    sizes = [one["resources"] for one in containers if one.get("resources")]
    if not sizes or len(sizes) < len(containers):
        return
    cpu, memory = sum(one.get("cpu", 0.5) for one in sizes), sum(_gib(one.get("memory", "1Gi")) for one in sizes)
    steps = cpu / _CPU_STEP
    if not (_CPU_STEP <= cpu <= _MOST_CPU and float(steps).is_integer() and memory == cpu * _GIB_PER_CPU):
        yield (
            "ContainerAppInvalidResourceTotal",
            f"The total requested CPU and memory resources for this application (CPU: {cpu:g}, memory: {memory:g}) is "
            f"invalid. Total CPU and memory for all containers must add up to {_CPU_STEP} to {_MOST_CPU} cores in "
            f"steps of {_CPU_STEP}, with {_GIB_PER_CPU}Gi of memory for each core.",
        )


def _gib(text: Any) -> float:
    found = re.fullmatch(r"([0-9.]+)(Gi|Mi|G|M)", str(text))
    return float(found[1]) * _UNITS[found[2]] if found else 0.0


def _environment(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn: "Networking in Azure Container Apps environment", "Reliability in Azure Container Apps"."""
    network = inputs.get("vnetConfiguration") or {}
    if not network.get("infrastructureSubnetId"):
        if network.get("internal"):
            message = "An internal environment needs 'infrastructureSubnetId'."
            yield "ManagedEnvironmentInvalidNetworkConfiguration", message
        if inputs.get("zoneRedundant"):
            yield "ManagedEnvironmentZoneRedundancyNotSupported", "Zone redundancy needs 'infrastructureSubnetId'."
    logs = inputs.get("appLogsConfiguration") or {}
    if logs.get("destination") == "log-analytics" and not logs.get("logAnalyticsConfiguration"):
        yield "LogAnalyticsConfigurationInvalid", "The destination 'log-analytics' needs its configuration."
    names = [profile.get("name") for profile in inputs.get("workloadProfiles") or []]
    if len(set(names)) < len(names):
        yield "WorkloadProfileNameDuplicated", f"The workload profiles {names} are not of different names."
    for profile in inputs.get("workloadProfiles") or []:
        low, high = profile.get("minimumCount"), profile.get("maximumCount")
        if low is not None and high is not None and low > high:
            yield "WorkloadProfileInvalidCount", f"'minimumCount' {low} is greater than 'maximumCount' {high}."


def _registry(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure Container Registry service tiers", features of the tiers. Zone redundancy is in all."""
    tier = (inputs.get("sku") or {}).get("name", "Premium")
    policies = inputs.get("policies") or {}
    of_premium = {
        "publicNetworkAccess": inputs.get("publicNetworkAccess") == "Disabled",
        "networkRuleSet": (inputs.get("networkRuleSet") or {}).get("defaultAction") == "Deny",
        "encryption": (inputs.get("encryption") or {}).get("status") == "enabled",
        "dataEndpointEnabled": inputs.get("dataEndpointEnabled") is True,
        "policies.retentionPolicy": (policies.get("retentionPolicy") or {}).get("status") == "enabled",
        "policies.softDeletePolicy": (policies.get("softDeletePolicy") or {}).get("status") == "enabled",
        "policies.trustPolicy": (policies.get("trustPolicy") or {}).get("status") == "enabled",
        "policies.exportPolicy": (policies.get("exportPolicy") or {}).get("status") == "disabled",
    }
    for path in (path for path, wanted in of_premium.items() if wanted and tier != "Premium"):
        message = f"The property '{path}' is not supported for the SKU {tier}; it needs Premium."
        yield "FeatureNotSupportedForSku", message
    if inputs.get("anonymousPullEnabled") is True and tier == "Basic":
        yield "FeatureNotSupportedForSku", "The property 'anonymousPullEnabled' is not supported for the SKU Basic."
    exported = (policies.get("exportPolicy") or {}).get("status")
    if exported == "disabled" and inputs.get("publicNetworkAccess", "Enabled") != "Disabled":
        yield "ExportPolicyNotValid", "Export is disabled with public network access disabled only."


def _server(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, Azure Database for PostgreSQL: "Compute options", "High availability", "Networking with private
    access", "Microsoft Entra authentication", "Storage options"."""
    sku = inputs.get("sku") or {}
    size = re.fullmatch(r"Standard_([BDE])\d+\w*", str(sku.get("name")))
    if sku and (size is None or _TIERS[size[1]] != sku.get("tier")):
        message = f"The SKU '{sku.get('name')}' does not exist in the tier '{sku.get('tier')}'."
        yield "InvalidParameterValue", message
    standby = inputs.get("highAvailability") or {}
    mode = standby.get("mode", "Disabled")
    if mode != "Disabled" and sku.get("tier") == _BURSTABLE:
        yield "HANotSupportedForBurstableSkuTier", "High availability is not supported for the Burstable tier."
    zone, other = inputs.get("availabilityZone") or None, standby.get("standbyAvailabilityZone") or None
    if mode == "ZoneRedundant" and zone is not None and zone == other:
        yield "InvalidParameterValue", f"Zone '{zone}' cannot hold the server and its zone-redundant standby."
    if mode == "SameZone" and None not in (zone, other) and zone != other:
        yield "InvalidParameterValue", f"A standby in the same zone cannot be in zone '{other}' for zone '{zone}'."
    sign_in = inputs.get("authConfig") or {}
    ways = [sign_in.get("activeDirectoryAuth", "Disabled"), sign_in.get("passwordAuth", "Enabled")]
    if ways == ["Disabled", "Disabled"]:
        yield "InvalidAuthConfig", "At least one of 'activeDirectoryAuth' and 'passwordAuth' must be enabled."
    network = inputs.get("network") or {}
    if network.get("delegatedSubnetResourceId") and network.get("publicNetworkAccess") == "Enabled":
        yield "InvalidParameterValue", "A server inside of a virtual network cannot have public network access."
    zone_id = str(network.get("privateDnsZoneArmResourceId") or "")
    name = str(inputs.get("serverName"))
    if "/privatednszones/" in zone_id.lower():
        zone_name = zone_id.rsplit("/", 1)[-1].lower()
        if not re.search(r"\.postgres\.database(\.azure\.com)?\Z", zone_name) or zone_name.startswith(f"{name}."):
            message = f"The private DNS zone '{zone_name}' must end in '.postgres.database.azure.com', after a name."
            yield "InvalidPrivateDnsZoneName", message


def _vault(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn: "Azure Key Vault soft-delete overview", "Configure Azure Key Vault firewalls"."""
    properties = inputs.get("properties") or {}
    for field, why in (
        ("enablePurgeProtection", "Enabling the purge protection for a vault is an irreversible action."),
        ("enableSoftDelete", "Soft delete can no longer be turned off."),
    ):
        if properties.get(field) is False:
            yield "BadRequest", f'The property "{field}" cannot be set to false. {why}'
    acls = properties.get("networkAcls") or {}
    if len(acls.get("ipRules") or []) > 1000 or len(acls.get("virtualNetworkRules") or []) > 200:
        yield "BadRequest", "A vault has at most 1000 IP rules and 200 virtual network rules."
    for value in at(acls, "ipRules[].value"):
        # The specification's own example has quotes around one.
        if _range(str(value).strip("'")) is None:
            yield "BadRequest", f"The IP rule '{value}' is no IPv4 address or range."


def _account(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn: "Storage account overview" (kinds and redundancy), "SFTP support for Azure Blob Storage",
    "Configure Azure Storage firewalls": an IP rule is public, and a single address or at most a /30."""
    kind, sku = str(inputs.get("kind")), str((inputs.get("sku") or {}).get("name"))
    premium = sku.startswith("Premium")
    kinds = {"BlockBlobStorage": premium, "FileStorage": premium or "V2_" in sku, "BlobStorage": not premium}
    if not kinds.get(kind, True) or ("GZRS" in sku and kind != "StorageV2"):
        yield "InvalidAccountType", f"The account kind '{kind}' does not go with the SKU '{sku}'."
    if inputs.get("isSftpEnabled") is True and inputs.get("isHnsEnabled") is not True:
        yield "InvalidRequestPropertyValue", "'isSftpEnabled' needs the hierarchical namespace ('isHnsEnabled')."
    if inputs.get("enableNfsV3") is True and inputs.get("isHnsEnabled") is not True:
        yield "InvalidRequestPropertyValue", "'enableNfsV3' needs the hierarchical namespace ('isHnsEnabled')."
    for value in at(inputs, "networkRuleSet.ipRules[].iPAddressOrRange"):
        found = _range(value)
        if found is None or found.is_private or ("/" in str(value) and found.prefixlen > 30):
            message = f"The following IP address or range is not valid in network ACL: {value}."
            yield "InvalidValuesForRequestParameters", message


def _blob_service(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn: "Point-in-time restore for block blobs", "CORS support for Azure Storage"."""
    for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
        given = inputs.get(policy) or {}
        if given.get("enabled") is True and "days" not in given:
            yield "InvalidRequestPropertyValue", f"'{policy}.days' is required when it is enabled."
    kept = inputs.get("deleteRetentionPolicy") or {}
    restore = inputs.get("restorePolicy") or {}
    needed = [
        inputs.get("isVersioningEnabled"),
        (inputs.get("changeFeed") or {}).get("enabled"),
        kept.get("enabled"),
    ]
    if restore.get("enabled") is True and (needed != [True] * 3 or restore.get("days", 0) >= kept.get("days", 0)):
        message = "A restore policy needs versioning, the change feed, and soft delete for more days than its own."
        yield "InvalidRequestPropertyValue", message
    if kept.get("allowPermanentDelete") is True and restore.get("enabled") is True:
        yield "InvalidRequestPropertyValue", "'allowPermanentDelete' and a restore policy exclude each other."
    if len(list(at(inputs, "cors.corsRules[]"))) > 5:
        yield "InvalidRequestPropertyValue", "A service has at most 5 CORS rules."


def _lifecycle(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure Blob Storage lifecycle management overview": rules, names, filters, actions."""
    rules = list(at(inputs, "policy.rules[]"))
    names = [rule.get("name") for rule in rules]
    if not rules or len(rules) > 100 or len(set(names)) < len(names):
        yield "InvalidRequestPropertyValue", "A lifecycle policy has 1 to 100 rules of different names."
    for rule in rules:
        definition = rule.get("definition") or {}
        actions = definition.get("actions") or {}
        if not any(actions.get(part) for part in ("baseBlob", "snapshot", "version")):
            yield "InvalidRequestPropertyValue", f"The rule '{rule.get('name')}' has no action."
        if len((definition.get("filters") or {}).get("prefixMatch") or []) > 10:
            yield "InvalidRequestPropertyValue", f"The rule '{rule.get('name')}' has more than 10 prefixes."
        tiers = ("tierToCool", "tierToCold", "tierToArchive", "delete")
        base = actions.get("baseBlob") or {}
        ages = [(base.get(tier) or {}).get("daysAfterModificationGreaterThan") for tier in tiers]
        given = [age for age in ages if age is not None]
        if given != sorted(given):
            yield "InvalidRequestPropertyValue", f"The rule '{rule.get('name')}' moves blobs back to a warmer tier."


def _metric_alert(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Types of Azure Monitor alerts": the window is at least the frequency."""
    if _minutes(inputs.get("windowSize")) < _minutes(inputs.get("evaluationFrequency")):
        yield "BadRequest", "The window size must not be smaller than the evaluation frequency."
    names = list(at(inputs, "criteria.allOf[].name"))
    if len(set(names)) < len(names):
        yield "BadRequest", "The criteria of a metric alert have different names."


def _query_rule(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """REST reference, "Scheduled Query Rules - Create Or Update", and Microsoft Learn, "Log search alert rules"."""
    window, frequency = _minutes(inputs.get("windowSize")), _minutes(inputs.get("evaluationFrequency"))
    if window < frequency and inputs.get("overrideQueryTimeRange") is None:
        yield "BadRequest", "The window size must not be smaller than the evaluation frequency."
    for periods in at(inputs, "criteria.allOf[].failingPeriods"):
        number, least = periods.get("numberOfEvaluationPeriods", 1), periods.get("minFailingPeriodsToAlert", 1)
        if least > number:
            yield "BadRequest", "'minFailingPeriodsToAlert' must not be greater than 'numberOfEvaluationPeriods'."
        if number * window > _LONGEST_QUERY_MINUTES:
            yield "BadRequest", "The window size times the number of periods must not be longer than two days."


def _minutes(duration: Any) -> int:
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", str(duration).upper())
    days, hours, minutes = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    return (days * 24 + hours) * 60 + minutes


def _action_group(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Action groups": a short name of 12 characters, receivers of different names."""
    if not 1 <= len(str(inputs.get("groupShortName", "x"))) <= 12:
        yield "ActionGroupShortNameInvalid", "The short name of an action group has 1 to 12 characters."
    names = [one.get("name") for key in inputs if key.endswith("Receivers") for one in inputs[key] or []]
    if len(set(names)) < len(names):
        yield "ReceiverNamesNotUnique", f"The receivers {names} are not of different names."
    for email in at(inputs, "emailReceivers[].emailAddress"):
        if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", str(email)):
            yield "InvalidEmailAddress", f"'{email}' is no email address."


# Log categories, groups and metric categories by ARM type (Azure Monitor reference, "Supported log categories" and
# "Supported metrics", column "DS Export"). Types without a row are not checked.
_BOTH: Final = frozenset({"allLogs", "audit"})
_ALL: Final = frozenset({"allLogs"})
_METRICS: Final = frozenset({"AllMetrics"})
_OF_STORAGE: Final = frozenset({"Transaction", "Capacity", "AllMetrics"})
_NONE: Final[frozenset[str]] = frozenset()
_CATEGORIES: Final[Mapping[str, tuple[frozenset[str], frozenset[str], frozenset[str]]]] = {
    "microsoft.app/managedenvironments": (
        frozenset(
            (
                *("ContainerAppConsoleLogs", "ContainerAppSystemLogs", "AppEnvSpringAppConsoleLogs"),
                *("AppEnvSessionConsoleLogs", "AppEnvSessionPoolEventLogs", "AppEnvSessionLifeCycleLogs"),
            )
        ),
        _BOTH,
        _METRICS,
    ),
    "microsoft.containerregistry/registries": (
        frozenset({"ContainerRegistryLoginEvents", "ContainerRegistryRepositoryEvents"}),
        _BOTH,
        _METRICS,
    ),
    "microsoft.dbforpostgresql/flexibleservers": (
        frozenset(
            (
                *("PostgreSQLLogs", "PostgreSQLFlexSessions", "PostgreSQLFlexQueryStoreRuntime"),
                *("PostgreSQLFlexQueryStoreWaitStats", "PostgreSQLFlexTableStats", "PostgreSQLFlexDatabaseXacts"),
                "PostgreSQLFlexPGBouncer",
            )
        ),
        _BOTH,
        _METRICS,
    ),
    "microsoft.keyvault/vaults": (frozenset({"AuditEvent", "AzurePolicyEvaluationDetails"}), _BOTH, _METRICS),
    "microsoft.network/networksecuritygroups": (
        frozenset({"NetworkSecurityGroupEvent", "NetworkSecurityGroupRuleCounter"}),
        _ALL,
        _NONE,
    ),
    "microsoft.network/publicipaddresses": (
        frozenset({"DDoSProtectionNotifications", "DDoSMitigationFlowLogs", "DDoSMitigationReports"}),
        _BOTH,
        _METRICS,
    ),
    "microsoft.network/virtualnetworks": (frozenset({"VMProtectionAlerts"}), _ALL, _METRICS),
    "microsoft.operationalinsights/workspaces": (frozenset({"Audit", "SummaryLogs", "Jobs"}), _BOTH, _METRICS),
    "microsoft.storage/storageaccounts": (_NONE, _NONE, _OF_STORAGE),
    "microsoft.storage/storageaccounts/blobservices": (
        frozenset({"StorageRead", "StorageWrite", "StorageDelete"}),
        _BOTH,
        _OF_STORAGE,
    ),
}


def _diagnostic_setting(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Diagnostic settings in Azure Monitor": categories of the target's type; groups or categories,
    not both; at least one of them, and somewhere to send it."""
    logs, metrics = inputs.get("logs") or [], inputs.get("metrics") or []
    groups = [log["categoryGroup"] for log in logs if log.get("categoryGroup")]
    categories = [log["category"] for log in logs if log.get("category")]
    if groups and categories:
        yield "BadRequest", "Category groups and categories of logs cannot be in one setting."
    if not (logs or metrics):
        yield "BadRequest", "At least one data sink and one category need to be specified."
    known = _CATEGORIES.get(arm_type(str(inputs.get("resourceUri"))).lower())
    if known is None:
        return
    for kind, given, allowed in (
        ("Category", categories, known[0]),
        ("Category group", groups, known[1]),
        ("Metric category", [metric.get("category") for metric in metrics], known[2]),
    ):
        for wrong in (one for one in given if one not in allowed):
            yield "BadRequest", f"{kind} '{wrong}' is not supported."


def _security_group(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure network security groups overview": priorities are of one rule in each direction."""
    rules = inputs.get("securityRules") or []
    for field, code in (("name", "SecurityRuleDuplicateName"), ("priority", "SecurityRuleConflict")):
        counted = Counter(
            (str(rule.get(field)).lower(), rule.get("direction") if field == "priority" else "") for rule in rules
        )
        for (value, _), times in counted.items():
            if times > 1:
                yield code, f"Security rules have conflicting {field} '{value}'."
    for rule in rules:
        for side in ("source", "destination"):
            for field in ("AddressPrefix", "PortRange"):
                many = f"{side}{field}es" if field == "AddressPrefix" else f"{side}{field}s"
                if rule.get(f"{side}{field}") and rule.get(many):
                    message = f"The rule '{rule.get('name')}' has both '{side}{field}' and '{many}'."
                    yield "SecurityRuleParameterConflict", message
        for ports in (*at(rule, "destinationPortRange"), *(rule.get("destinationPortRanges") or [])):
            if ports != "*" and not _is_port_range(str(ports)):
                yield "SecurityRuleInvalidPortRange", f"The port range '{ports}' is invalid."


def _is_port_range(text: str) -> bool:
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    return found is not None and int(found[1]) <= int(found[2] or found[1]) <= 65535


def _address(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Public IP addresses": a Standard address is static; Basic ones are retired."""
    name, method = (inputs.get("sku") or {}).get("name", "Basic"), inputs.get("publicIPAllocationMethod", "Dynamic")
    if inputs.get("sku") and name == "Basic":
        yield "BasicSkuPublicIPAddressRetired", "Basic SKU public IP addresses can no longer be created."
    if name == "Standard" and "publicIPAllocationMethod" in inputs and method != "Static":
        yield "StandardSkuPublicIPAddressMustBeStatic", "A Standard SKU public IP address must be static."
    zones = inputs.get("zones") or []
    if not set(zones) <= {"1", "2", "3"} or len(set(zones)) < len(zones):
        yield "InvalidAvailabilityZone", f"The zones {zones} are not different ones of 1, 2 and 3."


def _gateway(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure NAT Gateway and availability zones": a Standard gateway is in one zone or in none."""
    if (inputs.get("sku") or {}).get("name", "Standard") == "Standard" and len(inputs.get("zones") or []) > 1:
        yield "NatGatewayMultipleZonesNotSupported", "A Standard NAT gateway is in one zone at most."


def _network(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure Virtual Network FAQ": ranges are written by their first address and do not overlap."""
    ranges = []
    for prefix in at(inputs, "addressSpace.addressPrefixes[]"):
        try:
            ranges.append(ipaddress.ip_network(prefix))
        except ValueError:
            yield "InvalidCIDRNotation", f"The address prefix {prefix} has an invalid CIDR notation."
    for number, one in enumerate(ranges):
        if any(one.overlaps(other) for other in ranges[number + 1 :]):
            yield "InvalidAddressSpace", f"The address prefix {one} overlaps with another one of the network."


def _credential(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Workload identity federation considerations": one audience, an issuer over HTTPS."""
    if len(inputs.get("audiences") or [1]) != 1:
        yield "BadRequest", "A federated identity credential has one audience."
    if not str(inputs.get("issuer", "https://")).startswith("https://"):
        yield "BadRequest", f"The issuer '{inputs.get('issuer')}' is no HTTPS URL."


def _assignment(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure role assignment condition format and syntax": a condition has version 2.0."""
    if bool(inputs.get("condition")) != bool(inputs.get("conditionVersion")):
        yield "InvalidCondition", "A condition and its version are given together."
    if inputs.get("conditionVersion") not in (None, "2.0"):
        yield "InvalidConditionVersion", f"The condition version '{inputs['conditionVersion']}' is not 2.0."


def _lock(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """REST reference, "Management Locks": notes of at most 512 characters."""
    if len(str(inputs.get("notes", ""))) > 512:
        yield "InvalidLockNotes", "The notes of a lock have at most 512 characters."


def _record_set(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Overview of DNS zones and records": an A record is an IPv4 address."""
    for address in at(inputs, "aRecords[].ipv4Address"):
        if _range(address) is None or "/" in str(address):
            yield "BadRequest", f"The record '{address}' is no IPv4 address."


def _range(value: Any) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(str(value))
    except ValueError:
        return None


_RULES: Final[Mapping[str, Rule]] = {
    "app:ContainerApp": _app,
    "app:Job": _job,
    "app:ManagedEnvironment": _environment,
    "authorization:ManagementLockByScope": _lock,
    "authorization:RoleAssignment": _assignment,
    "containerregistry:Registry": _registry,
    "dbforpostgresql:Server": _server,
    "keyvault:Vault": _vault,
    "managedidentity:FederatedIdentityCredential": _credential,
    "monitor:ActionGroup": _action_group,
    "monitor:DiagnosticSetting": _diagnostic_setting,
    "monitor:MetricAlert": _metric_alert,
    "monitor:ScheduledQueryRule": _query_rule,
    "network:NatGateway": _gateway,
    "network:NetworkSecurityGroup": _security_group,
    "network:PublicIPAddress": _address,
    "network:VirtualNetwork": _network,
    "privatedns:PrivateRecordSet": _record_set,
    "storage:BlobServiceProperties": _blob_service,
    "storage:ManagementPolicy": _lifecycle,
    "storage:StorageAccount": _account,
}
