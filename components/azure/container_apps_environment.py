"""The Container Apps environment: the boundary in which the services find each other, inside the virtual network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_azure_native import app

from components.azure import diagnostics
from components.azure.private_name import create_zone

CONSUMPTION_PROFILE = "Consumption"
"""The workload profile that every environment has, paid by use."""

# Azure Monitor takes the logs by a diagnostic setting. The other way, naming the workspace in the environment, would
# need the workspace's shared key.
_LOGS_DESTINATION = "azure-monitor"


@dataclass(frozen=True, kw_only=True)
class ContainerAppsEnvironmentArgs:
    """`subnet_id` is a subnet of /27 or larger, delegated to Microsoft.App/environments, that nothing else uses.

    Plain values decide on resources or cannot be changed later: `internal` keeps the ingress inside the virtual
    network, where `network_id` is then linked to a private zone with the environment's names, and so is each of
    `client_networks`, ids of other networks by a short name; `zone_redundant` spreads replicas over zones. Changing
    `internal`, `zone_redundant` or the subnet replaces the environment and every app in it.
    """

    environment_name: str
    location: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    subnet_id: pulumi.Input[str]
    network_id: pulumi.Input[str]
    workspace_id: pulumi.Input[str]
    internal: bool = True
    client_networks: Mapping[str, str] = field(default_factory=dict)
    zone_redundant: bool = False


class ContainerAppsEnvironment(pulumi.ComponentResource):
    """An environment with workload profiles in a virtual network, for `ContainerAppsCompute`.

    Traffic between apps is encrypted. Logs go to the workspace without its shared key, which the environment therefore
    never knows. An internal one is closed to public traffic and comes with the private zone by which the network finds
    its apps; who wants it reachable from the internet says `internal=False`.

        environment = ContainerAppsEnvironment("apps", ContainerAppsEnvironmentArgs(
            environment_name="cae-shop-dev", location="westeurope", resource_group_name=group.name, tags={},
            subnet_id=network.subnet_ids[SubnetRole.CONTAINER_APPS], network_id=network.network_id,
            workspace_id=monitoring.workspace_id,
        ))
        compute = ContainerAppsCompute(ContainerAppsArgs(environment_id=environment.id, ...))

    Sources, Microsoft Learn: "Networking in Azure Container Apps environment", "Reliability in Azure Container Apps",
    "Log storage and monitoring options in Azure Container Apps".
    """

    id: pulumi.Output[str]
    default_domain: pulumi.Output[str]
    static_ip: pulumi.Output[str]

    def __init__(
        self, name: str, args: ContainerAppsEnvironmentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow:compute:ContainerAppsEnvironment", name, {}, opts)
        access = app.PublicNetworkAccess.DISABLED if args.internal else app.PublicNetworkAccess.ENABLED
        environment = app.ManagedEnvironment(
            f"{name}-environment",
            environment_name=args.environment_name,
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            vnet_configuration=app.VnetConfigurationArgs(
                infrastructure_subnet_id=args.subnet_id, internal=args.internal
            ),
            public_network_access=access,
            workload_profiles=[
                app.WorkloadProfileArgs(name=CONSUMPTION_PROFILE, workload_profile_type=CONSUMPTION_PROFILE)
            ],
            zone_redundant=args.zone_redundant,
            peer_traffic_configuration=app.ManagedEnvironmentPeerTrafficConfigurationArgs(
                encryption=app.ManagedEnvironmentEncryptionArgs(enabled=True)
            ),
            app_logs_configuration=app.AppLogsConfigurationArgs(destination=_LOGS_DESTINATION),
            opts=pulumi.ResourceOptions(
                parent=self,
                # Azure refuses to change them, and the provider would try; the name is free for another one only then.
                replace_on_changes=["vnetConfiguration"],
                delete_before_replace=True,
            ),
        )
        diagnostics.send(f"{name}-logs", target_id=environment.id, workspace_id=args.workspace_id, parent=self)
        self.id, self.default_domain, self.static_ip = (
            environment.id,
            environment.default_domain,
            environment.static_ip,
        )
        if args.internal:
            # Names of an internal environment are in no public DNS.
            create_zone(
                f"{name}-zone",
                self.default_domain,
                record=("apps", "*"),
                address=self.static_ip,
                network_id=args.network_id,
                resource_group_name=args.resource_group_name,
                tags=args.tags,
                client_networks=args.client_networks,
                parent=self,
            )
        self.register_outputs({"id": self.id, "default_domain": self.default_domain, "static_ip": self.static_ip})
