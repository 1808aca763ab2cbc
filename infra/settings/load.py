"""The only reader of pulumi.Config, and of what the engine says a stack's configuration is."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret

from infra.settings import bootstrap, secret_texts
from infra.settings.bootstrap import BOOTSTRAP, Bootstrap
from infra.settings.encryption import encrypted as of_file
from infra.settings.model import Settings, parse
from infra.settings.problems import Problems, path

_STACKS = Path(__file__).resolve().parents[2] / "stacks"
_ENGINE, _PROVIDER = "pulumi", "azure-native"
# Whose subscription it is, and who signs in.
_OF_PROVIDER = ("subscriptionId", "tenantId", "clientId", "useOidc", "useMsi", "location")


def load() -> Settings | Bootstrap:
    """Return the settings of the running program's stack. Raises SettingsError."""
    given, project, stack = {**get_config_env(), **CONFIG.get()}, pulumi.get_project(), pulumi.get_stack()
    refuse_foreign(given, project, stack, encrypted=[key for key in given if is_config_secret(key)])
    values = _values(given, project)
    secrets = _secrets(values, stack)
    return parsed(given, project, stack, secrets=secrets, checkout=_checkout())


def refuse_foreign(given: Mapping[str, str], project: str, stack: str, *, encrypted: Collection[str] = ()) -> None:
    """Refuse what the engine passes over in silence: keys of no namespace of the program's, as a misspelt one.

    Of the provider's keys those are refused that send its tokens elsewhere, as azure-native:metadataHost does, and
    secrets in plain, as in azure-native:clientSecret. Raises SettingsError.
    """
    problems = Problems(stack, {})
    for key, value in sorted(given.items()):
        namespace, _, name = key.partition(":")
        remove = f"pulumi config rm {shlex.quote(key)} -s {stack}"
        if namespace in (project, _ENGINE):
            continue
        if secret_texts.names_secret(key):
            if key not in encrypted:
                allowed = "no secret: sign in by `az login`, or by a workflow's federation"
                problems.note(key, "[secret]", allowed, remove)
        elif namespace != _PROVIDER or name not in _OF_PROVIDER:
            shown = "[secret]" if key in encrypted else value
            problems.note(key, shown, f"keys of {project}, and {_PROVIDER}:{' or '.join(_OF_PROVIDER)}", remove)
    problems.finish()


def parsed(
    given: Mapping[str, str], project: str, stack: str, *, secrets: Sequence[str] = (), checkout: str = ""
) -> Settings | Bootstrap:
    """Return the settings of a configuration whose keys have a namespace. Raises SettingsError."""
    values = _values(given, project)
    reader = bootstrap.parse if values.get("profile") == BOOTSTRAP else parse
    return reader(values, stack, secrets=secrets, checkout=checkout)


def _values(given: Mapping[str, str], project: str) -> dict[str, Any]:
    """Return every value of the project's namespace; objects arrive as JSON texts."""
    prefix = f"{project}:"
    return {key.removeprefix(prefix): _decoded(value) for key, value in given.items() if key.startswith(prefix)}


def _decoded(value: str) -> Any:
    if not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _secrets(values: Mapping[str, Any], stack: str) -> list[str]:
    """Return the paths of the values that the stack's file encrypts.

    The engine marks whole keys, also where one value inside an object is encrypted; the file says which.
    """
    marked = [key for key in values if is_config_secret(f"{pulumi.get_project()}:{key}")]
    if not marked:
        return []
    from infra.settings import stack_file

    file = _STACKS / f"Pulumi.{stack}.yaml"
    written = (stack_file.read(file) if file.is_file() else {}).get("config") or {}
    return [
        found
        for key in marked
        for found in [*of_file(written.get(f"{pulumi.get_project()}:{key}"), key)] or [path(key)]
    ]


def _checkout() -> str:
    """Return the repository whose workflow runs the program and could sign in to Azure, empty elsewhere."""
    return os.environ.get("GITHUB_REPOSITORY", "") if "ACTIONS_ID_TOKEN_REQUEST_URL" in os.environ else ""
