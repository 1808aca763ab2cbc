"""The types of the installed pulumi-azure-native: inputs, nested ones too, their kinds and enums.

The offline Azure checks every body by these types, and an input that is required and missing is a fault too.
"""

from __future__ import annotations

import importlib
import inspect
import threading
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, get_args, get_origin

from pulumi import _types

from delivery.offline_azure.values import UNKNOWN, Json, is_type

# Enum values that a service takes and the SDK's enum of that name lacks: the schema of the PostgreSQL administrator has
# the directory's own spelling, and two APIs of Azure Monitor have an operator of a condition.
ALSO_ALLOWED: Final = {
    ("dbforpostgresql", "PrincipalType"): ("User", "Group", "ServicePrincipal", "Unknown"),
    ("monitor", "ConditionOperator"): (
        *("Equals", "GreaterThan", "GreaterThanOrEqual"),
        *("LessThan", "LessThanOrEqual"),
    ),
}

# The SDK loads its modules at the first look into them, which is not safe for threads: one that comes second finds a
# module half loaded.
_LOADING: Final = threading.Lock()

SCALARS: Final = {str: "string", bool: "boolean", int: "integer", float: "number"}


@cache
def _classes(type_token: str) -> tuple[type, type] | None:
    """Return the Args class and the class of a resource type; None if this SDK has no such type."""
    _, module, name = type_token.split(":")
    with _LOADING:
        try:
            loaded = importlib.import_module(f"pulumi_azure_native.{module.replace('/', '.')}")
        except ImportError:
            return None
        args = getattr(loaded, f"{name}InitArgs", None) or getattr(loaded, f"{name}Args", None)
        return (args, getattr(loaded, name)) if args is not None else None


def arguments(type_token: str) -> type | None:
    """Return the Args class of a resource type; None if this SDK has no such type."""
    classes = _classes(type_token)
    return classes[0] if classes else None


def inputs_of(type_token: str) -> frozenset[str]:
    """Return the names of a resource type's inputs, as the engine sends them; empty for an unknown type."""
    args = arguments(type_token)
    return frozenset(_types.input_type_py_to_pulumi_names(args).values()) if args else frozenset()


def outputs_of(type_token: str) -> frozenset[str]:
    """Return the names of a resource type's outputs; empty for an unknown type."""
    classes = _classes(type_token)
    return frozenset(_types.resource_py_to_pulumi_names(classes[1]).values()) if classes else frozenset()


def as_inputs(type_token: str, outputs: Mapping[str, Json]) -> dict[str, Json]:
    """Return of an answer what is an input, also inside of objects and lists: what Azure alone writes is left out."""
    args = arguments(type_token)
    return _projected(outputs, args) if args else {}


def _projected(value: Mapping[str, Json], args: type) -> dict[str, Json]:
    names = {camel: python for python, camel in _types.input_type_py_to_pulumi_names(args).items()}
    kinds = _types.input_type_types(args)

    def inside(item: Json, kind: Any) -> Json:
        if isinstance(item, list):
            return [inside(one, kind) for one in item]
        classes = [one for one in _classes_in(kind) if _types.is_input_type(one)]
        return _projected(item, classes[0]) if isinstance(item, Mapping) and len(classes) == 1 else item

    return {
        key: inside(item, kinds.get(key, kinds.get(names[key], Any))) for key, item in value.items() if key in names
    }


def _classes_in(kind: Any) -> Iterator[type]:
    """Yield the classes that a kind is made of, such as X for Sequence[Input[X]]; none for an object of any keys."""
    kind = _types.unwrap_type(kind)
    if isinstance(kind, type) and get_origin(kind) is None:
        yield kind
    elif get_origin(kind) is None or get_origin(kind) not in (dict, Mapping):
        for part in get_args(kind):
            yield from _classes_in(part)


def violations(type_token: str, inputs: Mapping[str, Any]) -> list[str]:
    """Return one line `path: reason` for each input that the SDK's own types do not allow."""
    args = arguments(type_token)
    if args is None:
        return [f"{type_token}: is no resource type of the installed pulumi-azure-native"]
    return list(_object(dict(inputs), args, ""))


def _object(value: Mapping[str, Json], args: type, path: str) -> Iterator[str]:
    names = {camel: python for python, camel in _types.input_type_py_to_pulumi_names(args).items()}
    kinds = _types.input_type_types(args)
    prefix = f"{path}." if path else ""
    required = _required(args)
    for key in (key for key, python in names.items() if python in required and key not in value):
        yield f"{prefix}{key}: is required"
    for key, item in value.items():
        if key not in names:
            yield f"{prefix}{key}: is unknown or read-only"
        else:
            kind = kinds.get(key, kinds.get(names[key], Any))
            yield from _value(item, _types.unwrap_type(kind), prefix + key)


@cache
def _required(args: type) -> frozenset[str]:
    """Return the Python names of an Args class's inputs that have no default."""
    parameters = list(inspect.signature(args).parameters.values())
    return frozenset(one.name for one in parameters if one.default is inspect.Parameter.empty)


def _value(value: Json, kind: Any, path: str) -> Iterator[str]:
    if value is UNKNOWN or value is None:
        return
    choices = [_types.unwrap_type(choice) for choice in get_args(kind) or (kind,)]
    enums = [choice for choice in choices if isinstance(choice, type) and issubclass(choice, Enum)]
    classes = [choice for choice in choices if isinstance(choice, type) and _types.is_input_type(choice)]
    if enums:
        allowed = [member.value for enum in enums for member in enum]
        for enum in enums:
            allowed += ALSO_ALLOWED.get((enum.__module__.split(".")[1], enum.__name__), ())
        if value not in allowed:
            yield f"{path}: {value!r} is not one of {', '.join(map(str, allowed))}"
    elif get_origin(kind) is not None and isinstance(value, list) and classes:
        for index, item in enumerate(value):
            yield from _value(item, classes[0], f"{path}[{index}]")
    elif isinstance(value, dict) and len(classes) == 1 and get_origin(kind) is None:
        yield from _object(value, classes[0], path)
    elif kind in SCALARS and not is_type(value, SCALARS[kind]):
        yield f"{path}: {value!r} is not of type {kind.__name__}"
