"""An AKS cluster whose pods have addresses of their own, that Entra alone signs people and programs in to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_azure_native import containerservice as aks

from components.azure import diagnostics
from components.azure.aks_limits import check_range, check_version
from components.azure.aks_node_pool import NodePool
from components.azure.aks_pool_settings import PoolSettings
from components.azure.network_plan import AKS_POD_RANGE, AKS_SERVICE_RANGE
from components.azure.roles import AzureRole, assign

# The name goes into that of the group of nodes, which has at most 80 characters.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,52}[A-Za-z0-9])?")
_DNS_ADDRESS = str(AKS_SERVICE_RANGE[10])
_CLEANING_HOURS = 168

# What tells who changed what and why nodes come and go. Of kube-audit a cluster writes gigabytes a day, most of it
# reads: kube-audit-admin leaves those out.
_LOGS = ("kube-audit-admin", "guard", "cluster-autoscaler", "cloud-controller-manager")


@dataclass(frozen=True, kw_only=True)
class ClusterIdentities:
    """Two user-assigned identities: one that the control plane acts as, one with which nodes pull images.

    Nodes need AcrPull on the registry, and nothing else; the identities of pods pull nothing. `runs_nodes`, plain: who
    created the identities has let the control plane run nodes with the second one.
    """

    control_plane_id: pulumi.Input[str]
    control_plane_principal_id: pulumi.Input[str]
    kubelet_id: pulumi.Input[str]
    kubelet_client_id: pulumi.Input[str]
    kubelet_principal_id: pulumi.Input[str]
    runs_nodes: bool = False


@dataclass(frozen=True, kw_only=True)
class Maintenance:
    """The hour in UTC at which a window of four hours begins, each on another day of the week.

    AKS may change its own parts on Monday, nodes get a new image on Tuesday and the cluster a new patch of its minor on
    Thursday: days on which people are there on the next morning.
    """

    hour: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.hour <= 20:
            raise ValueError(f"Maintenance.hour: got {self.hour}; expected 0 to 20, in UTC. Correct it.")


@dataclass(frozen=True, kw_only=True)
class AksClusterArgs:
    """All but names, location, tags and ids decide which resources exist, or recreate the cluster, and are plain.

    - `cluster_name`: 1 to 54 letters, digits, `_` and `-`. A cluster is replaced by another one beside it: put what
      tells them apart into the name.
    - `kubernetes_version`: a minor as in 1.36. AKS chooses the patch, and raises it in the window of maintenance.
    - `node_subnet_id`, `api_subnet_id`, `ingress_subnet_id`: of `AKS_SUBNETS`; the API server's is delegated to AKS.
    - `system`: the pool of the cluster's own pods, under one name for ever: the cluster is created with it.
    - `workloads`: pools for everything else. With one the system pool takes no other pods; without one it takes all.
    - `beside`: what a person does to get another cluster beside this one, for what AKS does not change in place.
    - `private`: the API server has no public address, and who deploys has to be in the network or a peer of it.
    - `authorized_ranges`: who may call the API server of a public cluster; it cannot be open to all.
    - `nat_gateway`: whether the nodes' subnet has a NAT gateway; without one a load balancer takes calls outwards.
    - `administrators`: object ids of Entra groups whose members may do everything in the cluster.
    - `uptime_sla`: the Standard tier, whose API server has an agreed availability; the Free tier has none.
    """

    location: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    workspace_id: pulumi.Input[str]
    subscription_id: pulumi.Input[str]
    tenant_id: pulumi.Input[str]
    node_subnet_id: pulumi.Input[str]
    api_subnet_id: pulumi.Input[str]
    ingress_subnet_id: pulumi.Input[str]
    identities: ClusterIdentities
    cluster_name: str
    kubernetes_version: str
    system: NodePool
    workloads: Sequence[NodePool] = ()
    beside: str = "Or create a cluster of another name beside it, and move what runs in this one."
    maintenance: Maintenance = Maintenance()
    private: bool = True
    authorized_ranges: Sequence[str] = ()
    nat_gateway: bool = False
    administrators: Sequence[str] = ()
    uptime_sla: bool = True
    protect: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.cluster_name):
            raise ValueError(
                f"cluster_name: got {self.cluster_name!r}; expected 1 to 54 letters, digits, '_' and '-', a letter or "
                "digit at both ends. Choose another."
            )
        check_version(self.kubernetes_version)
        names = [pool.name for pool in (self.system, *self.workloads)]
        if len(set(names)) < len(names):
            raise ValueError(f"workloads: got the names {', '.join(names)}; expected each once. Rename one.")
        if self.private == bool(self.authorized_ranges):
            raise ValueError(
                f"authorized_ranges: got {list(self.authorized_ranges)} with private {self.private}; expected ranges "
                "for a public API server, and none for a private one. Name who deploys, or set private."
            )
        for given in self.authorized_ranges:
            check_range(given)


class AksCluster(pulumi.ComponentResource):
    """A cluster with Cilium over an overlay, workload identity, and no local account.

    It grants the control plane what it needs on the subnets and on the nodes' identity, and nobody else anything: see
    `AzureRole.AKS_CLUSTER_USER` and `AKS_CLUSTER_ADMIN`. It makes no network, identity or registry. What it refuses:
    a public API server without ranges, node sizes that cannot hold their OS disk, patches in the version.

    Azure answers with all pools in the cluster's `agentPoolProfiles`, also those that are resources of their own
    (azure-native issues 2719 and 4264), so that list is the cluster's at its creation alone; `PoolSettings` sets what
    changes later. It refuses another size or other zones of a pool that is there, and to delete one that has nodes.
    `protect` is Pulumi's: a lock of Azure's would also stop the upgrades of pools, and a cluster holds no data.

        cluster = AksCluster("aks", AksClusterArgs(
            cluster_name="aks-shop-dev-blue", kubernetes_version="1.36", location="westeurope",
            resource_group_name=group.name, tags={}, workspace_id=monitoring.workspace_id, tenant_id=tenant_id,
            subscription_id=subscription_id, identities=identities, system=NodePool(name="system"),
            node_subnet_id=network.subnet_ids[SubnetRole.AKS_NODES], ...
        ))

    Sources, Microsoft Learn: "Create a cluster with API Server VNet Integration", "Azure CNI Powered by Cilium", "Use a
    managed identity in AKS", "Automatically upgrade an AKS cluster", "Use planned maintenance", "Node resource group
    lockdown", "Disable SSH access", "Use Image Cleaner", "AKS control plane logs".
    """

    id: pulumi.Output[str]
    name: pulumi.Output[str]
    issuer: pulumi.Output[str]
    """Who signs the tokens of its pods: the issuer of their federated credentials."""

    def __init__(self, name: str, args: AksClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:azure:AksCluster", name, {}, opts)
        rights = self._rights(name, args)
        arguments: dict[str, Any] = {
            "resource_name_": args.cluster_name,
            "location": args.location,
            "resource_group_name": args.resource_group_name,
            "tags": args.tags,
            # Not Automatic: it enforces safeguards of its own and cannot be stopped.
            "sku": aks.ManagedClusterSKUArgs(
                name=aks.ManagedClusterSKUName.BASE,
                tier=aks.ManagedClusterSKUTier.STANDARD if args.uptime_sla else aks.ManagedClusterSKUTier.FREE,
            ),
            "kubernetes_version": args.kubernetes_version,
            "dns_prefix": args.cluster_name,
            "node_resource_group": f"rg-{args.cluster_name}-nodes",
            # What is changed by hand in the nodes' group is undone or breaks the next upgrade.
            "node_resource_group_profile": aks.ManagedClusterNodeResourceGroupProfileArgs(
                restriction_level=aks.RestrictionLevel.READ_ONLY
            ),
            "identity": aks.ManagedClusterIdentityArgs(
                type=aks.ResourceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[args.identities.control_plane_id],
            ),
            "identity_profile": {
                "kubeletidentity": aks.UserAssignedIdentityArgs(
                    resource_id=args.identities.kubelet_id,
                    client_id=args.identities.kubelet_client_id,
                    object_id=args.identities.kubelet_principal_id,
                )
            },
            "enable_rbac": True,
            "disable_local_accounts": True,
            "aad_profile": aks.ManagedClusterAADProfileArgs(
                managed=True,
                enable_azure_rbac=True,
                tenant_id=args.tenant_id,
                admin_group_object_ids=list(args.administrators) or None,
            ),
            "oidc_issuer_profile": aks.ManagedClusterOIDCIssuerProfileArgs(enabled=True),
            "security_profile": aks.ManagedClusterSecurityProfileArgs(
                workload_identity=aks.ManagedClusterSecurityProfileWorkloadIdentityArgs(enabled=True),
                image_cleaner=aks.ManagedClusterSecurityProfileImageCleanerArgs(
                    enabled=True, interval_hours=_CLEANING_HOURS
                ),
            ),
            "api_server_access_profile": _api_server(args),
            "network_profile": _network(args),
            "auto_upgrade_profile": aks.ManagedClusterAutoUpgradeProfileArgs(
                upgrade_channel=aks.UpgradeChannel.PATCH, node_os_upgrade_channel=aks.NodeOSUpgradeChannel.NODE_IMAGE
            ),
            # No volume is mounted: drivers would be privileged pods on every node for nothing.
            "storage_profile": aks.ManagedClusterStorageProfileArgs(
                disk_csi_driver=aks.ManagedClusterStorageProfileDiskCSIDriverArgs(enabled=False),
                file_csi_driver=aks.ManagedClusterStorageProfileFileCSIDriverArgs(enabled=False),
                snapshot_controller=aks.ManagedClusterStorageProfileSnapshotControllerArgs(enabled=False),
            ),
            "addon_profiles": {
                "azurepolicy": aks.ManagedClusterAddonProfileArgs(enabled=True),
                # The agent that `ContainerInsights` tells what to collect; without Entra it would need a shared key.
                "omsagent": aks.ManagedClusterAddonProfileArgs(
                    enabled=True,
                    config={"logAnalyticsWorkspaceResourceID": args.workspace_id, "useAADAuth": "true"},
                ),
            },
            # The Free tier has no cost analysis.
            "metrics_profile": aks.ManagedClusterMetricsProfileArgs(
                cost_analysis=aks.ManagedClusterCostAnalysisArgs(enabled=args.uptime_sla)
            ),
        }
        cluster = aks.ManagedCluster(
            f"{name}-cluster",
            **arguments,
            agent_pool_profiles=[_system_pool(args)],
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                # Hidden edges: without these rights Azure refuses the cluster.
                depends_on=rights,
                # See the class: the list of all pools, also of those below.
                ignore_changes=["agentPoolProfiles"],
            ),
        )
        pools = [_workload_pool(name, pool, cluster, args, self) for pool in args.workloads]
        settled = _settings(name, cluster.id, _fingerprint(arguments), args, self, after=pools)
        _maintain(name, cluster, args, self, after=[settled])
        diagnostics.send(
            f"{name}-logs",
            target_id=cluster.id,
            workspace_id=args.workspace_id,
            parent=self,
            category_groups=(),
            categories=_LOGS,
        )
        self.id = cluster.id
        self.name = cluster.name
        # With the id, which no preview of a new cluster knows: of the profile it knows the input alone, without a URL.
        self.issuer = cluster.id.apply(lambda _: cluster.oidc_issuer_profile.apply(_issuer))
        self.register_outputs({"id": self.id, "name": self.name, "issuer": self.issuer})

    def _rights(self, name: str, args: AksClusterArgs) -> list[pulumi.Resource]:
        """What the control plane needs: addresses and balancers in the subnets, and nodes with their identity."""
        control_plane = args.identities.control_plane_principal_id
        scopes = {
            "nodes": (args.node_subnet_id, AzureRole.NETWORK_CONTRIBUTOR),
            "api": (args.api_subnet_id, AzureRole.NETWORK_CONTRIBUTOR),
            "ingress": (args.ingress_subnet_id, AzureRole.NETWORK_CONTRIBUTOR),
        }
        if not args.identities.runs_nodes:
            scopes["kubelet"] = (args.identities.kubelet_id, AzureRole.MANAGED_IDENTITY_OPERATOR)
        return [
            assign(
                f"{name}-control-plane-{key}",
                scope=scope,
                principal_id=control_plane,
                role=role,
                subscription_id=args.subscription_id,
                parent=self,
            )
            for key, (scope, role) in scopes.items()
        ]


def _issuer(profile: aks.outputs.ManagedClusterOIDCIssuerProfileResponse | None) -> str:
    """Optional in the SDK: a cluster that has its issuer switched off has none."""
    return str(profile and profile.issuer_url)


def _api_server(args: AksClusterArgs) -> aks.ManagedClusterAPIServerAccessProfileArgs:
    """Nodes reach it by a subnet of the network's own; the public name of a private one has its private address."""
    return aks.ManagedClusterAPIServerAccessProfileArgs(
        enable_vnet_integration=True,
        subnet_id=args.api_subnet_id,
        enable_private_cluster=args.private,
        private_dns_zone="none" if args.private else None,
        enable_private_cluster_public_fqdn=True if args.private else None,
        authorized_ip_ranges=None if args.private else list(args.authorized_ranges),
        # Commands by Azure's own API would pass the network by.
        disable_run_command=True,
    )


