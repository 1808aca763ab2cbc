"""`mlflow-platform gc`: deleted runs, experiments and models are removed for good, with their artifacts.

MLflow's own `mlflow gc` does it: rows in the database as the identity of the tracking service, artifacts through the
gateway with a token of whoever may delete them, which is recorded.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import Annotated

import typer

from delivery.local.configuration import CONFIG_FILE, PROJECT, REPOSITORY, LocalStack
from delivery.local.options import ConfigFile
from delivery.local.options import read as read_local
from delivery.outcome import CommandError, ExitCode
from delivery.preview.command import LOCAL, refuse
from delivery.terminal import say

_AGE = re.compile(r"(?=.)(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?")


def gc(
    stack: Annotated[
        str, typer.Argument(metavar="[STACK]", help="On Azure: a stack, for which the steps are printed.")
    ] = LOCAL,
    older_than: Annotated[str, typer.Option(help="Only what was deleted so long ago, as in 30d or 12h.")] = "30d",
    workspace: Annotated[str, typer.Option(help="The team, with access control.")] = "default",
    config_file: ConfigFile = CONFIG_FILE,
) -> int:
    """Remove deleted runs, experiments and models for good, with their artifacts.

    Nobody can restore them afterwards. What is not deleted stays, and what was deleted later than --older-than says.

    It is MLflow's own `mlflow gc`. On Azure the database has no public side, so the steps are printed that run it in a
    replica of tracking.

    Example: mlflow-platform gc --older-than 30d --workspace team-a
    """
    if _AGE.fullmatch(older_than) is None:
        raise CommandError(
            f"--older-than: got {older_than!r}; expected a time such as 30d, 12h or 1d12h. "
            "Run: mlflow-platform gc --older-than 30d",
            ExitCode.USAGE,
        )
    if stack != LOCAL:
        refuse(stack)
        say(_steps(stack, older_than, workspace))
        return ExitCode.DONE
    return _of_local(read_local(config_file), older_than, workspace)


def _of_local(stack: LocalStack, older_than: str, workspace: str) -> int:
    from components.emulators.data_plane import ca_bundle, identity_endpoint
    from components.emulators.identities import client_id, header_file
    from components.mlflow.roles import Role
    from components.mlflow.topology import TRACKING_DATABASE, identity_name
    from delivery.local.configuration import STACK
    from delivery.local.sign_in import token
    from infra import local
    from infra.settings.access import AccessMode
    from infra.settings.model import parse

    ports = local.data_ports(parse(stack.values, STACK))
    name = identity_name(Role.TRACKING)
    identity = header_file(stack.layout.data, name)
    if not identity.is_file():
        raise CommandError("gc: the local stack is not there. Run: make up")
    database = f"postgresql+entra://{name}@127.0.0.1:{ports.postgres}/{TRACKING_DATABASE}?sslmode=disable"
    teams = stack.mode is AccessMode.ENTRA
    bundle = str(ca_bundle(stack.root))
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")},
        "IDENTITY_ENDPOINT": identity_endpoint(ports),
        "IDENTITY_HEADER": identity.read_text().strip(),
        "AZURE_CLIENT_ID": client_id(STACK, name),
        "SSL_CERT_FILE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        **({"MLFLOW_TRACKING_TOKEN": token(stack), "MLFLOW_WORKSPACE": workspace} if teams else {}),
    }
    command = [sys.executable, *("-m", "mlflow"), *_gc(stack.url, older_than, workspace if teams else None)]
    return subprocess.run([*command, "--backend-store-uri", database], env=env, check=False).returncode


def _gc(url: str, older_than: str, workspace: str | None) -> list[str]:
    team = ["--workspace", workspace] if workspace else []
    return ["gc", "--tracking-uri", url, "--older-than", older_than, *team]


def _steps(stack: str, older_than: str, workspace: str) -> str:
    """Return the steps for a stack on Azure, where a shell in a replica has tracking's identity."""
    from delivery.pulumi.project import own_values, stack_document
    from infra.naming import namespace
    from infra.settings.access import AccessMode
    from infra.settings.profiles import ComputeKind

    values = own_values(stack_document(REPOSITORY, stack), PROJECT)
    teams = (values.get("access") or {}).get("mode") == AccessMode.ENTRA
    existing = (values.get("aks") or {}).get("existingCluster") or {}
    group = f'"$(pulumi stack output resource_group -s {stack})"'
    shell = f"az containerapp exec --resource-group {group} --name mlflow-tracking --command sh"
    if values.get("compute") == ComputeKind.AKS:
        shell = f"kubectl exec -it deploy/tracking -n {existing.get('namespace') or namespace(stack)} -- sh"
    signed_in = [
        "export MLFLOW_TRACKING_TOKEN=...   # what `mlflow-entra token` prints on your machine",
        f"export MLFLOW_WORKSPACE={shlex.quote(workspace)}",
    ]
    command = shlex.join(["mlflow", *_gc("URL", older_than, workspace if teams else None)])
    return "\n".join(
        [
            shell,
            *(signed_in if teams else []),
            f'{command} --backend-store-uri "$MLFLOW_RUNTIME_TRACKING_DATABASE_URL"   # URL: the stack\'s output url',
        ]
    )
