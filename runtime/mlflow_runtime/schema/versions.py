"""The version of MLflow that is meant: a number, a lock file that pins it, or an image that is labelled with it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow_runtime.schema.history import UnknownVersionError

LABEL = "org.mlflow.version"

_PIN = re.compile(r"^mlflow\s*==\s*([^\s;\\]+)", re.MULTILINE)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?|sha256:[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{12,64}")
_SECONDS = 60


def version_in(given: str) -> str:
    """The version in a file, of an image of this machine, or `given` itself. UnknownVersionError says what is wrong.

    A file is a lock file, or what is known of an image as JSON: its configuration, what `podman image inspect` or
    `buildah inspect` printed of it, or the document of `make image`.
    """
    path = Path(given)
    if path.is_file():
        content = path.read_text(errors="replace")
        return labelled(given, content) if content.lstrip()[:1] in ("{", "[") else pinned(given, content)
    if path.suffix in (".lock", ".txt", ".json"):
        raise UnknownVersionError(
            f"{given!r} is no file; give a version of MLflow, a lock file that pins it, or an image that has it."
        )
    return labelled(given, _inspected(given)) if _names_image(given) else given


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


def _names_image(given: str) -> bool:
    """Whether it cannot be meant as a number: a name with a path, a tag or a digest, or an id."""
    return bool(re.search(r"[/:@]", given) or _ID.fullmatch(given))


def _inspected(reference: str) -> str:
    if not _IMAGE.fullmatch(reference):
        raise UnknownVersionError(
            f"{reference!r} is neither a file nor the name of an image (NAME, NAME:TAG, NAME@sha256:…, an id)."
        )
    podman = shutil.which("podman")
    if podman is None:
        raise UnknownVersionError(
            f"{reference!r} is no file, and there is no podman on PATH to ask for an image of that name; give a file "
            "with the image's configuration as JSON."
        )
    command = [podman, "image", "inspect", reference]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    if done.returncode != 0:
        raise UnknownVersionError(
            f"{reference!r} is no file, and no image of this machine: {done.stderr.strip()[-200:]}; "
            f"`podman pull {reference}` fetches it."
        )
    return done.stdout
