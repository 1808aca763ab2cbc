"""What differs between the inputs that a resource has and those that it gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from delivery.preview.plan import Step
from infra.settings import secret_texts


class _Absent:
    def __repr__(self) -> str:
        return "none"


ABSENT: Final = _Absent()
"""Stands for a value that is not given."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One input that differs. An item of a list is named by its `name` where all of them have one, else by number."""

    path: str
    before: Any
    after: Any


def of(step: Step) -> list[Difference]:
    """The differences of an update or a replacement, in the order of their paths.

    They come from the inputs and not from the engine's own list: that is empty for dynamic resources, and shows a
    whole list where one item is new.
    """
    if step.before is None or step.after is None:
        return []
    return sorted(between(step.old, step.new), key=lambda found: found.path)


def between(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """The differences of two values, each as deep as possible."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from between(before.get(key, ABSENT), after.get(key, ABSENT), f"{path}.{key}" if path else str(key))
    elif (named := _by_name(before, after)) is not None:
        old, new = named
        for name in sorted({*old, *new}):
            yield from between(old.get(name, ABSENT), new.get(name, ABSENT), f"{path}[{name}]")
    elif _lists_of_objects(before, after):
        for index in range(max(len(before), len(after))):
            yield from between(_at(before, index), _at(after, index), f"{path}[{index}]")
    else:
        yield Difference(path=path, before=_hidden(path, before), after=_hidden(path, after))


def _hidden(path: str, value: Any) -> Any:
    """A value of a key such as `tags.password` is nobody's to read in a report."""
    return "[secret]" if isinstance(value, str) and secret_texts.names_secret(path) else value


def _by_name(before: Any, after: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    if not (isinstance(before, list) and isinstance(after, list)):
        return None
    named: list[dict[str, Any]] = []
    for items in (before, after):
        found = {str(item["name"]): item for item in items if isinstance(item, Mapping) and "name" in item}
        if len(found) < len(items):
            return None
        named.append(found)
    return named[0], named[1]


def _lists_of_objects(before: Any, after: Any) -> bool:
    return all(
        isinstance(items, list) and all(isinstance(item, Mapping) for item in items) for items in (before, after)
    )


def _at(items: Sequence[Any], index: int) -> Any:
    return items[index] if index < len(items) else ABSENT


def within(path: str, outer: str) -> bool:
    """Whether a path is another one or leads on from it."""
    return path == outer or path.startswith((f"{outer}.", f"{outer}["))


def at(values: Mapping[str, Any], path: str, otherwise: Any = ABSENT) -> Any:
    """The value at a dotted path without lists, `otherwise` where there is none."""
    value: Any = values
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return otherwise
        value = value[key]
    return value
