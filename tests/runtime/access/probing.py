"""Every route with every id that it takes, one of them another team's."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, Final
from urllib.parse import quote, urlencode

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from graphql import GraphQLList, get_named_type, is_enum_type, is_leaf_type
from mlflow.protos import databricks_pb2
from mlflow.server.graphql.graphql_schema_extensions import schema

from tests.end_to_end.fuzz.declarations import Operation, operations
from tests.runtime.access.things import MCP_NAMESPACE, MCP_VERSION

_DEEPEST: Final = 5
_TEXTS: Final = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
_WHOLE: Final = {
    "filter": "",
    "filter_string": "",
    "path": "a.txt",
    "key": "k",
    "tag_key": "k",
    "metric_key": "m",
    "version": "1",
    "alias": "champion",
    "stage": "Staging",
    "status": "FINISHED",
    "url": "https://hooks.invalid/y",
    "records": json.dumps([{"inputs": {"question": "?"}}]),
    "tags": json.dumps({"k": "v"}),
    "serialized_scorer": json.dumps({"name": "x"}),
    "provider": "openai",
    "view_type": "TRACES",
    "resource_type": "scorer",
    "negative_label": "no",
    "filter_string1": "tags.k = 'v'",
    "filter_string2": "tags.k = 'w'",
}
"""What is valid for a field of that name; other texts are `x`, and new names are new."""

_IN_MAPS: Final = {
    "mlflow.sourceRun": "run_id",
    "mlflow.assessment.sourceRunId": "run_id",
    "mlflow.modelId": "model_id",
}
"""Keys of maps whose value MLflow takes for an id, and the name of that id."""

_LEFT_OUT: Final = ("order_by", "page_token", "secret_value", "auth_config")
_PARTS: Final = re.compile(r"/(?:tags?|alias\w*|items|records|bindings|assessments|delete-\w*tag|remove\S*)\b")
"""What deletes a part of a thing, and so comes before what deletes the thing."""
_DELETES: Final = re.compile("DELETE|delete|rename|remove")
_NUMBERS: Final = re.compile("step|max_results|timeout")


@dataclass(frozen=True, kw_only=True)
class Query(Operation):
    """A field of MLflow's GraphQL schema that takes arguments: one of a query or of a mutation."""

    kind: str
    name: str
    arguments: Any
    answer: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.name}"

    def text(self, ids: Mapping[str, str], own: Mapping[str, str] | None) -> str:
        """Return the query with these ids, which asks for all that the field answers."""
        given = ", ".join(f"{name}: {json.dumps(value)}" for name, value in self._given(ids, own))
        return f"{self.kind} {{ {self.name}(input: {{{given}}}) {_selection(self.answer)} }}"

    def _given(self, ids: Mapping[str, str], own: Mapping[str, str] | None) -> Iterator[tuple[str, Any]]:
        for name, argument in self.arguments.items():
            snake = _snake(name)
            if is_enum_type(get_named_type(argument.type)) or snake in _LEFT_OUT or _NUMBERS.search(snake):
                continue
            is_list = isinstance(argument.type, GraphQLList)
            yield name, _listed(snake, ids, own) if is_list else _text(snake, ids)


@cache
def queries() -> tuple[Query, ...]:
    """Every field of the schema that takes arguments, but for those that answer with them."""
    graph = schema.graphql_schema
    return tuple(
        Query(
            method="POST",
            path="/graphql",
            fields=tuple(map(_snake, field.args["input"].type.fields)),
            kind=kind,
            name=name,
            arguments=field.args["input"].type.fields,
            answer=field.type,
        )
        for kind, root in (("query", graph.query_type), ("mutation", graph.mutation_type))
        for name, field in root.fields.items()
        if "input" in field.args
    )


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def _selection(kind: Any, depth: int = 0) -> str:
    """Return everything below a type of GraphQL, as deep as it goes."""
    named = get_named_type(kind)
    if is_leaf_type(named):
        return ""
    below = {name: field.type for name, field in named.fields.items() if not field.args}
    chosen = [
        f"{name} {_selection(each, depth + 1)}"
        for name, each in below.items()
        if is_leaf_type(get_named_type(each)) or depth < _DEEPEST
    ]
    return f"{{ {' '.join(chosen)} }}"


@dataclass(frozen=True)
class Probe:
    """One request. `foreign` names the fields whose ids are another team's."""

    operation: Operation
    foreign: tuple[str, ...]
    path: str
    body: Any

    def __str__(self) -> str:
        return f"{self.operation} with another team's {', '.join(self.foreign)}"


def probes(own: Mapping[str, str], other: Mapping[str, str]) -> Iterator[Probe]:
    """Yield, for every route, requests with each of its ids from `other` in turn, and with all of them.

    Of each there are two: one with all of its arguments, and one with only those that it needs or that are ids, in
    which a list has the own id before the other one. Equal ones are sent once. What deletes and renames comes
    last, so that the own things are still there for the others.
    """
    for operation in sorted((*operations(), *queries()), key=_place):
        names = sorted({*named(operation, own)})
        seen: list[tuple[str, Any]] = []
        for foreign, lean in product(dict.fromkeys((*((name,) for name in names), tuple(names))), (None, own)):
            ids = {**own, **{name: other[name] for name in foreign}}
            probe = _probe(operation, foreign, ids, lean)
            if (probe.path, probe.body) not in seen:
                seen.append((probe.path, probe.body))
                yield probe


