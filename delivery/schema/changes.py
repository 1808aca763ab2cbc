"""The difference of two catalogs as changes, each judged for code that knows only the catalog before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from delivery.schema.catalog import Column, Constraint, Table
from mlflow_runtime.schema.history import ADDS_COLUMN, ADDS_TABLE, Change

_VARYING = re.compile(r"character varying\((\d+)\)")


def changes(before: Mapping[str, Table], after: Mapping[str, Table]) -> list[Change]:
    """All changes, by table."""
    found: list[Change] = []
    for name in sorted({*before, *after}):
        if name not in before:
            found.append(_change(name, ADDS_TABLE))
        elif name not in after:
            found.append(_change(name, "table removed", breaks=True))
        else:
            found += _of_columns(name, before[name], after[name])
            found += _of_constraints(name, before[name], after[name])
    return found


def _change(table: str, kind: str, detail: str = "", *columns: str, breaks: bool = False) -> Change:
    return Change(table=table, columns=columns, kind=kind, detail=detail, breaks=breaks)


def _of_columns(table: str, before: Table, after: Table) -> Iterator[Change]:
    for name in sorted({*before.columns, *after.columns}):
        old, new = before.columns.get(name), after.columns.get(name)
        if new is None:
            yield _change(table, "column removed", name, name, breaks=True)
        elif old is None:
            complete = new.nullable or new.filled
            rule = "nullable" if new.nullable else "not null, with a default" if complete else "not null, no default"
            yield _change(table, ADDS_COLUMN, f"{new.type}, {rule}", name, breaks=not complete)
        else:
            yield from _of_column(table, name, old, new)


def _of_column(table: str, name: str, old: Column, new: Column) -> Iterator[Change]:
    if old.type != new.type:
        kind = "column widened" if _wider(old.type, new.type) else "column type changed"
        detail = f"{name} from {old.type} to {new.type}"
        yield _change(table, kind, detail, name, breaks=not _wider(old.type, new.type))
    if old.nullable and not new.nullable:
        yield _change(table, "null refused", name, name, breaks=True)
    if new.nullable and not old.nullable:
        yield _change(table, "null allowed", name, name)
    if old.filled and not new.filled and not new.nullable:
        yield _change(table, "default removed", name, name, breaks=True)


def _wider(old: str, new: str) -> bool:
    limits = [_VARYING.fullmatch(type_) for type_ in (old, new)]
    if limits[0] and limits[1]:
        return int(limits[0][1]) <= int(limits[1][1])
    return bool(limits[0]) and new == "text"


def _of_constraints(table: str, before: Table, after: Table) -> Iterator[Change]:
    gone, come = before.constraints - after.constraints, after.constraints - before.constraints
    for rule in sorted(come, key=str):
        replaced = [old for old in gone if _replaces(rule, old, before, after)]
        kind = "rule replaced" if replaced else "rule added"
        breaks = not replaced and not rule.columns.isdisjoint(before.columns)
        yield _change(table, kind, rule.definition, *sorted(rule.columns), breaks=breaks)
    for rule in sorted(gone, key=str):
        if not any(_replaces(new, rule, before, after) for new in come):
            yield _change(table, "rule removed", rule.definition, *sorted(rule.columns), breaks=rule.kind in "pu")


def _replaces(new: Constraint, old: Constraint, before: Table, after: Table) -> bool:
    """Whether `new` lets pass all that `old` let pass: the same columns, and besides them new ones with a default.

    What other columns than these refer to is the same in all rows that code without them writes.
    """
    extra = new.columns - old.columns
    filled = all(name not in before.columns and after.columns[name].filled for name in extra)
    kinds = {new.kind, old.kind}
    return (
        (kinds <= {"p", "u"} or kinds == {"f"}) and new.target == old.target and old.columns <= new.columns and filled
    )
