"""A stack's services on AKS: the cluster, the way to it, and where in it they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes

from components.azure.aks_cluster import AksCluster, AksClusterArgs, ClusterIdentities
from components.azure.aks_node_pool import NodePool
from components.azure.cluster_access import ClusterAccess
from components.azure.container_insights import ContainerInsights, ContainerInsightsArgs
from components.azure.existing_cluster import ExistingCluster
from components.azure.federated_subject import FederatedSubject
from components.azure.identity import Identity, IdentityArgs
from components.azure.log_table import LogTable, container_log_v2
from components.azure.network_plan import AKS_SUBNETS, CONTAINER_APPS_SUBNETS, SubnetRole, plan
from components.azure.private_name import PrivateName, PrivateNameArgs
from components.azure.roles import AzureRole
from components.compute.aks.backend import AksCompute, AksComputeArgs
from components.compute.aks.place import Frontend, Place
from components.compute.aks.quantities import Quota, quota_of
from components.compute.contract import Compute
from components.compute.image import Image
from components.mlflow.observability.cluster import Cluster
from components.mlflow.roles import Role
from components.mlflow.topology import GatewayTls, Topology
from infra.azure.data import Data
from infra.azure.foundation import ZONES, Foundation
from infra.naming import Names
from infra.settings.aks import MADE_CERTIFICATE, AksSettings, Generation
from infra.settings.azure import AzureSettings

# Azure keeps the first four addresses of a subnet.
_ADDRESS = {Generation.BLUE: 4, Generation.GREEN: 5}
_API_SUBNET = {Generation.BLUE: SubnetRole.AKS_API, Generation.GREEN: SubnetRole.AKS_API_SECOND}
_SYSTEM = "system"
_TOKEN_COMMAND = ("mlflow-platform", "kubernetes-token")


def gateway_host(azure: AzureSettings, names: Names) -> str:
    """Return the name by which clients call the gateway."""
    return azure.aks.host or names.gateway_host


def gateway_tls(azure: AzureSettings) -> GatewayTls:
    """Return the certificate that the gateway takes TLS with; prepare makes one where the stack names none."""
    named = azure.aks.certificate
    return GatewayTls(secret=named or MADE_CERTIFICATE, made=named is None)


def place(
    azure: AzureSettings,
    names: Names,
    *,
    image: Image,
    tenant_id: pulumi.Input[str],
    quota: Quota,
) -> Place:
    """Return the namespace of a stack, with the gateway's address in the cluster's network. Pure."""
    subnets = plan(azure.network.cidr, CONTAINER_APPS_SUBNETS).subnets
    existing = azure.aks.existing_cluster
    return Place(
        namespace=azure.aks.namespace(names.namespace),
        image=image,
        tenant_id=tenant_id,
        database=str(subnets[SubnetRole.POSTGRES]),
        stores=str(subnets[SubnetRole.PRIVATE_ENDPOINTS]),
        frontend=Frontend(
            host=gateway_host(azure, names),
            address=_address(azure),
            subnet=existing.gateway_subnet if existing else SubnetRole.AKS_INGRESS.value,
            clients=azure.network.client_ranges,
        ),
        quota=quota,
    )


class Aks:
    """The kind of stack that runs in a cluster: one of its own, or one of another owner."""

    def subnets(self, azure: AzureSettings) -> Mapping[SubnetRole, int]:
        return CONTAINER_APPS_SUBNETS if azure.aks.existing_cluster else AKS_SUBNETS

    def logs(self, azure: AzureSettings, names: Names) -> LogTable:
        return container_log_v2(azure.aks.namespace(names.namespace))

    def cluster(self, azure: AzureSettings, names: Names) -> Cluster:
        # Nodes of another owner's are not the stack's to count.
        of_stack = [] if azure.aks.existing_cluster else pools(azure)
        growing = {pool.name: pool.maximum for pool in of_stack if pool.maximum > pool.minimum}
        return Cluster(namespace=azure.aks.namespace(names.namespace), most_nodes=growing)

    def create_place(self, base: Foundation, azure: AzureSettings) -> ClusterPlace:
        existing = azure.aks.existing_cluster
        return self._create_cluster(base, azure) if existing is None else self._look_up(base, azure, existing.id)

    def _look_up(self, base: Foundation, azure: AzureSettings, cluster_id: str) -> ClusterPlace:
        name, beside = cluster_id.rsplit("/", 1)[-1], _other_generation(base.names.stack, azure.aks)
        # The names of stacks that had no other generation: with others all of it would be created a second time.
        word = "" if azure.aks.generation is Generation.BLUE else azure.aks.generation.value
        key = f"existing-{word}" if word else "existing"
        cluster = ExistingCluster(
            "existing",
            cluster_id=cluster_id,
            namespace=azure.aks.namespace(base.names.namespace),
            networks=azure.network.client_networks,
            generation=word,
            beside=beside,
        )
        return ClusterPlace(
            base=base,
            azure=azure,
            cluster=cluster,
            cluster_id=cluster_id,
            name=name,
            issuer=cluster.issuer,
            pulls=cluster,
            key=key,
            # Two owners can have clusters of one name.
            credentials=key if word else name,
            beside=beside,
            grants=((cluster, AzureRole.ACR_PULL),),
            # Those in its cluster are its owner's to give.
            deploy_roles=(),
            preview_roles=(),
        )

    def _create_cluster(self, base: Foundation, azure: AzureSettings) -> ClusterPlace:
        # Of both: deploy may then grant the other one its roles, too, without an administrator.
        controls = [_identity(base, azure, "control", generation) for generation in Generation]
        control = controls[[*Generation].index(azure.aks.generation)]
        nodes = _identity(base, azure, "nodes")
        cluster = AksCluster(f"aks-{azure.aks.generation}", _cluster(base, azure, control, nodes))
        ContainerInsights(
            f"insights-{azure.aks.generation}",
            ContainerInsightsArgs(
                rule_name=f"dcr-{base.names.cluster(azure.aks.generation)}",
                location=base.location,
                resource_group_name=base.group,
                tags=base.tags,
                workspace_id=base.monitoring.workspace_id,
                cluster_id=cluster.id,
                namespaces=[base.names.namespace],
            ),
        )
        return ClusterPlace(
            base=base,
            azure=azure,
            cluster=cluster,
            cluster_id=cluster.id,
            name=base.names.cluster(azure.aks.generation),
            issuer=cluster.issuer,
            pulls=nodes,
            key=azure.aks.generation.value,
            credentials=base.names.cluster(azure.aks.generation),
            grants=(
                (nodes, AzureRole.ACR_PULL),
                *((control, AzureRole.NETWORK_CONTRIBUTOR) for control in controls),
                *((control, AzureRole.MANAGED_IDENTITY_OPERATOR) for control in controls),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class ClusterPlace:
    """A cluster, its `name` and `issuer`, and what `pulls` images to its nodes.

    `key` tells the resources in it from those in another one, and `credentials` those by which its pods sign in.
    `grants` are the roles that an `up` gives its identities. `beside` is what a person does before `key` may stand for
    another cluster; empty where it cannot.
    """

    base: Foundation
    azure: AzureSettings
    cluster: pulumi.Resource
    cluster_id: pulumi.Input[str]
    name: str
    issuer: pulumi.Output[str]
    pulls: Identity | ExistingCluster
    key: str
    credentials: str
    beside: str = ""
    grants: Sequence[tuple[Identity | ExistingCluster, AzureRole]] = ()
    # Contributor signs in to the cluster too.
    deploy_roles: Sequence[AzureRole] = (AzureRole.AKS_CLUSTER_ADMIN,)
    preview_roles: Sequence[AzureRole] = (AzureRole.AKS_CLUSTER_USER, AzureRole.AKS_READER)

    @property
    def gateway_host(self) -> pulumi.Input[str]:
        return gateway_host(self.azure, self.base.names)

    @property
    def gateway_tls(self) -> GatewayTls | None:
        return gateway_tls(self.azure)

    def outputs(self) -> dict[str, pulumi.Input[str]]:
        return {"cluster": self.name, "gateway_address": _address(self.azure)}

    def publish(self, url: pulumi.Output[str]) -> None:
        base, address = self.base, _address(self.azure)
        PrivateName(
            "gateway-name",
            PrivateNameArgs(
                host=gateway_host(self.azure, base.names),
                # With the url, behind which somebody answers: another generation's address is given to nobody before.
                address=url.apply(lambda _: address),
                network_id=base.network.network_id,
                resource_group_name=base.group,
                tags=base.tags,
                client_networks=self.azure.network.clients_by_name,
            ),
        )

    def backend(self, data: Data, image: Image, services: Topology, requires: Sequence[pulumi.Resource]) -> Compute:
        base, azure = self.base, self.azure
        here = place(
            azure,
            base.names,
            image=image,
            tenant_id=base.tenant_id,
            quota=quota_of(services.sizes.values(), [services.prepare()]),
        )
        access = ClusterAccess(
            f"access-{self.key}",
            cluster_id=self.cluster_id,
            issuer=self.issuer,
            namespace=here.namespace,
            ranges=azure.aks.authorized_ranges,
            beside=self.beside,
            # Pools and windows of maintenance too: AKS works on one change of a cluster at a time.
            opts=pulumi.ResourceOptions(depends_on=[self.cluster]),
        )
        provider = pulumi_kubernetes.Provider(
            f"cluster-{self.key}",
            kubeconfig=access.kubeconfig(_TOKEN_COMMAND),
            # By it, and not by its address, another cluster is known to be another one.
            cluster_identifier=f"{base.names.stack}-{self.key}",
            enable_server_side_apply=True,
            opts=pulumi.ResourceOptions(depends_on=[access]),
        )
        federated = [self._federate(role, here.namespace) for role in Role]
        return AksCompute(
            "compute",
            AksComputeArgs(
                provider=provider,
                server=access.server,
                authority=access.authority,
                place=here,
                generation=self.key,
                # Hidden edges: what pods sign in with, pull by and read over; at a destroy all of it outlives them.
                requires=[access, self.cluster, *federated, *requires, *data.endpoints],
            ),
        )

    def _federate(self, role: Role, namespace: str) -> pulumi.Resource:
        """Let the pods of a role act as its identity."""
        return self.base.identities[role].federate(
            FederatedSubject.service_account(
                issuer=self.issuer,
                namespace=namespace,
                account=role.value,
                cluster=self.credentials,
            )
        )


def _address(azure: AzureSettings) -> str:
    """The gateway's, which is known before the load balancer is there."""
    if azure.aks.existing_cluster is not None:
        return azure.aks.existing_cluster.gateway_address
    ingress = plan(azure.network.cidr, AKS_SUBNETS).subnets[SubnetRole.AKS_INGRESS]
    return str(ingress[_ADDRESS[azure.aks.generation]])


