"""Microsoft.App: container apps, jobs, and their environments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.offline_azure.combinations.rule import Problem
from delivery.offline_azure.limits import at

_CONSUMPTION: Final = "Consumption"
_CPU_STEP: Final = 0.25
_MOST_CPU: Final = 4
_GIB_PER_CPU: Final = 2
_UNITS: Final = {"Gi": 1.0, "Mi": 1 / 1024, "G": 1e9 / 2**30, "M": 1e6 / 2**30}


def app(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn: "Containers in Azure Container Apps", "Ingress", "Manage secrets", "Use storage mounts"."""
    yield from _containers(inputs)
    scale = (inputs.get("template") or {}).get("scale") or {}
    if scale.get("minReplicas", 0) > scale.get("maxReplicas", 10):
        yield "ContainerAppInvalidScaleSpec", "The field 'minReplicas' must not be greater than 'maxReplicas'."
    rules = [rule.get("name") for rule in scale.get("rules") or []]
    if len(set(rules)) < len(rules):
        yield "ContainerAppInvalidScaleSpec", f"The scale rules {rules} are not of different names."
    for requests in at(scale, "rules[].http.metadata.concurrentRequests"):
        if not str(requests).isdigit() or int(requests) < 1:
            yield "ContainerAppInvalidScaleSpec", f"'concurrentRequests' is '{requests}'; expected 1 or more."
    configuration = inputs.get("configuration") or {}
    actions = {str(one) for one in at(configuration, "ingress.ipSecurityRestrictions[].action")}
    if len(actions) > 1:
        yield "ContainerAppInvalidIngress", "The IP restrictions must all be of one action, Allow or Deny."
    weights = [one.get("weight", 0) for one in at(configuration, "ingress.traffic[]")]
    if weights and sum(weights) != 100:
        yield "ContainerAppInvalidTrafficWeight", f"The traffic weights add up to {sum(weights)}; expected 100."
    if configuration.get("activeRevisionsMode", "Single") == "Single" and len(weights) > 1:
        yield "ContainerAppInvalidTrafficWeight", "Traffic is split in the revision mode 'Multiple' only."


def job(inputs: Mapping[str, Any]) -> Iterator[Problem]:
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
    for secret in secrets:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", str(secret)):
            message = f"Invalid secret name '{secret}': lower-case letters, digits, '-' and '.' inside."
            yield "ContainerAppInvalidSecretName", message
    for volume in template.get("volumes") or []:
        if volume.get("storageType") in ("AzureFile", "NfsAzureFile") and not volume.get("storageName"):
            message = f"The volume '{volume.get('name')}' of type '{volume['storageType']}' needs 'storageName'."
            yield "ContainerAppInvalidVolume", message
    for container in containers:
        kinds = [probe.get("type") for probe in container.get("probes") or []]
        if len(set(kinds)) < len(kinds):
            yield "ContainerAppInvalidProbe", f"The container '{container.get('name')}' has two probes of one type."
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


def environment(inputs: Mapping[str, Any]) -> Iterator[Problem]:
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
