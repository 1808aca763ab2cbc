"""`mlflow-platform schema`: what a change of MLflow's version does to the databases, also by the names of images."""

from __future__ import annotations

from typing import Annotated

import typer

from delivery.outcome import ExitCode, reported
from delivery.schema.images import version_of
from delivery.terminal import say
from mlflow_runtime.schema.command import report
from mlflow_runtime.schema.history import UnknownVersionError


def schema(
    old: Annotated[
        str,
        typer.Argument(
            metavar="OLD",
            help="The version that runs: a number, a lock file that pins it, an image of this machine, or a file with "
            "an image's configuration as JSON.",
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new version, in the same way.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a document for programs.")] = False,
) -> int:
    """Show what a change of MLflow's version does to the databases.

    It says whether the change migrates them, and whether the older version's code runs on the newer schema. A version
    that is not known is wrong usage.

    Example: mlflow-platform schema 3.10.1 runtime/requirements.lock
    """
    with reported(UnknownVersionError, code=ExitCode.USAGE):
        say(report(version_of(old), version_of(new), as_json=as_json))
    return ExitCode.DONE
