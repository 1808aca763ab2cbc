"""The only reader of pulumi.Config."""

from __future__ import annotations

import json
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from infra.settings.model import Settings, parse


def load() -> Settings:
    """Return the settings of the running program's stack. Raises SettingsError."""
    return parse(_configuration(), pulumi.get_stack())


def _configuration() -> dict[str, Any]:
    """Return every value of the project's namespace; objects arrive as JSON texts."""
    prefix = f"{pulumi.get_project()}:"
    values = {
        key.removeprefix(prefix): value
        for key, value in {**get_config_env(), **CONFIG.get()}.items()
        if key.startswith(prefix)
    }
    return {key: _decoded(value) for key, value in values.items()}


def _decoded(value: str) -> Any:
    if not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