def _network(args: AksClusterArgs) -> aks.ContainerServiceNetworkProfileArgs:
    return aks.ContainerServiceNetworkProfileArgs(
        network_plugin=aks.NetworkPlugin.AZURE,
        network_plugin_mode=aks.NetworkPluginMode.OVERLAY,
        network_dataplane=aks.NetworkDataplane.CILIUM,
        network_policy=aks.NetworkPolicy.CILIUM,
        pod_cidr=str(AKS_POD_RANGE),
        service_cidr=str(AKS_SERVICE_RANGE),
        dns_service_ip=_DNS_ADDRESS,
        load_balancer_sku=aks.LoadBalancerSku.STANDARD,
        outbound_type=(
            aks.OutboundType.USER_ASSIGNED_NAT_GATEWAY if args.nat_gateway else aks.OutboundType.LOAD_BALANCER
        ),
    )


def _nodes(pool: NodePool, args: AksClusterArgs) -> dict[str, Any]:
    """What every pool is made of, the system's and those of workloads, as the arguments of either."""
    return {
        "type": aks.AgentPoolType.VIRTUAL_MACHINE_SCALE_SETS,
        "vm_size": pool.vm_size,
        "availability_zones": list(pool.zones) or None,
        "count": pool.minimum,
        "min_count": pool.minimum,
        "max_count": pool.maximum,
        "enable_auto_scaling": True,
        "os_type": aks.OSType.LINUX,
        "os_sku": aks.OSSKU.UBUNTU,
        "os_disk_type": aks.OSDiskType.EPHEMERAL,
        "os_disk_size_gb": pool.os_disk_gib,
        "enable_encryption_at_host": True,
        "security_profile": _locked_down(),
        "upgrade_settings": _upgrades(),
        "vnet_subnet_id": args.node_subnet_id,
        "tags": args.tags,
    }


