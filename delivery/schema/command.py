"""What a change of MLflow's version does to the databases, also by the names of images."""

from __future__ import annotations

import sys

from delivery.schema.images import version_of
from mlflow_runtime.schema.command import told
from mlflow_runtime.schema.history import UnknownVersionError


def run(old: str, new: str, as_json: bool) -> int:
    """Print the comparison of two versions. Return 0, or 2 for a version that is not known.

    Each is a version, a lock file that pins it, a file with an image's configuration, or an image of this machine.
    """
    try:
        print(told(version_of(old), version_of(new), as_json=as_json))
    except UnknownVersionError as error:
        print(f"schema: {error}", file=sys.stderr)
        return 2
    return 0
