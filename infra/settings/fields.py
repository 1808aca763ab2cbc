"""The kinds of settings: how a value is checked, and the words for the values that a setting accepts.

A section of a stack's file is a model; each field declares its meaning, range and default once. Messages and the
reference read them from the field.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

AUTO = "auto"
"""In a stack's file: the profile's value."""
NOT_SET: tuple[object, ...] = (AUTO, {}, [])
"""What the engine's schema has for a key that a stack's file does not have."""
_SWITCHES = f"true, false, {AUTO}"


class Section(BaseModel):
    """One object of a stack's file. Its keys are the fields' names in camelCase; it refuses all others."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True)


def _not_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number")  # noqa: TRY004 - pydantic collects a ValueError, not a TypeError
    return value


def _switch(value: object) -> object:
    known = {"true": True, "false": False}
    if (found := known.get(str(value).lower())) is None:
        raise ValueError(_SWITCHES)
    return found


Whole = Annotated[int, BeforeValidator(_not_boolean)]
"""A whole number, also as a text."""
Number = Annotated[float, BeforeValidator(_not_boolean)]
"""A number, also as a text."""
Switch = Annotated[bool, BeforeValidator(_switch)]
"""true or false, also as a text."""


def bounded(meaning: str, least: float, most: float, *, unit: str = "", **default: Any) -> Any:
    """Declare a number from `least` to `most`; `default=` makes it optional."""
    return Field(ge=least, le=most, description=meaning, json_schema_extra={"unit": unit}, **default)


def text(meaning: str, pattern: str, expected: str, *, example: str = "", **default: Any) -> Any:
    """Declare a text that matches the whole pattern; `expected` says in words what that is."""
    return described(meaning, expected, example=example, pattern=f"^(?:{pattern})$", **default)


def described(meaning: str, expected: str = "", *, example: str = "", otherwise: str = "", **more: Any) -> Any:
    """Declare a setting.

    `expected` says in words what it accepts, `example` is one such value, `otherwise` says in words what the program
    takes for a setting that has no fixed default.
    """
    words = {"expected": expected, "example": example, "otherwise": otherwise}
    return Field(description=meaning, json_schema_extra={**words}, **more)


def checked(check: Callable[[str], object]) -> BeforeValidator:
    """Refuse a text with the message of the ValueError that `check` raises for it."""

    def validate(value: object) -> object:
        if isinstance(value, str):
            check(value)
        return value

    return BeforeValidator(validate)


def keys(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Return the fields of a model by their keys in a stack's file."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def section_of(info: FieldInfo) -> type[Section] | None:
    """Return the model of a field that contains an object with fixed keys."""
    return next((kind for kind in _kinds(info) if isinstance(kind, type) and issubclass(kind, Section)), None)


def choices(info: FieldInfo) -> tuple[str, ...]:
    """Return the members of the enumeration of a field, none if it has another type."""
    found = next((kind for kind in _kinds(info) if isinstance(kind, type) and issubclass(kind, enum.StrEnum)), None)
    return tuple(found) if found else ()


def bounds(info: FieldInfo) -> tuple[float, float] | None:
    """Return the least and the most of a number, None for another type."""
    found = {name: getattr(each, name) for each in info.metadata for name in ("ge", "le") if hasattr(each, name)}
    return (found["ge"], found["le"]) if len(found) == 2 else None


def extra(info: FieldInfo, name: str) -> str:
    """Return what the field declares beside its type: `expected`, `example`, `otherwise` or `unit`."""
    more = info.json_schema_extra
    return str(more.get(name, "")) if isinstance(more, Mapping) else ""


def type_name(info: FieldInfo) -> str:
    """Return the type of a setting in words."""
    for kind in _kinds(info):
        base = get_origin(kind) or kind
        if base in _TYPE_NAMES:
            return _TYPE_NAMES[base]
    return "choice" if choices(info) else "object" if section_of(info) else "text"


_TYPE_NAMES: Mapping[Any, str] = {
    bool: "boolean",
    int: "whole number",
    float: "number",
    tuple: "list",
    Mapping: "object",
}


def expectation(info: FieldInfo) -> str:
    """Return the words for the values that a setting accepts."""
    found, kind = bounds(info), type_name(info)
    if (section := section_of(info)) is not None:
        return f"an object with the keys {', '.join(keys(section))}"
    if found is not None:
        return f"a {kind} from {span(found)}"
    if kind == "boolean":
        return _SWITCHES
    if kind == "list":
        return f"a list of {extra(info, 'expected')}"
    return ", ".join(choices(info)) or extra(info, "expected")


def span(ends: tuple[float, float]) -> str:
    """Return a range in words."""
    return " to ".join(str(int(end)) if end == int(end) else str(end) for end in ends)


def _kinds(info: FieldInfo) -> tuple[Any, ...]:
    """Return the type of a field, or the members of a union."""
    annotation = info.annotation
    if get_origin(annotation) in (tuple, Mapping):
        return (annotation,)
    members = get_args(annotation) or (annotation,)
    return tuple(get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in members)
