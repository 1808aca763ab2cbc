"""The version of MLflow in an image of this machine, by the image's label."""

from __future__ import annotations

import re
import shutil
import subprocess

from mlflow_runtime.schema.history import UnknownVersionError
from mlflow_runtime.schema.versions import labelled, version_in

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?|sha256:[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{12,64}")
_SECONDS = 60


def version_of(given: str) -> str:
    """Return the version that is meant: by an image's name or id, or by what `mlflow-runtime schema` takes.

    Raise UnknownVersionError for a name that podman does not know and for an image without one version.
    """
    found = version_in(given)
    return labelled(given, _inspected(given)) if found == given and _names_image(given) else found


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