def _system_pool(args: AksClusterArgs) -> aks.ManagedClusterAgentPoolProfileArgs:
    return aks.ManagedClusterAgentPoolProfileArgs(
        name=args.system.name,
        mode=aks.AgentPoolMode.SYSTEM,
        node_taints=_taints(args) or None,
        **_nodes(args.system, args),
    )


def _taints(args: AksClusterArgs) -> list[str]:
    """Of the system pool: no pod goes there but the cluster's own, where there is another pool."""
    return ["CriticalAddonsOnly=true:NoSchedule"] if args.workloads else []


def _fingerprint(arguments: Mapping[str, Any]) -> pulumi.Output[str]:
    """What an update of the cluster changes, in short."""

    def digest(known: Mapping[str, Any]) -> str:
        return hashlib.sha256(json.dumps(known, sort_keys=True, default=vars).encode()).hexdigest()[:16]

    return pulumi.Output.from_input(arguments).apply(digest)


def _settings(
    name: str,
    cluster_id: pulumi.Output[str],
    cluster: pulumi.Output[str],
    args: AksClusterArgs,
    parent: pulumi.Resource,
    *,
    after: Sequence[pulumi.Resource],
) -> PoolSettings:
    """Every pool as it is to be, also after an update of the cluster, which names its pools as they were."""
    taints = {args.system.name: _taints(args)}
    return PoolSettings(
        f"{name}-pools",
        cluster_id=cluster_id,
        cluster=cluster,
        pools=[
            {
                "name": pool.name,
                "minCount": pool.minimum,
                "maxCount": pool.maximum,
                "nodeTaints": taints.get(pool.name, []),
                "vmSize": pool.vm_size,
                "availabilityZones": list(pool.zones),
            }
            for pool in (args.system, *args.workloads)
        ],
        beside=args.beside,
        # Pods have another pool to go to before the system's takes no more of them.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=after),
    )


