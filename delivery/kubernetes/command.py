"""`mlflow-platform manifests`: the objects of a stack in a cluster, to look at before anything is made."""

from __future__ import annotations

from typing import Annotated

import typer

from delivery.doctor.facts import settings_of
from delivery.outcome import CommandError, ExitCode, reported
from delivery.pulumi.installation import REPOSITORY
from delivery.pulumi.project import stack_document
from delivery.terminal import leave_closed_pipe, say
from infra.settings.problems import SettingsError


def manifests(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="Stack whose file is read.", show_default=False)],
) -> int:
    """Write the objects that a stack would be in a Kubernetes cluster, as YAML.

    For a review or a policy scanner. Values that only Azure knows are placeholders, as ${TRACKING_CLIENT_ID}. With
    `compute: aks` an `up` applies these objects; another stack shows what it would be in a cluster.

    Example: mlflow-platform manifests prod > prod.yaml
    """
    from delivery.kubernetes.manifests import text

    with reported(SettingsError):
        settings = settings_of(stack_document(REPOSITORY, stack), stack)
    if settings.azure is None:
        raise CommandError(
            f"stack: got {stack!r}, which runs on this machine; expected a stack on Azure. Run: "
            "mlflow-platform manifests dev",
            ExitCode.USAGE,
        )
    try:
        say(text(settings, settings.azure).rstrip())
    except BrokenPipeError:
        leave_closed_pipe()
    return ExitCode.DONE
