"""A resource as a rule looks at it, the same whether the program or the policy pack shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final


class _Unknown:
    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = _Unknown()
"""Stands for a value that only Azure, or another resource, will tell."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """`inputs` have the names that Azure's own API has, in camelCase.

    `key` tells the stack's resources apart; `refers` has, by property, the keys of those that its value comes from.
    `parent` is the name of its component, `place` the FILE:LINE that makes it, each empty if unknown.
    """

    key: object
    name: str
    type: str
    inputs: Mapping[str, Any]
    refers: Mapping[str, frozenset[object]] = field(default_factory=dict)
    protect: bool = False
    parent: str = ""
    place: str = ""

    def at(self, path: str) -> Any:
        """Return the value at a dotted path: None where there is none, UNKNOWN where it or an object above it is."""
        found: Any = self.inputs
        for part in path.split("."):
            if found is UNKNOWN:
                return UNKNOWN
            found = found.get(part) if isinstance(found, Mapping) else None
        return found

    def items(self, path: str) -> list[tuple[int, Mapping[str, Any]]]:
        """Return the objects of the list at a path, each with its place in it. Unknown ones are left out."""
        found = self.at(path)
        listed = found if isinstance(found, Sequence) and not isinstance(found, str) else ()
        return [(index, item) for index, item in enumerate(listed) if isinstance(item, Mapping)]


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return each value that is no object and no list, with its path."""
    found: list[tuple[str, Any]] = []
    _gather(value, path, found)
    return found


# Each resource is walked several times: plain types stand first, as to ask for an abstract class is slow.
_PLAIN: Final = (str, bytes, bool, int, float)
_OBJECTS: Final = (dict, Mapping)
_LISTS: Final = (list, Sequence)


def _gather(value: Any, path: str, found: list[tuple[str, Any]]) -> None:
    if isinstance(value, _PLAIN):
        found.append((path, value))
    elif isinstance(value, _OBJECTS):
        for key, item in value.items():
            _gather(item, f"{path}.{key}" if path else str(key), found)
    elif isinstance(value, _LISTS):
        for index, item in enumerate(value):
            _gather(item, f"{path}[{index}]", found)
    else:
        found.append((path, value))


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the stack's settings decide: a rule refuses a resource that says otherwise."""

    bootstrap: bool = False
    public_gateway: bool = False
    private_registry: bool = True
    protect: bool = True
    purge_protection: bool = True


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The facts of a stack, and its resources as far as they are known. Rules over all of them get the whole."""

    facts: Facts
    resources: Sequence[Resource] = ()

    def of_type(self, kind: str) -> list[Resource]:
        """Return the resources of a type."""
        return [resource for resource in self.resources if resource.type == kind]
