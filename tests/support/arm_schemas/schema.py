"""The strict check of an ARM request body against one of the ARM schemas beside the checkout.

It knows exactly the keywords that those schemas use and raises on any other, so that a newer schema cannot pass unread.
`UNKNOWN` stands for a value that only the deployment will bring; it is skipped at its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from delivery.offline_azure.values import UNKNOWN, Json, is_type

Schema = dict[str, Any]

ANNOTATIONS: Final = {"$schema", "$id", "$defs", "x-scopes", "x-name", "x-open-enum", "x-sensitive"}
CHECKED: Final = {
    *("$ref", "type", "properties", "additionalProperties", "items", "enum", "minimum", "maximum", "pattern"),
    *("required", "maxLength", "minLength", "const", "maxItems", "oneOf"),
}


def resolved(schema: Schema, root: Schema) -> Schema:
    """The schema itself, with a reference into the root's definitions followed."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if unread := schema.keys() - ANNOTATIONS - CHECKED:
        raise ValueError(f"schema keywords that are not checked here: {sorted(unread)}")
    return schema


def alternative(schema: Schema, root: Schema, value: Json) -> Schema | None:
    """The branch of a `oneOf` whose constants the value carries, None where it carries none's."""
    if "oneOf" not in schema:
        return schema
    for branch in (resolved(one, root) for one in schema["oneOf"]):
        constants = {key: resolved(of, root).get("const") for key, of in branch["properties"].items()}
        if all(value.get(key) == constant for key, constant in constants.items() if constant is not None):
            return branch
    return None


def violations(value: Json, schema: Schema, root: Schema, path: str = "") -> Iterator[str]:
    """One line `path: what is wrong` per fault of the value, in the order of the value."""
    if value is UNKNOWN:
        return
    at = path or "the body"
    schema = resolved(schema, root)
    if isinstance(value, dict):
        branch = alternative(schema, root, value)
        if branch is None:
            yield f"{at}: carries the discriminator of no known kind"
            return
        schema = branch
    if "type" in schema and not is_type(value, schema["type"]):
        yield f"{at}: {value!r} is not of type {schema['type']}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is not one of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, str):
        yield from _text(value, schema, at)
    elif isinstance(value, dict):
        yield from _object(value, schema, root, path)
    elif isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            yield f"{at}: {len(value)} items, at most {schema['maxItems']} are allowed"
        for index, item in enumerate(value):
            yield from violations(item, schema.get("items", {}), root, f"{path}[{index}]")
    elif is_type(value, "number") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{at}: {value:g} is not within {schema.get('minimum', '')}..{schema.get('maximum', '')}"


def _text(value: str, schema: Schema, at: str) -> Iterator[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", len(value))
    if not least <= len(value) <= most:
        yield f"{at}: {value!r} has {len(value)} characters, {least} to {most} are allowed"
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        yield f"{at}: {value!r} does not match {schema['pattern']}"


def _object(value: dict[str, Json], schema: Schema, root: Schema, path: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    prefix = f"{path}." if path else ""
    for key, item in value.items():
        if key in known:
            yield from violations(item, known[key], root, prefix + key)
        elif others is False:
            yield f"{prefix}{key}: is unknown or read-only"
        elif isinstance(others, dict):
            yield from violations(item, others, root, prefix + key)
    for key in schema.get("required", []):
        if key not in value:
            yield f"{prefix}{key}: is required"
