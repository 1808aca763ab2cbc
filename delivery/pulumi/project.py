"""The engine's project in a repository: its name, and its own values in the configuration of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from delivery.outcome import reported
from infra.settings import stack_file
from infra.settings.stack_file import StackFileError


def project_name(repository: Path) -> str:
    """Return the project's name, which is the namespace of its values in a stack's file."""
    return named((repository / "Pulumi.yaml").read_bytes())


def named(content: bytes) -> str:
    """Return the name in the content of a Pulumi.yaml."""
    return str(yaml.safe_load(content)["name"])


def stack_document(repository: Path, stack: str) -> dict[str, Any]:
    """Return what a stack's file in a repository says. Raises CommandError for one that the engine could not read."""
    with reported(StackFileError):
        return stack_file.read(repository / "stacks" / f"Pulumi.{stack}.yaml")


def own_values(document: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Return the project's values in a document with `config`, such as a stack's file, without their namespace.

    A key without a namespace is the project's, as the engine reads it. Values of a provider, such as
    `azure-native:subscriptionId`, are not the program's and are left out.
    """
    config: Mapping[str, Any] = document.get("config") or {}
    return {
        key.removeprefix(f"{project}:"): value
        for key, value in config.items()
        if ":" not in key or key.startswith(f"{project}:")
    }
