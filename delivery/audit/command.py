"""`mlflow-platform audit`: who did what, and who was refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from delivery.audit import records
from delivery.audit.records import Record, Wanted
from delivery.local.configuration import CONFIG_FILE, REPOSITORY
from delivery.local.options import ConfigFile
from delivery.local.options import read as read_local
from delivery.outcome import CommandError, ExitCode, reported
from delivery.stacks import LOCAL, refuse
from delivery.terminal import say


def audit(
    identifier: Annotated[
        str, typer.Argument(metavar="[ID]", help="Only what names this run, experiment, model or other thing.")
    ] = "",
    stack: Annotated[str, typer.Option(help="On Azure: a stack, whose query is printed.")] = LOCAL,
    caller: Annotated[str, typer.Option(help="Only of this name or object id.")] = "",
    workspace: Annotated[str, typer.Option(help="Only in this team.")] = "",
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    most: Annotated[int, typer.Option(help="The latest so many.", min=1, max=10_000)] = 50,
    days: Annotated[int, typer.Option(help="On Azure: how far back.", min=1, max=730)] = 30,
    config_file: ConfigFile = CONFIG_FILE,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> int:
    """Show who changed what, and who was refused.

    It is the record of a stack with access control, and has the sign-ins and sign-outs of browsers too.

    Locally it is read from the services' logs. On Azure the query is printed, as a command for whoever may read the
    stack's logs.

    Example: mlflow-platform audit 2f7c1d0e4b3a4c5d8e9f0a1b2c3d4e5f
    """
    wanted = Wanted(identifier=identifier, caller=caller, workspace=workspace, refused=refused)
    if stack != LOCAL:
        return _on_azure(stack, wanted, most, days)
    local = read_local(config_file)
    logs = sorted(local.layout.logs.glob("*.log"))
    if not logs:
        raise CommandError(f"audit: no logs in {local.layout.logs}; expected those of a stack. Run: make up")
    found = [record for record in records.read(logs) if wanted.has(record)][-most:]
    if as_json:
        say(json.dumps([asdict(record) for record in found], indent=2))
    else:
        _show(found)
    return ExitCode.DONE


def _on_azure(stack: str, wanted: Wanted, most: int, days: int) -> int:
    from components.azure.log_table import CONTAINER_APPS_CONSOLE, container_log_v2
    from delivery.audit import query
    from delivery.doctor.facts import settings_of
    from delivery.pulumi.project import stack_document
    from infra.naming import namespace
    from infra.settings.problems import SettingsError
    from infra.settings.profiles import ComputeKind

    refuse(stack)
    with reported(SettingsError):
        settings = settings_of(stack_document(REPOSITORY, stack), stack)
    logs, workspace = CONTAINER_APPS_CONSOLE, None
    if settings.azure is not None and settings.compute is ComputeKind.AKS:
        existing = settings.azure.aks.existing_cluster
        logs = container_log_v2(settings.azure.aks.namespace(namespace(stack)))
        workspace = existing.workspace if existing else None
    say(query.command(query.query(logs, wanted, most), stack, days, workspace=workspace))
    return ExitCode.DONE


def _show(found: Sequence[Record]) -> None:
    if not found:
        say("Nothing is recorded that fits. Changes are recorded with access.mode entra only, and reads never are.")
    for record in found:
        ids = " ".join(f"{name}={','.join(values)}" for name, values in record.ids.items())
        why = f" ({record.reason})" if record.reason else ""
        where = f" in {record.workspace}" if record.workspace else ""
        line = f"{record.time}  {record.caller or 'nobody'}{where}  {record.status}{why}  {record.route or '-'}  {ids}"
        say("".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line))
