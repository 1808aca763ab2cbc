"""What a change of the release means: another MLflow, another schema, and whether the old digest is a way back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from delivery.preview.reasons import Found, Reason, Row, Subject, Verdict
from delivery.preview.releases import Releases
from delivery.preview.text import Code, Strong, count, listed
from mlflow_runtime.schema import history
from mlflow_runtime.schema.comparison import Comparison, Direction, compare

_RESTORE: Final = "docs/upgrades.md#back-to-the-restore-point"


def releases(of: Releases) -> Iterator[Found]:
    """Yield what differs between the release that runs and the one that the stack gets."""
    before, after = of.before, of.after
    if before is None or after is None or not of.differ:
        return
    if before.mlflow != after.mlflow:
        yield Row(subject=Subject.IMAGE, what="MLflow", now=[Code(before.mlflow)], after=[Code(after.mlflow)])
    old, new = Code(before.commit[:12]), Code(after.commit[:12])
    yield Row(subject=Subject.IMAGE, what="built from", now=[old], after=[new])
    if before.schema == after.schema:
        return
    try:
        found = compare(history.known(), before.schema, after.schema)
    except history.UnknownVersionError:
        yield Row(subject=Subject.IMAGE, what="schema", now=[Code(before.schema)], after=[Code(after.schema)])
        return
    migrates = found.direction is Direction.FORWARD
    number = f", {count(len(found.migrations), 'revision')}" if migrates else ""
    yield Row(subject=Subject.IMAGE, what="schema", now=[Code(before.schema)], after=[Code(after.schema), number])
    if not found.older_code_runs:
        yield from _forward(found, before.mlflow) if migrates else _back(after.mlflow, before.schema)


def _forward(found: Comparison, old: str) -> Iterator[Found]:
    yield Reason(
        subject=Subject.WAY_BACK,
        verdict=Verdict.DECIDE,
        headline="no way back by digest",
        phrase=[
            Strong("No way back by digest."),
            " MLflow ",
            Code(old),
            " does not run on the new schema. Back means the restore point, ",
            Code(_RESTORE),
            ": data written after the migration is lost.",
        ],
    )
    tables = sorted({one.change.table for one in found.obstacles})
    yield Reason(
        subject=Subject.OUTAGE,
        verdict=Verdict.DECIDE,
        headline="restarted replicas stay unready",
        phrase=[
            Strong("During the rolling update"),
            " a replica of MLflow ",
            Code(old),
            " that restarts stays unready, and what it writes to ",
            *listed(tables),
            " is not whole. Pause the clients that need it.",
        ],
    )


def _back(new: str, schema: str) -> Iterator[Found]:
    yield Reason(
        subject=Subject.REFUSAL,
        verdict=Verdict.REFUSED,
        headline="prepare will fail",
        phrase=[
            Strong("Prepare will fail."),
            " MLflow ",
            Code(new),
            " does not run on the schema ",
            Code(schema),
            ", and no schema goes back. The way back is the restore point, ",
            Code(_RESTORE),
            ".",
        ],
    )
