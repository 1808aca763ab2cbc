"""The version of MLflow that is meant: a number, a lock file that pins it, or what a tool printed of an image."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow_runtime.schema.history import UnknownVersionError

LABEL = "org.mlflow.version"

_PIN = re.compile(r"^mlflow\s*==\s*([^\s;\\]+)", re.MULTILINE)


def version_in(given: str) -> str:
    """Return the version in a file, or `given` itself. UnknownVersionError says what is wrong.

    A file is a lock file, or what is known of an image as JSON: its configuration, what `podman image inspect` or
    `buildah inspect` printed of it, or the document of `make image`.
    """
    path = Path(given)
    if path.is_file():
        content = path.read_text(errors="replace")
        return labelled(given, content) if content.lstrip()[:1] in ("{", "[") else pinned(given, content)
    if path.suffix in (".lock", ".txt", ".json"):
        raise UnknownVersionError(
            f"{given!r} is no file; give a version of MLflow, a lock file that pins it, or an image's configuration."
        )
    return given


def pinned(name: str, lock: str) -> str:
    """The version that a lock file pins."""
    pins: set[str] = set(_PIN.findall(lock))
    if len(pins) != 1:
        found = f"it pins {', '.join(sorted(pins))}" if pins else "it does not"
        raise UnknownVersionError(f"{name} must pin one version of MLflow with a line `mlflow==VERSION`; {found}.")
    return pins.pop()


def labelled(name: str, document: str) -> str:
    """The version in an image's labels, wherever a tool's JSON has them."""
    try:
        found = {labels[LABEL] for labels in _labels(json.loads(document)) if labels.get(LABEL)}
    except ValueError as error:
        raise UnknownVersionError(f"{name} is no JSON document: {error}.") from error
    if len(found) != 1:
        what = f"it has {', '.join(sorted(map(str, found)))}" if found else "it has none"
        raise UnknownVersionError(f"{name} must be one image with a label {LABEL}, as `make image` sets it; {what}.")
    return str(found.pop())


def _labels(document: Any) -> Iterator[Mapping[str, Any]]:
    """Each object of labels: the value of a key `labels` in whatever case, at any depth."""
    if isinstance(document, list):
        for item in document:
            yield from _labels(item)
    elif isinstance(document, dict):
        for key, value in document.items():
            if key.lower() == "labels" and isinstance(value, dict):
                yield value
            else:
                yield from _labels(value)
