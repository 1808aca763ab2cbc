"""Every route with every id that it takes, one of them another team's."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from mlflow.protos import databricks_pb2

from tests.end_to_end.fuzz.declarations import Operation, operations

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
    """Yield, for every route, a request with each of its ids from `other` in turn, and one with all of them.

    What deletes and renames comes last, so that the own things are still there for the others.
    """
    for operation in sorted(operations(), key=_place):
        names = sorted({*named(operation, own)})
        for foreign in dict.fromkeys((*((name,) for name in names), tuple(names))):
            ids = {**own, **{name: other[name] for name in foreign}}
            for lean in (False, True):
                yield _probe(operation, foreign, ids, lean)


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


def _probe(operation: Operation, foreign: tuple[str, ...], ids: Mapping[str, str], lean: bool) -> Probe:
    if operation.message is None:
        arguments = {name: _text(name, ids) for name in operation.fields if name not in _LEFT_OUT}
    else:
        arguments = _filled(operation.message, ids, lean)
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


def _shown(value: Any) -> Any:
    """An argument of a query: a list is repeated, an object is JSON."""
    if isinstance(value, list):
        return [_shown(each) for each in value]
    return value if isinstance(value, str) else json.dumps(value)


def _text(name: str, ids: Mapping[str, str]) -> str:
    known = _id(name, ids)
    if known is not None:
        return ids[known]
    if name in ("new_name", "secret_name"):
        return f"new-{uuid.uuid4().hex}"
    return "1" if _NUMBERS.search(name) else _WHOLE.get(name, "x")


def _filled(message: Any, ids: Mapping[str, str], lean: bool, depth: int = 0) -> dict[str, Any]:
    """A message with all of its fields, or with only those that are required or lead to an id."""
    found: dict[str, Any] = {}
    for field in message.fields:
        required = field.GetOptions().Extensions[databricks_pb2.validate_required]
        if field.name in _LEFT_OUT:
            continue
        if _is_map(field):
            found[field.name] = {key: ids[name] for key, name in _IN_MAPS.items()}
            continue
        if field.message_type is not None:
            value: Any = _message(field, ids, lean, depth)
            if value is None or (lean and not value and not required):
                continue
        elif field.enum_type is not None:
            value = field.enum_type.values[min(1, len(field.enum_type.values) - 1)].name
        elif lean and not required and _id(field.name, ids) is None:
            continue
        elif field.type == FieldDescriptor.TYPE_BOOL:
            value = False
        elif field.type in _TEXTS:
            value = _text(field.name, ids)
        else:
            value = 1
        found[field.name] = [value] if field.is_repeated else value
    return found


def _message(field: Any, ids: Mapping[str, str], lean: bool, depth: int) -> Any:
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
    return _filled(kind, ids, lean, depth + 1)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _is_given(kind: Any) -> bool:
    return bool(kind.full_name.startswith("google.protobuf."))
