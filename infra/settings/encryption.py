"""Which values of a stack's file are encrypted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from infra.settings.problems import path


def encrypted(value: object, *parts: str | int) -> Iterator[str]:
    """Yield the path of each encrypted value in a value of a stack's file, whose own path is `parts`."""
    if isinstance(value, Mapping):
        if value.keys() == {"secure"}:
            yield path(*parts)
            return
        for key, inner in value.items():
            yield from encrypted(inner, *parts, str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from encrypted(inner, *parts, number)
