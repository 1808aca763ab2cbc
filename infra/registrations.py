"""What a subscription has to have registered before an `up`: resource providers, and features of theirs.

Azure registers Microsoft.Authorization and Microsoft.Resources by itself. The test of this table compares it with what
the program registers; what no resource shows is named with its source.

Sources, Microsoft Learn: "Azure resource providers and types", "Host-based encryption on AKS" (the feature),
"Understand Azure Policy for Kubernetes clusters" (PolicyInsights), "Alerts - Get All" (AlertsManagement, which a
promotion's gates read).
"""

from __future__ import annotations

from collections.abc import Sequence

from infra.settings.profiles import ComputeKind

_EVERYWHERE = (
    "AlertsManagement",
    "Consumption",
    "ContainerRegistry",
    "DBforPostgreSQL",
    "Insights",
    "KeyVault",
    "ManagedIdentity",
    "Network",
    "OperationalInsights",
    "Storage",
)
_OF_COMPUTE = {
    ComputeKind.CONTAINER_APPS: ("App",),
    ComputeKind.AKS: ("Compute", "ContainerService", "PolicyInsights"),
}


def providers(compute: ComputeKind, *, existing_cluster: bool = False) -> Sequence[str]:
    """Return the resource providers of a stack with this kind of compute, in alphabetical order.

    `existing_cluster`: the cluster is another owner's, who has registered what its creation takes.
    """
    of_compute = () if existing_cluster else _OF_COMPUTE[compute]
    return sorted(f"Microsoft.{name}" for name in (*_EVERYWHERE, *of_compute))


def features(compute: ComputeKind, *, existing_cluster: bool = False) -> Sequence[str]:
    """Return the features, each as PROVIDER/NAME."""
    return ("Microsoft.Compute/EncryptionAtHost",) if compute is ComputeKind.AKS and not existing_cluster else ()
