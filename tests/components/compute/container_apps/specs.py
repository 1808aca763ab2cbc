"""A service's and a job's spec as the platform writes them, for the tests of this backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from components.compute.container_apps.backend import ContainerAppsArgs, ContainerAppsCompute
from components.compute.contract import Ingress, JobSpec, Probe, Probes, Scale, ServiceSpec, WorkloadIdentity
from components.compute.image import Image
from components.mlflow.roles import Role

DIGEST = "sha256:" + "a" * 64
IMAGE = Image(server="registry.azurecr.io", repository="mlflow-platform", digest=DIGEST)
GROUP = "/subscriptions/00000000-0000-0000-0000-00000000cafe/resourceGroups/rg/providers"

NAMES = (*(role.value for role in Role), "tracking-blue", "nightly")

# Azure answers with the identities as an object, which the inputs give as a list.
_ANSWER = {"identity": {"type": "UserAssigned", "userAssignedIdentities": {}}}
COMPUTED = {"azure-native:app:ContainerApp": _ANSWER, "azure-native:app:Job": _ANSWER}
REVISION = {"azure-native:app:ContainerApp": {**_ANSWER, "latestRevisionName": "ca-tracking-dev--0000001"}}
"""What an `up` knows besides, and a preview does not."""


def service(**changes: Any) -> ServiceSpec:
    values: dict[str, Any] = {
        "name": "tracking",
        "role": Role.TRACKING,
        "identity": WorkloadIdentity(name="mlflow-tracking", client_id="c", principal_id="p"),
        "port": 5000,
        "env": {"B": "2", "A": "1"},
        "cpu": 0.5,
        "memory_mib": 1024,
        "spool_mib": 1024,
        "scale": Scale(minimum=1, maximum=3, concurrency=7),
        "probes": Probes(
            startup=Probe(path="/live", period=2, failures=60), live=Probe(path="/live"), ready=Probe(path="/ready")
        ),
        "ingress": Ingress.INTERNAL,
        "grace_seconds": 40,
        "drain_seconds": 4,
    }
    return ServiceSpec(**(values | changes))


def job(env: Mapping[str, pulumi.Input[str]], **changes: Any) -> JobSpec:
    identity = WorkloadIdentity(name="mlflow-prepare", client_id="c", principal_id="p")
    values: dict[str, Any] = {"name": "prepare", "role": Role.PREPARE, "identity": identity, "env": env}
    return JobSpec(**(values | changes))


def compute(**changes: Any) -> ContainerAppsCompute:
    values: dict[str, Any] = {
        "environment_id": f"{GROUP}/Microsoft.App/managedEnvironments/cae",
        "default_domain": "red.westeurope.azurecontainerapps.io",
        "location": "westeurope",
        "resource_group_name": "rg",
        "tags": {"owner": "team"},
        "image": IMAGE,
        "names": {name: f"ca-{name}-dev" for name in NAMES},
        "identity_ids": {
            f"mlflow-{role}": f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/{role}" for role in Role
        },
    }
    return ContainerAppsCompute(ContainerAppsArgs(**(values | changes)))
