"""Validates the values of a stack's file by a model and records every value that the model refuses."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from infra.settings.fields import AUTO, bounds, choices, expectation, extra, keys, section_of
from infra.settings.problems import Problems, path

_M = TypeVar("_M", bound=BaseModel)
_Loc = Sequence[str | int]


def read(problems: Problems, model: type[_M], defaults: Mapping[str, Any], given: Mapping[str, Any]) -> _M:
    """Return the given values over the defaults as a model.

    Each refused value becomes a problem, and its default or an example takes its place: checks of several fields can
    then run as well.
    """
    values = _merged(model, defaults, given)
    try:
        return _validated(model, values)
    except ValidationError as error:
        found = error.errors(include_url=False)
    for each in found:
        _note(problems, model, defaults, each)
    for each in found:
        values = _repaired(values, defaults, model, each["loc"])
    return _validated(model, values)


def known_keys(key: str, known: Collection[str]) -> str:
    """Return the words for the keys that an object has, and for the one that an unknown key looks like."""
    near = difflib.get_close_matches(key, known, n=1)
    return f"the keys {', '.join(known)}{f'; did you mean {near[0]}?' if near else ''}"


def _validated(model: type[_M], values: Mapping[str, Any]) -> _M:
    # A stack's file has the keys in camelCase only.
    return model.model_validate(values, by_alias=True, by_name=False)


def _merged(model: type[BaseModel], defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    known = keys(model)
    merged = {**defaults, **{key: value for key, value in given.items() if not _automatic(known.get(key), value)}}
    for key, info in known.items():
        section = section_of(info)
        if section is None or (merged.get(key) is None and not info.is_required()):
            continue
        value = given.get(key, {})
        if isinstance(value, Mapping):
            merged[key] = _merged(section, defaults.get(key) or {}, value)
    return merged


def _automatic(info: FieldInfo | None, value: object) -> bool:
    return value == AUTO and info is not None and (info.annotation is bool or bool(choices(info)))


def _note(problems: Problems, model: type[BaseModel], defaults: Mapping[str, Any], error: ErrorDetails) -> None:
    loc = error["loc"]
    field = path(*(part for part in loc if part != "[key]"))
    value = None if error["type"] == "missing" else error["input"]
    info = _field(model, loc)
    if info is None:
        problems.note(field, value, known_keys(str(loc[-1]), keys(_parent(model, loc))), problems.remove(field))
        return
    own_check = error["type"] == "value_error" and bounds(info) is None
    allowed = str(error["ctx"]["error"]) if own_check else expectation(info)
    near = _near(info, value, _default(defaults, loc), in_list=isinstance(loc[-1], int))
    problems.note(field, value, allowed, problems.remove(field) if near is None else problems.set(field, near))


def _near(info: FieldInfo, value: object, default: object, *, in_list: bool) -> object:
    """Return an allowed value to set instead, None if the field is better removed."""
    if (limits := bounds(info)) is not None:
        return _clamped(value, *limits)
    if choices(info) and default is None and not info.is_required():
        return info.default
    if in_list or (info.is_required() and default is None):
        return extra(info, "example") or None
    return None


def _clamped(value: object, least: float, most: float) -> object:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return least if number < least else most if number > most else None


def _field(model: type[BaseModel], loc: _Loc) -> FieldInfo | None:
    """Return the field that a location names or lies in, None for an unknown key."""
    info = keys(model).get(str(loc[0]))
    section = section_of(info) if info else None
    return info if section is None or len(loc) == 1 else _field(section, loc[1:])


def _parent(model: type[BaseModel], loc: _Loc) -> type[BaseModel]:
    info = keys(model).get(str(loc[0]))
    section = section_of(info) if info else None
    return model if section is None or len(loc) == 1 else _parent(section, loc[1:])


def _default(defaults: Mapping[str, Any], loc: _Loc) -> object:
    found: Any = defaults
    for part in loc:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _repaired(
    values: Mapping[str, Any], defaults: Mapping[str, Any], model: type[BaseModel], loc: _Loc
) -> dict[str, Any]:
    key = str(loc[0])
    info = keys(model).get(key)
    section = section_of(info) if info else None
    rest = {name: value for name, value in values.items() if str(name) != key}
    if section is not None and len(loc) > 1:
        return {**rest, key: _repaired(values[key], defaults.get(key) or {}, section, loc[1:])}
    if section is not None:
        return {**rest, key: {**_examples(section), **(defaults.get(key) or {})}}
    if key in defaults:
        return {**rest, key: defaults[key]}
    return {**rest, key: extra(info, "example")} if info is not None and info.is_required() else rest


def _examples(model: type[BaseModel]) -> dict[str, Any]:
    return {key: extra(info, "example") for key, info in keys(model).items() if info.is_required()}
