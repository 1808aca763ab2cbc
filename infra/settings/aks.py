"""What decides on a stack's cluster, with `compute: aks`. Few settings: a profile has the rest."""

from __future__ import annotations

import enum
import ipaddress
import re
from typing import Annotated

from pydantic import Field

from components.azure.aks_limits import check_range, check_version
from components.azure.aks_node_pool import MOST_NODES, NodePool, node_sizes
from infra.settings.fields import Section, Switch, Whole, bounded, checked, described, text

MADE_CERTIFICATE = "gateway-tls"
"""The secret of the certificate that prepare makes where a stack names none."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_VAULT_NAME = r"[0-9A-Za-z-]{1,127}"

Guid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
# Of RFC 6890, and the address of Azure's own platform (Microsoft Learn, "What is IP address 168.63.129.16?").
_NO_CLIENTS = tuple(
    map(ipaddress.IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "168.63.129.16/32"))
)


def _check_range(value: str) -> None:
    words = "IPv4 ranges as in 10.0.0.0/8, with the number of bits behind the /"
    if re.fullmatch(r"[0-9.]+(/[0-9]{1,2})?", value) is None:
        raise ValueError(words)
    try:
        found = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError(str(error) if "host bits" in str(error) else words) from None
    if any(found.subnet_of(each) for each in _NO_CLIENTS):
        raise ValueError(f"{words}, of addresses that a client can have; {value} is reserved")


Ipv4Range = Annotated[str, Field(pattern=r"^[0-9./]+$"), checked(_check_range)]


def _check_address(value: str) -> None:
    words = "an IPv4 address as in 10.8.4.10"
    if re.fullmatch(r"[0-9.]+", value) is None:
        raise ValueError(words)
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        raise ValueError(words) from None
    _check_range(value)


Ipv4Address = Annotated[str, Field(pattern=r"^[0-9.]+$"), checked(_check_address)]


class Generation(enum.StrEnum):
    """Two clusters of a stack that never have a name, a subnet or an address in common."""

    BLUE = "blue"
    GREEN = "green"


_ID = r"/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/[\w().-]{1,90}/providers"


class ExistingClusterSettings(Section):
    """A cluster that somebody else owns. The stack has a namespace in it, and changes nothing of the cluster's own."""

    id: str = text(
        "The cluster, with an OIDC issuer, workload identity, a network policy engine, sign-in and rights by Entra",
        rf"{_ID}/Microsoft\.ContainerService/managedClusters/[A-Za-z0-9_-]{{1,63}}",
        "an id as in /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ContainerService/managedClusters/NAME",
        example="/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-platform/providers/"
        "Microsoft.ContainerService/managedClusters/aks-platform",
    )
    namespace: str | None = text(
        "The namespace, which the stack creates",
        _LABEL,
        "1 to 63 lower-case letters, digits and hyphens",
        example="mlflow-dev",
        otherwise="mlflow-STACK",
        default=None,
    )
    node_range: Ipv4Range = described(
        "The range of the nodes, which is let in to database and private endpoints",
        "an IPv4 range as in 10.8.0.0/22",
        example="10.8.0.0/22",
    )
    gateway_subnet: str = text(
        "The subnet of the cluster's network in which the gateway has its address",
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}",
        "the name of a subnet",
        example="snet-ingress",
    )
    gateway_address: Ipv4Address = described(
        "A free address of that subnet, which the gateway's name points to",
        "an IPv4 address as in 10.8.4.10",
        example="10.8.4.10",
    )
    workspace: str = text(
        "The Log Analytics workspace that gets the cluster's lines and counts, which alerts read",
        rf"{_ID}/Microsoft\.OperationalInsights/workspaces/[A-Za-z0-9-]{{4,63}}",
        "an id as in /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.OperationalInsights/workspaces/NAME",
        example="/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-platform/providers/"
        "Microsoft.OperationalInsights/workspaces/log-platform",
    )


class AksSettings(Section):
    """The cluster of a stack with `compute: aks`, and the gateway's name and certificate in it."""

    kubernetes_version: Annotated[str, checked(check_version)] = described(
        "The minor of Kubernetes. AKS raises its patch by itself; raise the minor about once a year",
        "a minor without a patch, as in 1.36",
        default="1.36",
    )
    generation: Generation = described(
        "Which of two clusters is the stack's. The other one is created beside it, and the previous one goes when the "
        "gateway answers in the new one. With aks.existingCluster: changed together with its id or namespace",
        default=Generation.BLUE,
    )
    node_size: Annotated[str, checked(lambda value: NodePool(name="any", vm_size=value))] = described(
        "Size of the nodes that the services run on", f"one of {', '.join(node_sizes())}", default="Standard_D2ads_v5"
    )
    min_nodes: Whole = bounded("Least number of nodes that the services run on", 1, MOST_NODES, default=2)
    max_nodes: Whole = bounded("Most nodes that the services run on", 1, MOST_NODES, default=3)
    system_nodes: Whole = bounded(
        "Nodes for the cluster's own pods alone; 0 has them on those of the services", 0, 5, default=0
    )
    uptime_sla: Switch = described(
        "The Standard tier, whose API server has an agreed availability; false is the Free tier", default=False
    )
    authorized_ranges: tuple[Annotated[str, checked(check_range)], ...] = described(
        "Public ranges from which the API server is reached. An empty list makes it private: whoever deploys is in the "
        "stack's network or a peer of it",
        "IPv4 ranges as in 198.51.100.7/32",
        example="198.51.100.7/32",
        default=(),
    )
    administrators: tuple[Guid, ...] = described(
        "Entra groups whose members may do everything in the cluster, by their object ids",
        "object ids, lower case",
        example="00000000-0000-0000-0000-000000000000",
        default=(),
    )
    host: str | None = text(
        "The gateway's name. The stack's network and network.clientNetworks resolve it by a private zone",
        rf"{_LABEL}(?:\.{_LABEL})+",
        "a host name of lower-case letters, as in mlflow.example.com",
        example="mlflow.example.com",
        otherwise="mlflow-STACK.internal",
        default=None,
    )
    certificate: str | None = text(
        f"The certificate in the stack's Key Vault for that name. Without it prepare makes `{MADE_CERTIFICATE}`, which "
        "no authority vouches for",
        _VAULT_NAME,
        "the name of a certificate of the vault, 1 to 127 letters, digits and hyphens",
        example="mlflow-example-com",
        default=None,
    )
    existing_cluster: ExistingClusterSettings | None = None

    def namespace(self, own: str) -> str:
        """Return the stack's namespace: `own`, unless it has another one in another owner's cluster."""
        return (self.existing_cluster and self.existing_cluster.namespace) or own