def _identity(base: Foundation, azure: AzureSettings, *purpose: str) -> Identity:
    bootstrapped = azure.bootstrapped_by is not None
    return Identity(
        "-".join(["identity-cluster", *purpose]),
        IdentityArgs(
            identity_name=base.names.cluster_identity(*purpose),
            location=base.location,
            resource_group_name=base.names.identity_group if bootstrapped else base.group,
            tags=base.tags,
            exists=bootstrapped,
            subscription_id=base.subscription_id,
        ),
    )


def pools(azure: AzureSettings) -> Sequence[NodePool]:
    """Return the pools of the cluster, the one with its own pods first. Pure."""
    chosen, zones = azure.aks, ZONES if azure.zone_redundant else ()
    # The system's has one name in any case: a living cluster can then get a pool for the services, too.
    services = NodePool(
        name="services" if chosen.system_nodes else _SYSTEM,
        vm_size=chosen.node_size,
        minimum=chosen.min_nodes,
        maximum=chosen.max_nodes,
        zones=zones,
    )
    if chosen.system_nodes == 0:
        return (services,)
    own = NodePool(name=_SYSTEM, minimum=chosen.system_nodes, maximum=chosen.system_nodes + 1, zones=zones)
    return own, services


def _cluster(base: Foundation, azure: AzureSettings, control: Identity, nodes: Identity) -> AksClusterArgs:
    chosen = azure.aks
    system, *workloads = pools(azure)
    return AksClusterArgs(
        cluster_name=base.names.cluster(chosen.generation),
        kubernetes_version=chosen.kubernetes_version,
        location=base.location,
        resource_group_name=base.group,
        tags=base.tags,
        workspace_id=base.monitoring.workspace_id,
        subscription_id=base.subscription_id,
        tenant_id=base.tenant_id,
        node_subnet_id=base.network.subnet_ids[SubnetRole.AKS_NODES],
        api_subnet_id=base.network.subnet_ids[_API_SUBNET[chosen.generation]],
        ingress_subnet_id=base.network.subnet_ids[SubnetRole.AKS_INGRESS],
        identities=ClusterIdentities(
            control_plane_id=control.id,
            control_plane_principal_id=control.principal_id,
            kubelet_id=nodes.id,
            kubelet_client_id=nodes.client_id,
            kubelet_principal_id=nodes.principal_id,
            runs_nodes=azure.bootstrapped_by is not None,
        ),
        system=system,
        workloads=workloads,
        beside=_beside(base.names.stack, chosen),
        private=not chosen.authorized_ranges,
        authorized_ranges=chosen.authorized_ranges,
        nat_gateway=azure.network.fixed_outbound_address,
        administrators=chosen.administrators,
        uptime_sla=chosen.uptime_sla,
        protect=azure.protect,
    )


def _other_generation(stack: str, chosen: AksSettings) -> str:
    other = next(each for each in Generation if each is not chosen.generation)
    return f"Run: pulumi config set --path aks.generation {other} -s {stack}"


def _beside(stack: str, chosen: AksSettings) -> str:
    size = NodePool(name=_SYSTEM).vm_size
    # The pool of a cluster without nodes for the system would become theirs.
    why = "" if chosen.node_size == size else f"aks.systemNodes above 0 has pool {_SYSTEM} of nodes of size {size}. "
    return f"{why}Or have another cluster beside this one. {_other_generation(stack, chosen)}"
