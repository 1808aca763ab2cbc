"""Looks for what breaks the contract of components, on which a program relies: see `problems` and `foreign`.

An instance is known by its name and its type token, has all that it makes under itself and under its name, publishes
what it declares, gives its tags to whatever takes tags, stands beside another instance, sends what Azure takes, and
brings nothing of this repository's program along.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi

import components.azure
from delivery.azure_types.type_tokens import versionless
from delivery.offline_azure import addresses, sdk_types, values
from tests.components.azure.examples import TAGS, Example
from tests.support import arm
from tests.support.recorder import Graph, record

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("one", "two")


def discovered() -> list[type[pulumi.ComponentResource]]:
    """Every component there is, whether or not anybody thought of a test for it."""
    paths = pkgutil.walk_packages(components.azure.__path__, f"{components.azure.__name__}.")
    return [
        member
        for module in map(importlib.import_module, (module.name for module in paths))
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, pulumi.ComponentResource)
        and member.__module__ == module.__name__
        and not member.__name__.startswith("_")
    ]


def problems(component: type[pulumi.ComponentResource], example: Example, *, preview: bool) -> Iterator[str]:
    """What breaks the contract, a line each."""
    made: list[pulumi.ComponentResource] = []
    try:
        graph = record(lambda: made.extend(map(example, NAMES)), preview=preview)
    except ValueError as error:
        yield f"two instances collide: {error}"
        made.clear()
        graph = record(lambda: made.append(example(NAMES[0])), preview=preview)
    for instance, name in zip(made, NAMES, strict=False):
        yield from _of_the_component(component, instance, name, graph)
    for name in graph.names:
        if name not in NAMES:
            yield from _of_a_place(name, graph)
        if _is_azure(name, graph):
            yield from _of_a_resource(graph.type(name), graph.inputs(name), name)
    if not preview:
        yield from _of_physical_names(graph)


def _of_the_component(
    component: type[pulumi.ComponentResource], instance: pulumi.ComponentResource, name: str, graph: Graph
) -> Iterator[str]:
    if graph.type(name) not in (tokens := _tokens(component)):
        yield f"{name}: has the type {graph.type(name)}, not {' or '.join(tokens)}"
    annotated = {field for field in inspect.get_annotations(component) if not field.startswith("_")}
    for field in sorted(annotated):
        if not hasattr(instance, field):
            yield f"{name}: has no attribute {field}, which it declares"
    # An output that is None in this shape of the component does not go over the wire.
    expected = {field for field in annotated if getattr(instance, field, None) is not None}
    registered = graph.registered(name)
    if registered is None:
        yield f"{name}: registers no outputs"
    elif registered - annotated or expected - registered:
        yield f"{name}: registers {sorted(registered)}, but declares {sorted(annotated)}"


def _of_a_place(name: str, graph: Graph) -> Iterator[str]:
    component = _component_of(name, graph)
    if component is None:
        yield f"{name}: is under no component"
    elif not name.startswith(f"{component}-"):
        yield f"{name}: does not begin with {component}-"


def _of_a_resource(token: str, inputs: Mapping[str, Any], name: str) -> Iterator[str]:
    if "tags" in sdk_types.inputs_of(token) and inputs.get("tags") != TAGS:
        yield f"{name}: has not got the tags"
    yield from (f"{name}: Azure refuses {violation}" for violation in arm.faults(token, values.known(inputs)))


def _component_of(name: str, graph: Graph) -> str | None:
    """The instance that a resource is under: its parent, or that of a component inside; never another resource."""
    above = graph.options(name).parent
    while above not in NAMES:
        if above not in graph.names or graph.is_custom(above):
            return None
        above = graph.options(above).parent
    return above


def _is_azure(name: str, graph: Graph) -> bool:
    """What the program itself does on Azure has neither a body nor an address there."""
    return graph.is_custom(name) and not graph.type(name).startswith("pulumi-python:dynamic")


def _of_physical_names(graph: Graph) -> Iterator[str]:
    taken: dict[str, str] = {}
    # Sorted: which of two registers first is a race.
    for name in sorted(each for each in graph.names if _is_azure(each, graph)):
        try:
            address = addresses.address(versionless(graph.type(name)), graph.inputs(name)).lower()
        except KeyError as error:
            yield f"{name}: leaves its name {error} to the provider"
            continue
        if address in taken:
            yield f"{name}: is on Azure the same as {taken[address]}"
        taken[address] = name


def _tokens(component: type) -> list[str]:
    """Return the type tokens that a component may have; state keeps a token for good, wherever its class moves."""
    return [f"mlflow:{package}:{component.__name__}" for package in ("azure", "compute")]


def foreign(module: str, root: Path = ROOT) -> Iterator[str]:
    """What a module has, itself or by what it imports of this repository, that no other program has."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        file = _file(current, root)
        if current in seen or file is None:
            continue
        seen.add(current)
        if current.split(".")[0] == "infra":
            yield f"{module}: reaches {current}"
            continue
        tree = ast.parse(file.read_text())
        waiting.extend(_imports(tree))
        if any(_is_config(node) for node in ast.walk(tree)):
            yield f"{current}: reads pulumi.Config"


def _file(module: str, root: Path) -> Path | None:
    path = root.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Every module that could be meant: `from a import b` may be of a module a.b, and runs a in any case."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (parent for alias in node.names for parent in _with_parents(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute here"
            yield from _with_parents(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _is_config(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module in ("pulumi", "pulumi.config") and any(alias.name == "Config" for alias in node.names)
    return isinstance(node, ast.Attribute) and node.attr == "Config"
