"""Say in what two builds of the image differ: packages, files, configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from delivery.image import layout
from delivery.image.build import BILL_OF_MATERIALS

_ABSENT = "absent"


def differences(first: Path, second: Path) -> list[str]:
    """One line for each difference between the images in two OCI layouts; none if both have the same digest.

    Raises `ToolError` for a layout that is damaged, as `layout.head` says: of equal images no layer's content is read.
    A file differs by its kind, permissions, owner, time or content. Layers that differ though
    their files are equal (in order or compression) are named too.
    """
    if layout.head(first).digest == layout.head(second).digest:
        return []
    one, other = layout.read(first), layout.read(second)
    found = [
        *_changes("package", _packages(first), _packages(second)),
        *_changes("file", _files(one), _files(other)),
        *_changes("configuration", _flat(one.config), _flat(other.config)),
    ]
    layers = [
        f"layer {position}: {mine.digest} or {theirs.digest}"
        for position, (mine, theirs) in enumerate(zip(one.layers, other.layers, strict=False))
        if mine.digest != theirs.digest
    ]
    return [*found, *layers, f"digest: {one.digest} or {other.digest}"]


def _packages(folder: Path) -> dict[str, str]:
    components = json.loads(layout.content(folder, BILL_OF_MATERIALS))["components"]
    return {part["purl"].partition("@")[0]: part["version"] for part in components}


def _files(image: layout.Image) -> dict[str, str]:
    return {
        path: ", ".join(f"{key} {value}" for key, value in asdict(file).items()) for path, file in image.files.items()
    }


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """A document's leaves by their paths."""
    if isinstance(value, Mapping):
        items = [(f"{name}.{key}".lstrip("."), part) for key, part in value.items()]
    elif isinstance(value, list):
        items = [(f"{name}[{position}]", part) for position, part in enumerate(value)]
    else:
        return {name: str(value)}
    return {key: leaf for path, part in items for key, leaf in _flat(part, path).items()}


def _changes(kind: str, one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(one.keys() | other.keys()):
        mine, theirs = one.get(name, _ABSENT), other.get(name, _ABSENT)
        if mine != theirs:
            yield f"{kind} {name}: {mine} or {theirs}"
