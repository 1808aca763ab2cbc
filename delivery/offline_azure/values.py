"""The values of a resource's properties: plain JSON, and `UNKNOWN` for what only the deployment will bring."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from pulumi.runtime import rpc

Json = Any


class Unknown:
    """A value that is not known before the deployment."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()


def known(value: Json) -> Json:
    """Return plain JSON: secrets opened, enums as their values, and `UNKNOWN` for an Output or an unknown."""
    if isinstance(value, Mapping):
        if rpc._special_sig_key in value:
            return known(value["value"]) if "value" in value else UNKNOWN
        return {key: known(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [known(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return value if isinstance(value, str | bool | int | float) and value != rpc.UNKNOWN else UNKNOWN


def is_type(value: Json, name: str) -> bool:
    """Return whether the value is of a JSON schema's type. Raises ValueError for a type that it does not know."""
    match name:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "integer":
            # Every number that the engine sends is a float.
            return is_type(value, "number") and float(value).is_integer()
        case _:
            raise ValueError(f"a schema of type {name!r} is not checked here")


def merged(first: Json, second: Json) -> Json:
    """Return both objects as one, with the second's values over the first's."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        changed = {key: merged(first[key], item) if key in first else item for key, item in second.items()}
        return {**first, **changed}
    return second


def ordered(value: Json) -> str:
    """Return one text for equal JSON, in whatever order its keys are."""
    return json.dumps(value, sort_keys=True, default=str)
