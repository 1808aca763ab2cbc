"""The graphs of the product's own Azure stacks, as their files in stacks/ describe them, recorded without an engine."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import yaml

from tests.support import recorder
from tests.support.recorder import Graph

REPOSITORY = Path(__file__).parents[2]
PROJECT = "mlflow-platform"
STACKS = ("dev", "staging", "prod")
DIGEST = "sha256:" + "0123456789abcdef" * 4
"""Of no image: the stacks' files name none until one was published."""

_CLIENT = {
    "clientId": "00000000-0000-0000-0000-0000000000c1",
    "objectId": "00000000-0000-0000-0000-0000000000c2",
    "subscriptionId": recorder.SUBSCRIPTION_ID,
    "tenantId": recorder.TENANT_ID,
}
# What Azure computes and the program reads, by type.
_COMPUTED: Mapping[str, Mapping[str, Any]] = {
    "azure-native:app:ManagedEnvironment": {
        "defaultDomain": "calm-1.westeurope.azurecontainerapps.io",
        "staticIp": "10.40.0.70",
    },
    "azure-native:app:ContainerApp": {"latestRevisionName": "revision--1"},
    "azure-native:containerregistry:Registry": {"loginServer": "registry.azurecr.io"},
    "azure-native:dbforpostgresql:Server": {"fullyQualifiedDomainName": "server.postgres.database.azure.com"},
    "azure-native:network:PublicIPAddress": {"ipAddress": "20.0.0.2"},
    "pulumi-python:dynamic/aks:ExistingCluster": {
        "issuer": "https://issuer.example/1/",
        "principal_id": "00000000-0000-0000-0000-0000000000c3",
    },
}


def waived(rule: str) -> dict[str, dict[str, str]]:
    """A waiver of a guardrail, as a stack's file has it."""
    until = datetime.now(UTC).date() + timedelta(days=30)
    return {rule: {"owner": "ml-platform", "reason": "a maintenance of a day, by two people", "expires": str(until)}}


def configuration(stack: str, **values: Any) -> dict[str, Any]:
    """The values of a stack's file with an image in it, and with others in their place where given.

    The bootstrap stack runs no image.
    """
    written = copy.deepcopy(_written(stack))
    image = {} if written["profile"] == "bootstrap" else {"image": {"digest": DIGEST}}
    return {**written, **image, **values}


@cache
def _written(stack: str) -> dict[str, Any]:
    """The project's values in a stack's file, read once: each test gets a copy."""
    document = yaml.safe_load((REPOSITORY / "stacks" / f"Pulumi.{stack}.yaml").read_text())
    return {key.removeprefix(f"{PROJECT}:"): value for key, value in document["config"].items()}


def graph(stack: str, *, preview: bool = False, **values: Any) -> Graph:
    """What the program registers for a stack."""
    return _recorded(stack, preview, json.dumps(configuration(stack, **values), default=str))


def configured(written: Mapping[str, Any]) -> dict[str, str]:
    """Values of a stack's file as the engine hands them on: texts, objects as JSON."""
    return {
        f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in written.items()
    }


def program(written: Mapping[str, Any]) -> Callable[[], None]:
    """The product's program with the values of a stack's file."""
    from infra.program import main

    def run() -> None:
        pulumi.runtime.set_all_config(configured(written))
        main()

    return run


@cache
def _recorded(stack: str, preview: bool, values: str) -> Graph:
    return recorder.record(
        program(json.loads(values)),
        preview=preview,
        computed=_COMPUTED,
        lookups={"azure-native:authorization:getClientConfig": _CLIENT},
        project=PROJECT,
        stack=stack,
    )


HUB = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-platform/providers"
ANOTHER_OWNERS = {
    "id": f"{HUB}/Microsoft.ContainerService/managedClusters/aks-platform",
    "namespace": "team-mlflow",
    "nodeRange": "10.8.0.0/22",
    "gatewaySubnet": "snet-ingress",
    "gatewayAddress": "10.8.4.10",
    "workspace": f"{HUB}/Microsoft.OperationalInsights/workspaces/log-platform",
}
PEER = f"{HUB}/Microsoft.Network/virtualNetworks/vnet-platform"
