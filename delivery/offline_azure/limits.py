"""What Azure refuses in a single value of a request: names, ranges, steps and lists of choices, as tables.

The SDK's own types know none of these, so a preview passes and the request is refused. Error codes are Azure's own
where they are documented or were seen in public; the rest bear a name of the kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from delivery.azure_types.type_tokens import short
from delivery.offline_azure.errors import RefusedError
from delivery.offline_azure.values import is_type
from infra.settings import regions


@dataclass(frozen=True, kw_only=True)
class Name:
    """What the name of a type is made of: the whole of `pattern`, in `words`; `code` is Azure's answer to any other."""

    field: str
    pattern: str
    words: str
    code: str = "InvalidResourceName"


_APP: Final = (
    "lower case alphanumeric characters or '-', first a letter, last none of '-', no '--', at most 32 characters"
)

# Microsoft Learn, "Naming rules and restrictions for Azure resources".
_NAMES: Final[Mapping[str, Name]] = {
    "app:ContainerApp": Name(
        field="containerAppName",
        pattern=r"(?!.*--)(?=.{2,32}\Z)[a-z][a-z0-9-]*[a-z0-9]",
        words=_APP,
        code="ContainerAppInvalidName",
    ),
    "app:Job": Name(
        field="jobName",
        pattern=r"(?!.*--)(?=.{2,32}\Z)[a-z][a-z0-9-]*[a-z0-9]",
        words=_APP,
        code="ContainerAppsJobInvalidName",
    ),
    "app:ManagedEnvironment": Name(
        field="environmentName",
        pattern=r"(?=.{2,60}\Z)[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]",
        words="2 to 60 letters, digits and hyphens, first a letter, last no hyphen",
        code="ManagedEnvironmentInvalidName",
    ),
    "containerregistry:Registry": Name(
        field="registryName", pattern=r"[A-Za-z0-9]{5,50}", words="5 to 50 letters and digits", code="NameNotValid"
    ),
    "containerservice:ManagedCluster": Name(
        field="resourceName",
        pattern=r"(?=.{1,63}\Z)[A-Za-z0-9]([\w-]*[A-Za-z0-9])?",
        words="1 to 63 letters, digits, '_' and '-', first and last a letter or digit",
    ),
    "dbforpostgresql:Database": Name(
        field="databaseName",
        pattern=r"[A-Za-z_][A-Za-z0-9_-]{0,62}",
        words="1 to 63 letters, digits, '_' and '-', first no digit",
        code="InvalidDatabaseName",
    ),
    "dbforpostgresql:Server": Name(
        field="serverName",
        pattern=r"(?=.{3,63}\Z)[a-z0-9][a-z0-9-]*[a-z0-9]",
        words="3 to 63 lower-case letters, digits and hyphens, no hyphen first or last",
        code="InvalidServerName",
    ),
    "keyvault:Secret": Name(
        field="secretName", pattern=r"[A-Za-z0-9-]{1,127}", words="1 to 127 letters, digits and hyphens"
    ),
    "keyvault:Vault": Name(
        field="vaultName",
        pattern=r"(?!.*--)(?=.{3,24}\Z)[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]",
        words="3 to 24 letters, digits and single hyphens, first a letter, last no hyphen",
        code="VaultNameNotValid",
    ),
    "managedidentity:FederatedIdentityCredential": Name(
        field="federatedIdentityCredentialResourceName",
        pattern=r"[A-Za-z0-9][A-Za-z0-9_-]{2,119}",
        words="3 to 120 letters, digits, '_' and '-', first a letter or digit",
    ),
    "managedidentity:UserAssignedIdentity": Name(
        field="resourceName",
        pattern=r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}",
        words="3 to 128 letters, digits, '_' and '-', first a letter or digit",
    ),
    "operationalinsights:Workspace": Name(
        field="workspaceName",
        pattern=r"(?=.{4,63}\Z)[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]",
        words="4 to 63 letters, digits and hyphens, no hyphen first or last",
    ),
    "resources:ResourceGroup": Name(
        field="resourceGroupName",
        pattern=r"[\w().-]{0,89}[\w()-]",
        words="1 to 90 letters, digits, '_', '-', '.', '(' and ')', last no '.'",
        code="InvalidResourceGroup",
    ),
    "storage:BlobContainer": Name(
        field="containerName",
        pattern=r"(?!.*--)(?=.{3,63}\Z)[a-z0-9][a-z0-9-]*[a-z0-9]|\$root|\$web|\$logs",
        words="3 to 63 lower-case letters, digits and single hyphens, no hyphen first or last",
    ),
    "storage:StorageAccount": Name(
        field="accountName",
        pattern=r"[a-z0-9]{3,24}",
        words="3 to 24 lower-case letters and digits",
        code="AccountNameInvalid",
    ),
    **{
        f"network:{kind}": Name(
            field=field,
            pattern=r"[A-Za-z0-9]([\w.-]{0,78}\w)?",
            words="1 to 80 letters, digits, '_', '-' and '.', first a letter or digit, last a letter, digit or '_'",
        )
        for kind, field in (
            ("NatGateway", "natGatewayName"),
            ("NetworkSecurityGroup", "networkSecurityGroupName"),
            ("PrivateEndpoint", "privateEndpointName"),
            ("PublicIPAddress", "publicIpAddressName"),
            ("Subnet", "subnetName"),
            ("VirtualNetwork", "virtualNetworkName"),
        )
    },
}

