"""MLflow's answers as the same JSON, written in one walk over a message.

MLflow 3.17.2 makes two dictionaries of a message, merges them, and has Python write them with an indent
(`message_to_json` in mlflow/utils/proto_json_utils.py): a third of the time that a search of runs takes in the process.
Each kind of message gets a function that writes its text at once. What has maps, bytes or well-known types is MLflow's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring_ascii
from typing import Any, Final

from google.protobuf.descriptor import (  # type: ignore[import-untyped]
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
)
from mlflow.utils import proto_json_utils

from mlflow_runtime.patches.unchanged import is_unchanged

Write = Callable[[Any, str], str]
"""Writes a value. The second argument is the line end before its closing bracket, if it has one."""

_WRITTEN_FROM: Final = "a9b66a85e21d0f11"

# JSON has no numbers for them; protobuf's JSON has these words.
_WORDS: Final = {math.inf: '"Infinity"', -math.inf: '"-Infinity"'}
_OF_GOOGLE: Final = "google.protobuf."

_message_to_json = proto_json_utils.message_to_json


def message_to_json(message: Any, *, pretty: bool = True, convert_int64_to_number: bool = True) -> str:
    """`message_to_json` of MLflow."""
    if pretty and convert_int64_to_number and (write := _writer(message.DESCRIPTOR)) is not None:
        return write(message, "\n")
    return str(_message_to_json(message, pretty=pretty, convert_int64_to_number=convert_int64_to_number))


def text_of(message: Any, margin: str) -> str:
    """Return the JSON of a message within another one. `margin` is the line end before its closing bracket.

    Raises ValueError for a kind that is not plain.
    """
    write = _writer(message.DESCRIPTOR)
    if write is None:
        raise ValueError(f"{message.DESCRIPTOR.full_name} is not plain")
    return write(message, margin)


def install() -> None:
    """Have MLflow's handlers answer with it, in this process. MLflow must be loaded."""
    from mlflow.server import handlers

    if is_unchanged(_message_to_json, _WRITTEN_FROM):
        handlers.message_to_json = message_to_json


@functools.cache
def _writer(descriptor: Descriptor) -> Write | None:
    """What writes a kind of message; None for one that is not plain all the way down."""
    within = set(_within(descriptor, set()))
    if any(not _is_plain(field) for each in within for field in each.fields) or any(
        each.is_extendable or each.full_name.startswith(_OF_GOOGLE) for each in within
    ):
        return None
    return _message(descriptor, {})


def _within(descriptor: Descriptor, seen: set[Descriptor]) -> Iterator[Descriptor]:
    """The kinds of message that one consists of, itself first."""
    if descriptor in seen:
        return
    seen.add(descriptor)
    yield descriptor
    for field in descriptor.fields:
        if field.message_type is not None:
            yield from _within(field.message_type, seen)


def _is_plain(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return field.type in _SCALARS or field.enum_type is not None or (kind is not None and not _is_map(kind))


def _is_map(kind: Descriptor) -> bool:
    return bool(kind.has_options and kind.GetOptions().map_entry)


def _message(descriptor: Descriptor, known: dict[Descriptor, Write]) -> Write:
    """What writes a message; `known` are those that are being made, as one may be within itself."""
    if descriptor in known:
        return known[descriptor]
    fields: dict[int, tuple[str, Write]] = {}

    def write(message: Any, margin: str) -> str:
        inner = margin + "  "
        members = []
        for field, value in message.ListFields():
            name, of_value = fields[field.number]
            members.append(f"{inner}{name}{of_value(value, inner)}")
        return f"{{{','.join(members)}{margin}}}" if members else "{}"

    known[descriptor] = write
    for field in descriptor.fields:
        one = _value(field, known)
        fields[field.number] = (f"{encode_basestring_ascii(field.name)}: ", _list(one) if field.is_repeated else one)
    return write


def _value(field: FieldDescriptor, known: dict[Descriptor, Write]) -> Write:
    if field.message_type is not None:
        return _message(field.message_type, known)
    return _SCALARS[field.type] if field.enum_type is None else _enum(field.enum_type)


def _list(one: Write) -> Write:
    def write(values: Any, margin: str) -> str:
        inner = margin + "  "
        return f"[{','.join([inner + one(value, inner) for value in values])}{margin}]"

    return write


def _enum(kind: EnumDescriptor) -> Write:
    names = {number: encode_basestring_ascii(value.name) for number, value in kind.values_by_number.items()}
    return lambda value, _: names.get(value) or repr(value)


def number(value: float) -> str:
    """Return a number as protobuf's JSON has it."""
    return float.__repr__(value) if math.isfinite(value) else _WORDS.get(value, '"NaN"')


def _integer(value: int, _: str) -> str:
    return repr(value)


_SCALARS: Final[dict[int, Write]] = {
    FieldDescriptor.TYPE_STRING: lambda value, _: encode_basestring_ascii(value),
    FieldDescriptor.TYPE_BOOL: lambda value, _: "true" if value else "false",
    FieldDescriptor.TYPE_DOUBLE: lambda value, _: number(value),
    **dict.fromkeys(
        (
            *(FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT32),
            *(FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SINT64),
            *(FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_FIXED64),
            *(FieldDescriptor.TYPE_SFIXED32, FieldDescriptor.TYPE_SFIXED64),
        ),
        _integer,
    ),
}