def _workload_pool(
    name: str, pool: NodePool, cluster: aks.ManagedCluster, args: AksClusterArgs, parent: pulumi.Resource
) -> aks.AgentPool:
    """A pool of its own. No orchestratorVersion: it follows the cluster's, and would show as a change after a patch."""
    return aks.AgentPool(
        f"{name}-pool-{pool.name}",
        agent_pool_name=pool.name,
        resource_name_=cluster.name,
        resource_group_name=args.resource_group_name,
        mode=aks.AgentPoolMode.USER,
        **_nodes(pool, args),
        opts=pulumi.ResourceOptions(
            parent=parent,
            # The autoscaler's, between minimum and maximum.
            ignore_changes=["count"],
            # Azure takes neither in place, and PoolSettings refuses both: a pool goes with its pods.
            replace_on_changes=["vmSize", "osDiskSizeGB", "availabilityZones"],
        ),
    )


def _maintain(
    name: str,
    cluster: aks.ManagedCluster,
    args: AksClusterArgs,
    parent: pulumi.Resource,
    *,
    after: Sequence[pulumi.Resource],
) -> None:
    """When AKS changes itself, its nodes' images and its patch: on three days, so that one cause is looked for."""
    windows = {
        "default": aks.WeekDay.MONDAY,
        "aksManagedNodeOSUpgradeSchedule": aks.WeekDay.TUESDAY,
        "aksManagedAutoUpgradeSchedule": aks.WeekDay.THURSDAY,
    }
    previous = [*after]
    for config, day in windows.items():
        window = aks.MaintenanceConfiguration(
            f"{name}-maintenance-{config}",
            config_name=config,
            resource_name_=cluster.name,
            resource_group_name=args.resource_group_name,
            maintenance_window=aks.MaintenanceWindowArgs(
                duration_hours=4,
                start_time=f"{args.maintenance.hour:02}:00",
                utc_offset="+00:00",
                schedule=aks.ScheduleArgs(weekly=aks.WeeklyScheduleArgs(day_of_week=day, interval_weeks=1)),
            ),
            # One after the other: AKS works on one change of a cluster at a time.
            opts=pulumi.ResourceOptions(parent=parent, depends_on=previous),
        )
        previous = [window]


def _locked_down() -> aks.AgentPoolSecurityProfileArgs:
    return aks.AgentPoolSecurityProfileArgs(ssh_access=aks.AgentPoolSSHAccess.DISABLED)


def _upgrades() -> aks.AgentPoolUpgradeSettingsArgs:
    """A third of the nodes at once. One that cannot be drained is left out, and the rest goes on."""
    return aks.AgentPoolUpgradeSettingsArgs(
        max_surge="33%", drain_timeout_in_minutes=30, undrainable_node_behavior=aks.UndrainableNodeBehavior.CORDON
    )
