"""Every type of resource that the platform makes on Azure is priced, or known to be free."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pulumi

from delivery.cost.catalogue import FREE, RULES

REPOSITORY = Path(__file__).resolve().parents[3]
SOURCES = ("components/azure", "components/compute/container_apps", "components/mlflow", "infra")
NAMESPACE = "pulumi_azure_native"


def made() -> set[str]:
    """The tokens of all classes of resources that are called as `module.Class(…)`, with a module of azure-native."""
    calls: set[tuple[str, str]] = set()
    for source in SOURCES:
        for file in (REPOSITORY / source).rglob("*.py"):
            tree = ast.parse(file.read_text())
            modules = {
                alias.name
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module == NAMESPACE
                for alias in node.names
            }
            calls |= {
                (node.func.value.id, node.func.attr)
                for node in ast.walk(tree)
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in modules
            }
    return {f"azure-native:{module}:{name}" for module, name in calls if resource(module, name)}


def resource(module: str, name: str) -> bool:
    found = getattr(importlib.import_module(f"{NAMESPACE}.{module}"), name)
    return isinstance(found, type) and issubclass(found, pulumi.CustomResource)


def test_no_resource_of_the_platform_is_without_a_price() -> None:
    types = made()
    assert "azure-native:dbforpostgresql:Server" in types
    assert len(types) > 20
    assert types <= RULES.keys() | FREE.keys()
