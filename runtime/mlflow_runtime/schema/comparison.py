"""Whether a change of MLflow's version brings a migration, and whether the older code runs on the newer schema.

Code that reads and writes the tables and columns that it knows goes on working if all of them are still there with
their types and rows, if its inserts are complete, and if no rule refuses what none refused before. New tables, new
columns that fill themselves, wider types and keys widened by such columns keep to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mlflow_runtime.schema.history import ADDS_COLUMN, ADDS_TABLE, Change, History, Migration


class Direction(StrEnum):
    """What becomes of the schema. BACK means that the new version is older: MLflow itself never migrates back."""

    NONE = "none"
    FORWARD = "forward"
    BACK = "back"


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """A change that the older code does not survive, and the revision that brings it."""

    migration: Migration
    change: Change


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two schemas: `migrations` lead from the older to the newer one, `obstacles` keep the older code off it."""

    old_head: str
    new_head: str
    direction: Direction
    migrations: tuple[Migration, ...]
    obstacles: tuple[Obstacle, ...]

    @property
    def older_code_runs(self) -> bool:
        """Whether the older version's code runs on the newer version's schema."""
        return not self.obstacles


def compare(history: History, old_head: str, new_head: str) -> Comparison:
    """Judge a change from the schema `old_head` to `new_head`. UnknownVersionError for a revision not in `history`."""
    if migrations := history.between(old_head, new_head):
        direction = Direction.FORWARD
    elif migrations := history.between(new_head, old_head):
        direction = Direction.BACK
    else:
        direction = Direction.NONE
    return Comparison(
        old_head=old_head,
        new_head=new_head,
        direction=direction,
        migrations=tuple(migrations),
        obstacles=tuple(_obstacles(migrations)),
    )


def served_on(history: History, revision: str) -> tuple[str, ...]:
    """The revisions whose code runs on the schema `revision`, itself the last; none if `history` does not hold it."""
    if revision not in {migration.revision for migration in history.migrations}:
        return ()
    older = history.migrations[: history.position(revision) + 1]
    return tuple(one.revision for one in older if compare(history, one.revision, revision).older_code_runs)


def _obstacles(migrations: Sequence[Migration]) -> Iterator[Obstacle]:
    """Changes that break, but for those of tables and columns that are younger than the code in question."""
    tables: set[str] = set()
    columns: set[tuple[str, str]] = set()
    for migration in migrations:
        for change in migration.changes:
            if change.kind == ADDS_TABLE:
                tables.add(change.table)
            elif change.kind == ADDS_COLUMN and not change.breaks:
                columns.update((change.table, column) for column in change.columns)
        for change in migration.changes:
            younger = bool(change.columns) and all((change.table, column) in columns for column in change.columns)
            if change.breaks and change.table not in tables and not younger:
                yield Obstacle(migration=migration, change=change)
