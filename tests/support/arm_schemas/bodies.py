"""From the inputs of an azure-native resource to its ARM body, and what is wrong with that body.

Driven by ../shared/arm-schemas, which stays beside the checkout: `AVAILABLE` is False where it is absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from delivery.offline_azure.values import UNKNOWN, Json, known
from tests.support.arm_schemas import schema as strict
from tests.support.arm_schemas.schema import Schema

FOLDER: Final = Path(__file__).resolve().parents[3].parent / "shared" / "arm-schemas"
AVAILABLE: Final = FOLDER.is_dir()

# What a path argument names is in the address of the request, not in its body.
SCOPES: Final = {"resourceGroupName", "scope", "resourceUri"}
# These take their own name under another argument than the last of their path arguments.
NAME_ARGUMENTS: Final = {
    "azure-native:dbforpostgresql:AdministratorsMicrosoftEntra": "objectId",
    "azure-native:authorization:RoleDefinition": "roleDefinitionId",
    "azure-native:monitor:DiagnosticSetting": "name",
}

# Renames that the table beside the checkout lacks: Microsoft.Storage's VirtualNetworkRule and IPRule
# (https://learn.microsoft.com/azure/templates/microsoft.storage/storageaccounts#networkruleset-objects).
_MORE_RENAMES: Final = {
    "azure-native:storage:StorageAccount": {
        "networkRuleSet.virtualNetworkRules[].virtualNetworkResourceId": "networkAcls.virtualNetworkRules[].id",
        "networkRuleSet.ipRules[].iPAddressOrRange": "networkAcls.ipRules[].value",
    }
}


@cache
def table() -> dict[str, dict[str, Any]]:
    """The azure-native types that have a schema, each with its row of pulumi_to_arm.json."""
    if not AVAILABLE:
        return {}
    rows: dict[str, dict[str, Any]] = json.loads((FOLDER / "pulumi_to_arm.json").read_text())
    for type_token, renames in _MORE_RENAMES.items():
        rows[type_token]["renames"] |= renames
    return rows


@cache
def root_schema(type_token: str) -> Schema:
    row = table()[type_token]
    index = json.loads((FOLDER / "index.json").read_text())
    loaded: Schema = json.loads((FOLDER / index[f"{row['armType']}@{row['apiVersion']}"]["schema"]).read_text())
    return loaded


def name_argument(type_token: str) -> str:
    """The input that holds the resource's own name, e.g. `accountName`."""
    named = [argument for argument in table()[type_token]["pathArgs"] if argument not in SCOPES]
    return NAME_ARGUMENTS.get(type_token) or (named[-1] if named else "resourceGroupName")


def body(type_token: str, inputs: Mapping[str, Any]) -> dict[str, Json]:
    """The ARM body that the provider sends for these inputs; a key that the schema has no place for stays where it is.

    A resource without a name of its own gets an unknown one, as the provider makes it up.
    """
    row, root = table()[type_token], root_schema(type_token)
    given = known(inputs)
    name = given.get(name_argument(type_token), UNKNOWN)
    addressed = {*row["pathArgs"], name_argument(type_token)}
    sent = {key: value for key, value in given.items() if key not in addressed}
    translated = _translated(sent, strict.resolved(root, root), root, row["renames"], "")
    return {"name": name, **translated}


def violations(type_token: str, inputs: Mapping[str, Any]) -> list[str]:
    """What ARM would refuse in a resource with these inputs, path by path; empty when it is accepted."""
    root = root_schema(type_token)
    return list(strict.violations(body(type_token, inputs), root, root))


def _translated(value: Json, schema: Schema, root: Schema, renames: Mapping[str, str], path: str) -> Json:
    schema = strict.resolved(schema, root)
    if isinstance(value, list):
        if "additionalProperties" in schema and all(isinstance(item, str) or item is UNKNOWN for item in value):
            # The provider takes user-assigned identities as a list of IDs, ARM as an object with one key per ID.
            return UNKNOWN if UNKNOWN in value else {item: {} for item in value}
        return [_translated(item, schema.get("items", {}), root, renames, f"{path}[]") for item in value]
    if not isinstance(value, dict):
        return value
    value = {_renamed(key, f"{path}.{key}" if path else key, renames): (key, item) for key, item in value.items()}
    schema = strict.alternative(schema, root, {key: item for key, (_, item) in value.items()}) or schema
    here = schema.get("properties", {})
    below = strict.resolved(here["properties"], root).get("properties", {}) if "properties" in here else {}
    result: dict[str, Json] = {}
    for key, (given, item) in value.items():
        inside = key not in here and key in below
        its_schema = below[key] if inside else here.get(key, _of_others(schema))
        moved = _translated(item, its_schema, root, renames, f"{path}.{given}" if path else given)
        if inside:
            result.setdefault("properties", {})[key] = moved
        else:
            result[key] = moved
    return result


def _of_others(schema: Schema) -> Schema:
    others = schema.get("additionalProperties", {})
    return others if isinstance(others, dict) else {}


def _renamed(key: str, path: str, renames: Mapping[str, str]) -> str:
    if destination := renames.get(path):
        quoted = re.search(r"\['([^']+)'\]$", destination)
        return quoted.group(1) if quoted else destination.rsplit(".", 1)[-1]
    parent, _, _ = path.rpartition(".")
    if f"{parent}.*" in renames:
        return re.sub(r"[A-Z]", lambda capital: f"-{capital.group().lower()}", key)
    return key