_PROBE: Final = "template.containers[].probes[]"
_SEVERITY: Final = {"severity": (0, 4)}
# Smallest and largest value by path. Sources below each type, Microsoft Learn or the REST reference of the type.
_RANGES: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {
    # "Health probes in Azure Container Apps", "Scaling in Azure Container Apps", REST reference "Container Apps".
    "app:ContainerApp": {
        f"{_PROBE}.failureThreshold": (1, 10),
        f"{_PROBE}.initialDelaySeconds": (0, 60),
        f"{_PROBE}.periodSeconds": (1, 240),
        f"{_PROBE}.successThreshold": (1, 10),
        f"{_PROBE}.timeoutSeconds": (1, 240),
        "configuration.ingress.targetPort": (1, 65535),
        "configuration.maxInactiveRevisions": (0, 100),
        "template.scale.maxReplicas": (1, 1000),
        "template.scale.minReplicas": (0, 1000),
        "template.terminationGracePeriodSeconds": (0, 600),
    },
    # "Jobs in Azure Container Apps".
    "app:Job": {
        "configuration.manualTriggerConfig.parallelism": (1, 300),
        "configuration.manualTriggerConfig.replicaCompletionCount": (1, 300),
        "configuration.replicaRetryLimit": (0, 10),
        "configuration.replicaTimeout": (1, 604800),
        "configuration.scheduleTriggerConfig.parallelism": (1, 300),
        "configuration.scheduleTriggerConfig.replicaCompletionCount": (1, 300),
    },
    # "Set a retention policy for untagged manifests".
    "containerregistry:Registry": {
        "policies.retentionPolicy.days": (0, 365),
        "policies.softDeletePolicy.retentionDays": (1, 90),
    },
    # "Create node pools for a cluster in AKS", "Configure Azure CNI Overlay" (pods), "Use planned maintenance".
    "containerservice:AgentPool": {"maxCount": (1, 1000), "minCount": (0, 1000), "maxPods": (10, 250)},
    "containerservice:MaintenanceConfiguration": {"maintenanceWindow.durationHours": (4, 24)},
    # "Use Image Cleaner".
    "containerservice:ManagedCluster": {"securityProfile.imageCleaner.intervalHours": (24, 2160)},
    # "Backup and restore in Azure Database for PostgreSQL", REST reference "Servers - Create".
    "dbforpostgresql:Server": {
        "backup.backupRetentionDays": (7, 35),
        "maintenanceWindow.dayOfWeek": (0, 6),
        "maintenanceWindow.startHour": (0, 23),
        "maintenanceWindow.startMinute": (0, 59),
    },
    # "Azure Key Vault soft-delete overview".
    "keyvault:Vault": {"properties.softDeleteRetentionInDays": (7, 90)},
    "monitor:MetricAlert": _SEVERITY,
    "monitor:ScheduledQueryRule": {
        **_SEVERITY,
        "criteria.allOf[].failingPeriods.minFailingPeriodsToAlert": (1, 6),
        "criteria.allOf[].failingPeriods.numberOfEvaluationPeriods": (1, 6),
    },
    # "Design virtual networks with NAT gateway" (idle timeout), "Network security groups" (priority).
    "network:NatGateway": {"idleTimeoutInMinutes": (4, 120)},
    "network:NetworkSecurityGroup": {"securityRules[].priority": (100, 4096)},
    "network:PublicIPAddress": {"idleTimeoutInMinutes": (4, 30)},
    "network:SecurityRule": {"priority": (100, 4096)},
    # "Manage data retention in a Log Analytics workspace".
    "operationalinsights:Workspace": {"retentionInDays": (30, 730)},
    "privatedns:PrivateRecordSet": {"ttl": (1, 2147483647)},
    # "Soft delete for blobs", "Soft delete for containers".
    "storage:BlobServiceProperties": {
        "containerDeleteRetentionPolicy.days": (1, 365),
        "cors.corsRules[].maxAgeInSeconds": (0, 2147483647),
        "deleteRetentionPolicy.days": (1, 365),
        "restorePolicy.days": (1, 364),
    },
}

