"""Microsoft.ContainerService."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.offline_azure.combinations.rule import Problem, ip_range

_INVALID: Final = "InvalidParameter"
_WINDOWS: Final = ("default", "aksManagedAutoUpgradeSchedule", "aksManagedNodeOSUpgradeSchedule")
_OLD_FORM: Final = "default"
_LEAST_CORES_OF_SYSTEM: Final = 2


def cluster(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, AKS: "Manage local accounts", "Use Microsoft Entra Workload ID", "Create a private cluster",
    "Configure Azure CNI Powered by Cilium", "Configure Azure CNI Overlay", "Customize egress with outbound types",
    "Use system node pools", "Cost analysis"."""
    aad = inputs.get("aadProfile") or {}
    if inputs.get("disableLocalAccounts") is True and not aad.get("managed"):
        yield "BadRequest", "Disabling local accounts requires managed Microsoft Entra integration."
    security = inputs.get("securityProfile") or {}
    issuer = (inputs.get("oidcIssuerProfile") or {}).get("enabled")
    if (security.get("workloadIdentity") or {}).get("enabled") and not issuer:
        yield "BadRequest", "Workload identity requires the OIDC issuer."
    if "kubernetesVersion" in inputs and not re.fullmatch(r"1\.\d+(\.\d+)?", str(inputs["kubernetesVersion"])):
        yield "K8sVersionNotSupported", f"Kubernetes version '{inputs['kubernetesVersion']}' is not supported."
    costs = (inputs.get("metricsProfile") or {}).get("costAnalysis") or {}
    if costs.get("enabled") and (inputs.get("sku") or {}).get("tier", "Free") == "Free":
        yield "CostAnalysisNotSupported", "Cost analysis requires the Standard or Premium tier."
    yield from _api_server(inputs.get("apiServerAccessProfile") or {})
    yield from _network(inputs.get("networkProfile") or {})
    yield from _pools(inputs.get("agentPoolProfiles") or [])


def _api_server(profile: Mapping[str, Any]) -> Iterator[Problem]:
    private = bool(profile.get("enablePrivateCluster"))
    if private and profile.get("authorizedIPRanges"):
        yield "BadRequest", "Authorized IP ranges are not supported for private clusters."
    if not private and (profile.get("privateDNSZone") or profile.get("enablePrivateClusterPublicFQDN")):
        yield "BadRequest", "A private DNS zone and a public name of the private address are for private clusters."
    if private and profile.get("privateDNSZone") == "none" and not profile.get("enablePrivateClusterPublicFQDN", True):
        yield "BadRequest", "Without a private DNS zone a private cluster needs its public FQDN."
    for given in profile.get("authorizedIPRanges") or []:
        if ip_range(given) is None:
            yield "InvalidAuthorizedIPRanges", f"'{given}' is no valid IP address or CIDR."
    if profile.get("enableVnetIntegration") and not profile.get("subnetId"):
        yield "BadRequest", "API Server VNet Integration in an own network needs the subnet of the API server."


def _network(profile: Mapping[str, Any]) -> Iterator[Problem]:
    cilium = [profile.get(key) == "cilium" for key in ("networkDataplane", "networkPolicy")]
    if any(cilium) and profile.get("networkPlugin") != "azure":
        yield _INVALID, "The Cilium data plane requires the network plugin 'azure'."
    if cilium == [False, True]:
        yield _INVALID, "The network policy 'cilium' requires the network data plane 'cilium'."
    if profile.get("networkPluginMode") == "overlay" and profile.get("networkPlugin") != "azure":
        yield _INVALID, "The network plugin mode 'overlay' requires the network plugin 'azure'."
    ranges = [ip_range(profile[key]) for key in ("podCidr", "serviceCidr") if key in profile]
    if None in ranges:
        yield "InvalidCIDR", "podCidr and serviceCidr are ranges of addresses in CIDR notation."
        return
    pods, services = (*ranges, None, None)[:2]
    if pods is not None and services is not None and pods.overlaps(services):
        yield "ServiceCidrOverlapPodCidr", f"The service range {services} overlaps the pods' range {pods}."
    dns = ip_range(profile.get("dnsServiceIP"))
    if services is not None and dns is not None:
        if not dns.subnet_of(services):
            yield "DnsServiceIpOutOfServiceCidr", f"The DNS service address {dns} is not in {services}."
        elif dns.network_address == services[1]:
            yield "InvalidDnsServiceIp", "The first address of the service range is the API server's own."


def _pools(pools: list[Mapping[str, Any]]) -> Iterator[Problem]:
    if pools and not any(pool.get("mode") == "System" for pool in pools):
        yield "SystemPoolRequired", "A cluster needs at least one node pool of mode 'System'."
    for pool in pools:
        yield from agent_pool({**pool, "agentPoolName": pool.get("name")})


def agent_pool(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, AKS: "Create node pools", "Use the cluster autoscaler", "Use system node pools", "Ephemeral OS
    disks"."""
    name = str(inputs.get("agentPoolName"))
    if not re.fullmatch(r"[a-z][a-z0-9]{0,11}", name):
        message = f"The agent pool name '{name}' is invalid: 1 to 12 lower-case letters and digits, first a letter."
        yield "InvalidParameter", message
    least, most, count = (inputs.get(key) for key in ("minCount", "maxCount", "count"))
    if inputs.get("enableAutoScaling"):
        if least is None or most is None:
            yield "InvalidParameter", "With auto scaling a pool has minCount and maxCount."
        elif not least <= (least if count is None else count) <= most:
            yield "InvalidParameter", f"count {count} is not between minCount {least} and maxCount {most}."
        if inputs.get("mode") == "System" and not least:
            yield "InvalidParameter", "A system pool has at least one node."
    elif least is not None or most is not None:
        yield "InvalidParameter", "minCount and maxCount are for pools with auto scaling."
    cores = re.match(r"Standard_([A-Z]+)(\d+)", str(inputs.get("vmSize", "")))
    if inputs.get("mode") == "System" and cores and (int(cores[2]) < _LEAST_CORES_OF_SYSTEM or cores[1] == "B"):
        yield "InvalidSystemPoolVMSize", f"{inputs['vmSize']} does not fit a system pool."


def maintenance(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Use planned maintenance to schedule and control upgrades for your AKS cluster"."""
    if inputs.get("configName") not in _WINDOWS:
        yield "InvalidParameter", f"A maintenance configuration is one of {', '.join(_WINDOWS)}."
    window, weekly = inputs.get("maintenanceWindow"), inputs.get("timeInWeek")
    if (window is None) == (weekly is None):
        yield "InvalidParameter", "A maintenance configuration has either maintenanceWindow or timeInWeek."
    if weekly is not None and inputs.get("configName") != _OLD_FORM:
        yield "InvalidParameter", "timeInWeek is for the maintenance configuration 'default'."
    schedule = (window or {}).get("schedule") or {}
    if window is not None and len([each for each in schedule.values() if each]) != 1:
        yield "InvalidParameter", "A maintenance window has one schedule: daily, weekly, or one of the monthly ones."
