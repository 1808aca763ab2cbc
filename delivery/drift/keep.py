"""The setting by which the program would make what is on Azure: the other way out of a difference."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from delivery.offline_azure.values import merged
from delivery.preview.differences import ABSENT, Difference
from delivery.preview.plan import Step
from infra.settings.model import parse
from infra.settings.problems import Problem, Problems, SettingsError, path

# By type and path: the keys of the setting, with {name} for the resource's name.
_SETTINGS: Final[Mapping[tuple[str, str], Sequence[str]]] = {
    ("app:ContainerApp", "template.scale.maxReplicas"): ("{name}", "maxReplicas"),
    ("app:ContainerApp", "template.scale.minReplicas"): ("{name}", "minReplicas"),
    ("dbforpostgresql:Server", "backup.backupRetentionDays"): ("database", "backupDays"),
    ("dbforpostgresql:Server", "sku.name"): ("database", "sku"),
    ("dbforpostgresql:Server", "storage.storageSizeGB"): ("database", "storageGib"),
    ("operationalinsights:Workspace", "retentionInDays"): ("monitoring", "retentionDays"),
    ("storage:BlobServiceProperties", "deleteRetentionPolicy.days"): ("storage", "softDeleteDays"),
}
_TAG: Final = re.compile(r"tags\.(.+)")


@dataclass(frozen=True, kw_only=True)
class Keep:
    """Commands that set what Azure has; `refused` says why the program does not take it."""

    commands: Sequence[str]
    refused: Sequence[Problem] = ()


def keep(step: Step, differences: Sequence[Difference], values: Mapping[str, Any], stack: str) -> Keep | None:
    """Return the settings that make a resource of the program what it is on Azure, None where there are none.

    `values` is the stack's configuration without its namespace.
    """
    found: dict[tuple[str, ...], Any] = {}
    for one in differences:
        keys = _keys(step, one)
        if keys is None or one.after is ABSENT:
            return None
        found[keys] = int(one.after) if isinstance(one.after, float) and one.after.is_integer() else one.after
    if not found:
        return None
    problems = Problems(stack, values)
    commands = [problems.set(path(*keys), value) for keys, value in found.items()]
    try:
        parse(_with(values, found), stack)
    except SettingsError as error:
        return Keep(commands=commands, refused=error.problems)
    return Keep(commands=commands)


def _keys(step: Step, difference: Difference) -> tuple[str, ...] | None:
    tag = _TAG.fullmatch(difference.path)
    if tag is not None and difference.before is ABSENT:
        return ("tags", "extra", tag[1])
    keys = _SETTINGS.get((step.kind, difference.path))
    return tuple(key.format(name=step.name) for key in keys) if keys else None


def _with(values: Mapping[str, Any], settings: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    changed: Any = values
    for keys, value in settings.items():
        nested = value
        for key in reversed(keys):
            nested = {key: nested}
        changed = merged(changed, nested)
    return dict(changed)
