"""The facts of one change that its gates look at, from git, the files and the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from delivery.preview.reasons import Verdict
from delivery.preview.report import Report
from delivery.preview.text import plain
from delivery.promote import history
from delivery.promote.evidence import Evidence
from delivery.promote.gates import Change, Facts, Unknown
from delivery.promote.release import Release
from delivery.promote.stack_files import Files, Stack
from infra.settings.model import SettingsError, parse
from mlflow_runtime.schema import history as schemas
from mlflow_runtime.schema.comparison import Comparison, compare

_NOT_RUNNING = Unknown("the release is not known to run in the stack")


def gathered(
    change: Change,
    files: Files,
    evidence: Evidence,
    wanted: Release,
    target: Stack,
    source: Stack | None,
    values: Mapping[str, Any],
    report: Report,
    now: datetime,
) -> Facts:
    """Return what is known of a change. `values` is what the target's edited file says, `report` its preview."""
    settings = source.settings() if source else None
    updates = evidence.updates(source.name) if source else ()
    newest = None if isinstance(updates, Unknown) else history.newest(updates)
    since = None if isinstance(updates, Unknown) else history.running_since(updates, wanted)
    return Facts(
        change=change,
        source=source.name if source else "",
        target=target.name,
        release=wanted,
        previous=target.release,
        now=now,
        soak=timedelta(hours=settings.azure.soak_hours if settings and settings.azure else 0),
        problems=_problems(values, target.name),
        refusals=[plain(one.phrase) for one in report.reasons if one.verdict >= Verdict.REFUSED],
        updates=updates,
        pending=evidence.pending(source.name if source else target.name),
        smoke=evidence.smoke(source.name, newest) if source and newest else _NOT_RUNNING,
        alerts=evidence.alerts(source.name, since) if source and since else _NOT_RUNNING,
        drift={one.name: evidence.drift(one.name) for one in (source, target) if one is not None},
        labels=evidence.labels(wanted.digest),
        ancestry=_ancestry(files, wanted, target.release),
        builds=evidence.builds(wanted),
        in_registry=evidence.in_registry(target.name, wanted.digest),
        schema=_schema(files, target, wanted),
    )


def _problems(values: Mapping[str, Any], stack: str) -> list[str]:
    try:
        parse(values, stack)
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    return []


def _ancestry(files: Files, wanted: Release, previous: Release | None) -> Sequence[str] | Unknown:
    repository, commit = files.repository, wanted.commit
    if not repository.has(commit):
        if repository.shallow:
            return Unknown("this is a shallow clone; run git fetch --unshallow")
        return [f"commit {commit[:12]} is not in the repository"]
    found = [] if repository.contains(files.commit, commit) else [f"commit {commit[:12]} is not on the main line"]
    if previous is not None and previous.commit:
        if not repository.has(previous.commit):
            return found or Unknown(f"commit {previous.commit[:12]} of the target is not in the repository")
        if not repository.contains(commit, previous.commit):
            found.append(f"commit {commit[:12]} is behind {previous.commit[:12]}, which the target has")
    return found


def _schema(files: Files, target: Stack, wanted: Release) -> Comparison | Unknown | None:
    """Compare with the newest schema that a release brought: a rollback leaves it as it is."""
    if target.release is None:
        return None
    if files.repository.shallow:
        return Unknown("this is a shallow clone; run git fetch --unshallow")
    if not target.release.schema:
        return Unknown(f"{target.path} names a digest alone, without its schema")
    known = schemas.known()
    brought = {one.schema for one in files.releases(target.name) if one.schema} | {target.release.schema}
    try:
        return compare(known, max(brought, key=known.position), wanted.schema)
    except schemas.UnknownVersionError as error:
        return Unknown(str(error))