# What Azure keeps in no region: "Create and manage action groups", and the types whose location is a choice below.
_GLOBAL: Final = frozenset(
    {"monitor:ActionGroup", "monitor:MetricAlert", "privatedns:PrivateZone", "privatedns:VirtualNetworkLink"}
)

_MINUTES: Final = ("PT1M", "PT5M", "PT10M", "PT15M", "PT30M", "PT45M")
_HOURS: Final = tuple(f"PT{hours}H" for hours in range(1, 7))
# The values that there are by path, with their sources.
_CHOICES: Final[Mapping[str, Mapping[str, Sequence[Any]]]] = {
    # "Log storage and monitoring options in Azure Container Apps".
    "app:ManagedEnvironment": {"appLogsConfiguration.destination": ("log-analytics", "azure-monitor", "none", "")},
    # "Storage options in Azure Database for PostgreSQL", "High availability".
    "dbforpostgresql:Server": {
        # "Supported versions of PostgreSQL in Azure Database for PostgreSQL".
        "version": ("13", "14", "15", "16", "17", "18"),
        # The SDK's own default is "": Azure chooses.
        "availabilityZone": ("", "1", "2", "3"),
        "highAvailability.standbyAvailabilityZone": ("", "1", "2", "3"),
    },
    # "Create or edit a metric alert rule", "Understand the frequency and lookback window".
    "monitor:MetricAlert": {
        "evaluationFrequency": ("PT1M", "PT5M", "PT15M", "PT30M", "PT1H"),
        "location": ("global", "Global"),
        "windowSize": ("PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "P1D"),
    },
    # "Create or edit a log search alert rule", REST reference "Scheduled Query Rules - Create Or Update".
    "monitor:ScheduledQueryRule": {
        "evaluationFrequency": (*_MINUTES, *_HOURS, "P1D", "PT24H"),
        "windowSize": (*_MINUTES, *_HOURS, "P1D", "PT24H", "P2D", "PT48H"),
        "overrideQueryTimeRange": (*_MINUTES, *_HOURS, "P1D", "PT24H", "P2D", "PT48H"),
    },
    # "Quickstart: Create an Azure private DNS zone": private zones are global.
    "privatedns:PrivateZone": {"location": ("global", "Global")},
    "privatedns:VirtualNetworkLink": {"location": ("global", "Global")},
    # "Lifecycle management policies that optimize costs".
    "storage:ManagementPolicy": {"policy.rules[].definition.filters.blobTypes[]": ("blockBlob", "appendBlob")},
}
# What Azure answers to a value that is out of its range or none of the choices; any other type: InvalidParameterValue.
_CODES: Final[Mapping[str, str]] = {
    "app:ContainerApp": "InvalidParameterValueInContainerTemplate",
    "keyvault:Vault": "BadRequest",
    "monitor:MetricAlert": "BadRequest",
    "monitor:ScheduledQueryRule": "BadRequest",
    "network:NetworkSecurityGroup": "SecurityRuleInvalidPriority",
    "network:SecurityRule": "SecurityRuleInvalidPriority",
}


# "Use tags to organize your Azure resources", limitations.
_MOST_TAGS: Final = 50
_LONGEST_TAG_VALUE: Final = 256
_LONGEST_TAG_NAME: Final = 512
_LONGEST_TAG_NAME_OF: Final = {"storage:StorageAccount": 128}
_NOT_IN_TAG_NAMES: Final = "<>%&\\?/"
_RESERVED_FOR_TAGS: Final = ("azure", "microsoft", "windows")


def _tags(kind: str, tags: Any) -> RefusedError | None:
    if not isinstance(tags, Mapping):
        return None
    longest = _LONGEST_TAG_NAME_OF.get(kind, _LONGEST_TAG_NAME)
    if len(tags) > _MOST_TAGS:
        return RefusedError(400, "TooManyTags", f"There are {len(tags)} tags; a resource has at most {_MOST_TAGS}.")
    if len({name.lower() for name in tags}) < len(tags):
        message = f"The tags {', '.join(sorted(tags))} have names that are equal without case."
        return RefusedError(400, "DuplicateTagName", message)
    for name, value in tags.items():
        if name.lower().startswith(_RESERVED_FOR_TAGS):
            message = f"The tag name '{name}' has a reserved prefix: {', '.join(_RESERVED_FOR_TAGS)}."
            return RefusedError(400, "ReservedTagName", message)
        if not name or any(one in _NOT_IN_TAG_NAMES or ord(one) < ord(" ") for one in name):
            message = f"The tag name '{name}' is empty, or has one of the characters {_NOT_IN_TAG_NAMES}."
            return RefusedError(400, "InvalidTagNameCharacters", message)
        if len(name) > longest or len(str(value)) > _LONGEST_TAG_VALUE:
            message = (
                f"The tag '{name[:40]}' is too long: names have {longest} characters, values {_LONGEST_TAG_VALUE}."
            )
            return RefusedError(400, "InvalidTagLength", message)
    return None


def _location(kind: str, location: Any) -> RefusedError | None:
    """Microsoft Learn, "List of Azure regions"; the display names of regions are accepted too."""
    known = {*regions.KNOWN, "global"} if kind in _GLOBAL else regions.KNOWN
    if not isinstance(location, str) or location.replace(" ", "").lower() in known:
        return None
    message = (
        f"The provided location '{location}' is not available for resource type '{kind}', or is not among those that "
        "the offline Azure knows (infra/settings/regions.py)."
    )
    return RefusedError(400, "LocationNotAvailableForResourceType", message)


def refusal(type_token: str, inputs: Mapping[str, Any]) -> RefusedError | None:
    """Return why Azure refuses a value of a request, the first such; None if it accepts them all."""
    kind = short(type_token)
    if refused := _location(kind, inputs.get("location")) or _tags(kind, inputs.get("tags")):
        return refused
    name = _NAMES.get(kind)
    if name is not None and isinstance(inputs.get(name.field), str):
        given = inputs[name.field]
        if not re.fullmatch(name.pattern, given):
            message = f"Invalid name '{given}' for {kind}. A name must consist of {name.words}."
            return RefusedError(400, name.code, message)
    for path, (low, high) in _RANGES.get(kind, {}).items():
        for value in at(inputs, path):
            if is_type(value, "number") and not low <= value <= high:
                message = f"The value '{value}' of '{path}' is invalid: it must be between {low:g} and {high:g}."
                return RefusedError(400, _CODES.get(kind, "InvalidParameterValue"), message)
    for path, choices in _CHOICES.get(kind, {}).items():
        for value in at(inputs, path):
            if value not in choices and str(value).upper() not in choices:
                message = f"The value '{value}' of '{path}' is invalid. Allowed: {', '.join(map(str, choices))}."
                return RefusedError(400, _CODES.get(kind, "InvalidParameterValue"), message)
    return None


def at(value: Any, path: str) -> Iterator[Any]:
    """Yield the values at a path such as `template.containers[].name`; nothing where it leads nowhere."""
    head, _, rest = path.partition(".")
    inner = value.get(head.removesuffix("[]")) if isinstance(value, Mapping) else None
    listed = inner if isinstance(inner, list) else []
    for item in listed if head.endswith("[]") else [inner]:
        if rest:
            yield from at(item, rest)
        elif item is not None:
            yield item
