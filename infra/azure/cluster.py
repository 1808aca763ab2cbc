"""Where in a cluster a stack's services run, from its settings. Pure: what Azure chooses is given."""

from __future__ import annotations

import pulumi

from components.azure.network_plan import AKS_SUBNETS, SubnetRole, plan
from components.compute.aks.place import Frontend, Place
from components.compute.aks.quantities import Quota
from components.compute.image import Image
from infra.naming import Names
from infra.settings.azure import AzureSettings

# Azure keeps the first four addresses of a subnet.
_FIRST_ADDRESS = 4


def place(
    azure: AzureSettings,
    names: Names,
    *,
    image: Image,
    tenant_id: pulumi.Input[str],
    quota: Quota,
) -> Place:
    """Return the namespace of a stack, with the gateway's address in the stack's network."""
    subnets = plan(azure.network.cidr, AKS_SUBNETS).subnets
    return Place(
        namespace=names.namespace,
        image=image,
        tenant_id=tenant_id,
        database=str(subnets[SubnetRole.POSTGRES]),
        stores=str(subnets[SubnetRole.PRIVATE_ENDPOINTS]),
        frontend=Frontend(
            host=names.gateway_host,
            address=str(subnets[SubnetRole.AKS_INGRESS][_FIRST_ADDRESS]),
            subnet=SubnetRole.AKS_INGRESS.value,
            clients=azure.network.client_ranges,
        ),
        quota=quota,
    )
