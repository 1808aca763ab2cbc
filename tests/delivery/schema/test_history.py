"""The table of migrations is what the installed MLflow does to PostgreSQL, and its versions are looked up strictly."""

from __future__ import annotations

import json

import pytest

from delivery.schema.generate import TABLE, document, head_of, rendered, unjudged
from delivery.schema.rows import writes_rows
from delivery.schema.scratch import empty_database
from mlflow_runtime.database.revisions import image_revisions
from mlflow_runtime.schema import history
from mlflow_runtime.schema.history import History, UnknownVersionError


def test_the_table_is_what_the_installed_version_does() -> None:
    kept = json.loads(TABLE.read_text())["heads"]
    with empty_database() as empty:
        found = rendered(document(empty, kept))
    assert TABLE.read_text() == found, "python -m delivery.schema.generate"


def test_the_table_ends_at_the_head_of_this_image_and_holds_all_that_it_knows() -> None:
    revisions, known = image_revisions(), history.known()
    assert known.migrations[-1].revision == revisions.head
    assert {one.revision for one in known.migrations} == revisions.known


def test_every_script_that_writes_rows_was_read() -> None:
    assert unjudged() == {}


@pytest.mark.parametrize(
    ("source", "writes"),
    [
        ("op.execute(table.delete().where(table.c.x == 1))", True),
        ("op.execute('UPDATE runs SET x = 1')", True),
        ("op.execute('  insert into runs values (1)')", True),
        ("session.merge(tag)", True),
        ('"""Update the limit"""\nop.alter_column("runs", "x")', False),
        ("op.execute('CREATE INDEX i ON runs (x)')", False),
    ],
)
def test_a_script_that_writes_rows_is_seen(source: str, writes: bool) -> None:
    assert writes_rows(source) is writes


def test_the_head_of_scripts_is_the_one_that_none_builds_on() -> None:
    first, second = b"revision = 'a'\ndown_revision = None", b"revision = 'b'\ndown_revision = 'a'"
    assert head_of([second, first, b"x = 1"]) == "b"
    with pytest.raises(ValueError, match="'b', 'c'"):
        head_of([first, second, b"revision = 'c'\ndown_revision = 'a'"])


@pytest.mark.parametrize(
    ("version", "head"),
    [
        ("2.22.0", "0584bdc529eb"),
        ("2.22.4", "0584bdc529eb"),  # between two of the same schema
        ("3.0.1", "bda7b8c39065"),
        ("3.1.0", "6953534de441"),  # older than that of 3.0.1
        ("3.10.1", "1b5f0d9ad7c1"),
        ("3.17.2", "dc11669786a5"),
    ],
)
def test_the_head_of_a_version(version: str, head: str) -> None:
    assert history.known().head_of(version) == head


@pytest.mark.parametrize("version", ["3.1.2", "2.21.0", "99.0.0"])
def test_an_unknown_version_is_refused_with_the_command_that_adds_it(version: str) -> None:
    with pytest.raises(UnknownVersionError, match=f"3.17.2.*generate {version}"):
        history.known().head_of(version)


@pytest.mark.parametrize("version", ["latest", "3.5.1rc1", "3.5", ""])
def test_what_is_no_released_version_is_refused(version: str) -> None:
    with pytest.raises(UnknownVersionError, match=f"'{version}' is no released version"):
        history.known().head_of(version)


def test_a_revision_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownVersionError, match="ffff00001111 is not among the 0"):
        History(migrations=(), heads={}).between("ffff00001111", "ffff00001112")
