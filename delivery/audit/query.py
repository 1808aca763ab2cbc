"""The same question for a stack on Azure: a query over its workspace's table of lines."""

from __future__ import annotations

import json
import shlex

from components.azure.log_table import LogTable
from components.mlflow.observability.alerts import audited
from delivery.audit.records import REFUSED, Wanted


def query(logs: LogTable, wanted: Wanted, most: int) -> str:
    """Return the query for the latest records that are wanted."""
    conditions = [
        *([_names(wanted.identifier)] if wanted.identifier else []),
        *([f"(caller =~ {_text(wanted.caller)} or oid =~ {_text(wanted.caller)})"] if wanted.caller else []),
        *([f"team == {_text(wanted.workspace)}"] if wanted.workspace else []),
        *([f"event == {_text(REFUSED)}"] if wanted.refused else []),
    ]
    where = "".join(f" | where {condition}" for condition in conditions)
    shown = "TimeGenerated, event, caller, oid, team, route, ids = tostring(line.ids), status, reason"
    return f"{audited(logs)}{where} | top {most} by TimeGenerated desc | project {shown}"


def _names(identifier: str) -> str:
    """Return the condition that a line names it: the ids are in the line by field, each in quotes.

    A path, such as an artifact's, names what it leads through.
    """
    quoted = json.dumps(identifier)
    forms = (quoted, f'"{quoted[1:-1]}/', f"/{quoted[1:-1]}/", f'/{quoted[1:-1]}"')
    return "(" + " or ".join(f"tostring(line.ids) contains {_text(form)}" for form in forms) + ")"


def command(asked: str, stack: str, days: int, *, workspace: str | None = None) -> str:
    """Return the command that asks it, of a workspace by its resource id or of the one in the stack's outputs."""
    identifier = shlex.quote(workspace) if workspace else f'"$(pulumi stack output workspace_id -s {stack})"'
    workspace = f'"$(az monitor log-analytics workspace show --ids {identifier} --query customerId -o tsv)"'
    return (
        f"az monitor log-analytics query --workspace {workspace} --timespan P{days}D --output table "
        f"--analytics-query {shlex.quote(asked)}"
    )


def _text(value: str) -> str:
    """Return a text as KQL writes it."""
    return json.dumps(value, ensure_ascii=False)
