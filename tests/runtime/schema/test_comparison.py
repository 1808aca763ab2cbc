"""The judgement of a change of version: only what the older code knows can stand in its way."""

from __future__ import annotations

import pytest

from mlflow_runtime.schema import history
from mlflow_runtime.schema.comparison import Comparison, Direction, compare, served_on
from mlflow_runtime.schema.history import ADDS_COLUMN, ADDS_TABLE, Change, History, Migration

HEAD = "dc11669786a5"  # MLflow 3.17


def between(old: str, new: str) -> Comparison:
    known = history.known()
    return compare(known, known.head_of(old), known.head_of(new))


def change(table: str, kind: str, *columns: str, breaks: bool = False) -> Change:
    return Change(table=table, columns=columns, kind=kind, detail="", breaks=breaks)


def line(*changes: tuple[Change, ...]) -> History:
    """Revision 0, and one more for each."""
    steps = ((), *changes)
    migrations = (Migration(revision=str(at), title="", changes=each) for at, each in enumerate(steps))
    return History(migrations=tuple(migrations), heads={})


def test_no_migration_between_versions_of_one_schema() -> None:
    found = between("3.17.0", "3.17.2")
    assert (found.direction, found.migrations, found.older_code_runs) == (Direction.NONE, (), True)


def test_an_additive_change_lets_the_older_code_run() -> None:
    found = between("3.10.1", "3.16.1")
    assert found.direction is Direction.FORWARD
    assert len(found.migrations) == 16
    assert found.older_code_runs


def test_what_a_younger_table_loses_is_nothing_to_code_that_never_knew_it() -> None:
    assert not between("3.8.1", "3.9.0").older_code_runs  # jobs.function_fullname
    assert between("3.4.0", "3.9.0").older_code_runs  # knows no jobs


@pytest.mark.parametrize(
    ("version", "tables"),
    [
        ("2.22.4", {"trace_tags", "trace_request_metadata"}),
        ("3.10.1", {"spans", "trace_tags", "trace_request_metadata", "trace_metrics", "span_metrics"}),
        ("3.16.1", {"spans", "trace_tags", "trace_request_metadata", "trace_metrics", "span_metrics"}),
    ],
)
def test_what_keeps_older_code_off_the_pinned_schema_is_named(version: str, tables: set[str]) -> None:
    found = between(version, "3.17.2")
    assert {one.change.table for one in found.obstacles} == tables
    assert {one.migration.revision for one in found.obstacles} == {"75868b020152"}


def test_back_is_no_migration_and_judged_alike() -> None:
    back, forward = between("3.17.2", "3.16.1"), between("3.16.1", "3.17.2")
    assert back.direction is Direction.BACK
    assert back.migrations == forward.migrations
    assert back.obstacles == forward.obstacles


def test_a_column_that_came_and_went_is_nothing_to_older_code() -> None:
    found = line((change("t", ADDS_COLUMN, "c"),), (change("t", "column removed", "c", breaks=True),))
    assert compare(found, "0", "2").older_code_runs
    assert not compare(found, "1", "2").older_code_runs


def test_a_rule_over_a_known_and_a_younger_column_counts() -> None:
    found = line((change("t", ADDS_COLUMN, "new"),), (change("t", "rule added", "new", "old", breaks=True),))
    assert not compare(found, "0", "2").older_code_runs


def test_an_incomplete_insert_counts_although_its_column_is_new() -> None:
    assert not compare(line((change("t", ADDS_COLUMN, "c", breaks=True),)), "0", "1").older_code_runs


def test_a_table_of_the_same_change_is_unknown_to_older_code() -> None:
    both = (change("t", ADDS_TABLE), change("t", "rule added", "c", breaks=True))
    assert compare(line(both), "0", "1").older_code_runs


def test_a_schema_serves_itself_and_what_is_compatible() -> None:
    known = history.known()
    served = served_on(known, HEAD)
    assert served[-2:] == ("75868b020152", HEAD)
    assert {version for version, head in known.heads.items() if head in served} == {"3.17.0", "3.17.2"}
    assert known.head_of("2.22.4") in served_on(known, known.head_of("3.16.1"))
    assert served_on(known, "ffff00001111") == ()
