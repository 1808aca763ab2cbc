"""What a stack registers, as the rules over resources look at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from infra.guardrails import types
from infra.guardrails.resource import UNKNOWN, Facts, Resource, Stack
from infra.guardrails.rule import ResourceRule
from tests.support import recorder
from tests.support.recorder import Graph

ABSENT = object()
"""Takes a property away."""


def resources(graph: Graph) -> list[Resource]:
    """Every resource of a provider, with the values that went over the wire."""
    return [_resource(graph, name) for name in graph.names if graph.is_custom(name)]


def broken(rules: Sequence[ResourceRule], given: Sequence[Resource], facts: Facts) -> list[tuple[str, str]]:
    """The rules that are broken and where: by its id, and the resource's name with the path."""
    stack = Stack(facts=facts, resources=given)
    return [
        (rule.id, f"{resource.name}.{one.path}")
        for rule in rules
        for resource in given
        for one in rule.broken(resource, stack)
    ]


def changed(resource: Resource, path: str, value: Any) -> Resource:
    """The same resource with another value at a dotted path, or without it; `protect` is the option of that name."""
    if path == "protect":
        return replace(resource, protect=value)
    return replace(resource, inputs=_with(resource.inputs, path.split("."), value))


def first(given: Sequence[Resource], kind: str, named: str = "") -> Resource:
    """The first resource of a type, with `named` in its name."""
    return next(one for one in given if one.type == getattr(types, kind) and named in one.name)


def _resource(graph: Graph, name: str) -> Resource:
    request, options = graph.named(name), graph.options(name)
    return Resource(
        key=name,
        name=name,
        type=graph.type(name),
        inputs=_known(graph.inputs(name)),
        refers={
            path: frozenset(urn.split("::")[-1] for urn in found.urns)
            for path, found in request.propertyDependencies.items()
            if found.urns
        },
        protect=options.protect,
        parent=options.parent,
    )


def _known(value: Any) -> Any:
    if value is recorder.UNKNOWN:
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items()}
    return [_known(item) for item in value] if isinstance(value, list) else value


def _with(given: Any, keys: Sequence[str], value: Any) -> Any:
    key, rest = keys[0], keys[1:]
    if isinstance(given, list):
        return [_with(item, rest, value) if index == int(key) and rest else item for index, item in enumerate(given)]
    inner = _with(given.get(key, {}), rest, value) if rest else value
    return {name: item for name, item in {**given, key: inner}.items() if item is not ABSENT}
