"""A place in a cluster, for the tests of this backend."""

from __future__ import annotations

from typing import Any

from components.compute.aks.place import Frontend, Place
from components.compute.aks.quantities import Quota
from tests.components.compute.container_apps.specs import IMAGE

FRONTEND = Frontend(
    host="mlflow.example.com", address="10.40.0.196", subnet="aks-ingress", clients=("10.9.0.0/24", "10.10.0.0/16")
)


def place(**changes: Any) -> Place:
    values: dict[str, Any] = {
        "namespace": "mlflow-dev",
        "image": IMAGE,
        "tenant_id": "00000000-0000-0000-0000-000000000001",
        "database": "10.40.0.0/28",
        "stores": "10.40.0.32/27",
        "frontend": FRONTEND,
        "quota": Quota(cpu=4, memory_mib=8192, pods=12),
    }
    return Place(**(values | changes))
