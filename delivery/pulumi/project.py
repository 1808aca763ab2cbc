"""The engine's project in a repository: its name, and its own values in the configuration of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def project_name(repository: Path) -> str:
    """Return the project's name, which is the namespace of its values in a stack's file."""
    return str(yaml.safe_load((repository / "Pulumi.yaml").read_text())["name"])


def own_values(document: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Return the project's values in a document with `config`, such as a stack's file, without their namespace.

    Values of a provider, such as `azure-native:subscriptionId`, are not the program's and are left out.
    """
    prefix = f"{project}:"
    config = {str(key): value for key, value in (document.get("config") or {}).items()}
    return {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
