"""What a stack has been through, from `pulumi stack history --json` and `pulumi stack export`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from delivery.apply import record
from delivery.promote import release
from delivery.promote.release import Release
from delivery.pulumi.project import own_values

UPDATE: Final = "update"
SUCCEEDED: Final = "succeeded"

# They read, or change the state alone: what runs stays.
_READING: Final = frozenset({"refresh", "preview", "import", "resource-import", "rename"})


@dataclass(frozen=True, kw_only=True)
class Update:
    """One line of a stack's history: `commit` and `clean` say from what checkout, `ended` is None while it runs.

    `values` is the stack's configuration without its namespace, `message` what `pulumi up --message` was given.
    """

    kind: str
    result: str
    message: str
    ended: datetime | None
    commit: str
    clean: bool
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        return self.kind == UPDATE and self.result == SUCCEEDED

    @property
    def release(self) -> Release | None:
        """What the stack ran after it."""
        return release.of(self.values)


def read(document: Sequence[Mapping[str, Any]], project: str) -> list[Update]:
    """Return the updates of a history, newest first, without what only reads."""
    found = [_update(entry, project) for entry in document]
    return [one for one in found if one.kind not in _READING]


def running_since(updates: Sequence[Update], wanted: Release) -> datetime | None:
    """Return since when a release runs without another one between; None if it is not what runs."""
    since: datetime | None = None
    for one in updates:
        if one.release is None or one.release.digest != wanted.digest:
            break
        since = one.ended if one.succeeded else since
    return since


def newest(updates: Sequence[Update]) -> Update | None:
    """Return the newest update that is no revert of drift, which brings back what that update made; None without."""
    return next((one for one in updates if (noted := record.parse(one.message)) is None or noted.applies), None)


def pending(export: Mapping[str, Any]) -> list[str]:
    """Return the names of resources that an update left unfinished, in an exported state."""
    deployment = export.get("deployment") or {}
    operations = [one.get("resource") or {} for one in deployment.get("pending_operations") or ()]
    deletions = [one for one in deployment.get("resources") or () if one.get("delete")]
    return sorted({str(one.get("urn", "")).rpartition("::")[2] for one in [*operations, *deletions]})


def _update(entry: Mapping[str, Any], project: str) -> Update:
    environment = entry.get("environment") or {}
    ended = entry.get("endTime")
    return Update(
        kind=str(entry.get("kind", "")),
        result=str(entry.get("result", "")),
        message=str(entry.get("message", "")),
        ended=datetime.fromisoformat(ended) if ended else None,
        commit=str(environment.get("git.head", "")),
        clean=environment.get("git.dirty") == "false",
        values={key: _value(one) for key, one in own_values(entry, project).items() if not one.get("secret")},
    )


def _value(entry: Mapping[str, Any]) -> Any:
    """An object is there as a text of JSON too, in older versions of the engine only so."""
    text = entry.get("value")
    if isinstance(text, str) and text.startswith(("{", "[")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