def _place(operation: Operation) -> int:
    if not _DELETES.search(str(operation)):
        return 0
    return 1 if _PARTS.search(operation.path) else 2


def named(operation: Operation, ids: Mapping[str, str]) -> Iterator[str]:
    """Yield the ids that an operation takes."""
    names = {*re.findall(r"{(\w+)}", operation.path), *operation.fields}
    if operation.message is not None:
        names |= set(_fields(operation.message))
    for name in names:
        found = _id(name, ids)
        if found is not None:
            yield found


def _id(name: str, ids: Mapping[str, str]) -> str | None:
    singular = name.removesuffix("s") if name.endswith("_ids") else name
    return singular if singular in ids else None


def _fields(message: Any, depth: int = 0) -> Iterator[str]:
    for field in message.fields:
        if field.message_type is None:
            yield field.name
        elif _is_map(field):
            yield from _IN_MAPS.values()
        elif depth < _DEEPEST and not _is_given(field.message_type):
            yield from _fields(field.message_type, depth + 1)


def _probe(
    operation: Operation, foreign: tuple[str, ...], ids: Mapping[str, str], own: Mapping[str, str] | None
) -> Probe:
    """Return a request. With `own` ids it is the one with fewer arguments."""
    if "/mcp-servers" in operation.path:
        ids, own = _of_mcp(ids), own and _of_mcp(own)
    if isinstance(operation, Query):
        return Probe(operation, foreign, operation.path, {"query": operation.text(ids, own)})
    if operation.message is None:
        arguments = {name: _argument(name, ids, own) for name in operation.fields if name not in _LEFT_OUT}
    else:
        arguments = _filled(operation.message, ids, own)
    path = operation.path
    for parameter in re.findall(r"{(\w+)}", path):
        path = path.replace(f"{{{parameter}}}", quote(_text(parameter, ids), safe=""), 1)
    if operation.method == "GET":
        pairs = [
            (name, each)
            for name, value in arguments.items()
            for each in (value if isinstance(value, list) else [value])
        ]
        query = urlencode([(name, each if isinstance(each, str) else json.dumps(each)) for name, each in pairs])
        return Probe(operation, foreign, f"{path}?{query}", None)
    return Probe(operation, foreign, path, arguments)


def _of_mcp(ids: Mapping[str, str]) -> Mapping[str, str]:
    return {**ids, "name": f"{MCP_NAMESPACE}/{ids['name']}", "version": MCP_VERSION}


def _argument(name: str, ids: Mapping[str, str], own: Mapping[str, str] | None) -> Any:
    return _listed(name, ids, own) if name.endswith("_ids") else _text(name, ids)


def _listed(name: str, ids: Mapping[str, str], own: Mapping[str, str] | None) -> list[str]:
    return [*dict.fromkeys(_text(name, each) for each in (own, ids) if each is not None)]


def _text(name: str, ids: Mapping[str, str]) -> str:
    known = _id(name, ids)
    if known is not None:
        return ids[known]
    if name in ("new_name", "secret_name"):
        return f"new-{uuid.uuid4().hex}"
    return "1" if _NUMBERS.search(name) else _WHOLE.get(name, "x")


def _filled(message: Any, ids: Mapping[str, str], own: Mapping[str, str] | None, depth: int = 0) -> dict[str, Any]:
    """A message with all of its fields, or with only those that are required or lead to an id."""
    found: dict[str, Any] = {}
    lean = own is not None
    for field in message.fields:
        required = field.GetOptions().Extensions[databricks_pb2.validate_required]
        if field.name in _LEFT_OUT:
            continue
        if _is_map(field):
            found[field.name] = {key: ids[name] for key, name in _IN_MAPS.items()}
            continue
        if field.message_type is not None:
            value: Any = _message(field, ids, own, depth)
            if value is None or (lean and not value and not required):
                continue
        elif field.enum_type is not None:
            value = field.enum_type.values[min(1, len(field.enum_type.values) - 1)].name
        elif lean and not required and _id(field.name, ids) is None:
            continue
        elif field.type == FieldDescriptor.TYPE_BOOL:
            value = False
        elif field.type in _TEXTS and field.is_repeated:
            found[field.name] = _listed(field.name, ids, own)
            continue
        elif field.type in _TEXTS:
            value = _text(field.name, ids)
        else:
            value = 1
        found[field.name] = [value] if field.is_repeated else value
    return found


def _message(field: Any, ids: Mapping[str, str], own: Mapping[str, str] | None, depth: int) -> Any:
    lean = own is not None
    kind = field.message_type
    if depth >= _DEEPEST:
        return None
    if kind.full_name == "google.protobuf.Timestamp":
        return None if lean else "2026-01-01T00:00:00Z"
    if kind.full_name == "google.protobuf.Duration":
        return None if lean else "1s"
    if kind.full_name == "google.protobuf.FieldMask":
        return "feedback"
    if _is_given(kind):
        return None
    return _filled(kind, ids, own, depth + 1)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _is_given(kind: Any) -> bool:
    return bool(kind.full_name.startswith("google.protobuf."))
