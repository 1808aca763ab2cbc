"""Which differences of two catalogs break code that knows the first, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine

from delivery.schema import catalog
from delivery.schema.changes import changes
from mlflow_runtime.schema.history import Change
from tests.support.servers import postgres_server

BEFORE = (
    "CREATE TABLE owner (id int PRIMARY KEY, name varchar(10) UNIQUE NOT NULL)",
    "CREATE TABLE thing (id int PRIMARY KEY, note varchar(10), size int NOT NULL DEFAULT 1, word varchar(9) NOT NULL, "
    "owner int CONSTRAINT owned REFERENCES owner, CONSTRAINT known CHECK (size > 0))",
)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with postgres_server() as server:
        engine = create_engine(f"postgresql+psycopg2://postgres@127.0.0.1:{server.port}/postgres")
        with engine.connect() as opened:
            yield opened
        engine.dispose()


def after(connection: Connection, *statements: str) -> list[Change]:
    """The changes that the statements make; undone at the end."""
    with connection.begin() as transaction:
        for statement in BEFORE:
            connection.exec_driver_sql(statement)
        before = catalog.read(connection)
        for statement in statements:
            connection.exec_driver_sql(statement)
        found = changes(before, catalog.read(connection))
        transaction.rollback()
    return found


@pytest.mark.parametrize(
    ("statement", "kinds"),
    [
        ("CREATE TABLE other (id int PRIMARY KEY, thing int REFERENCES thing)", ["table added"]),
        ("ALTER TABLE thing ADD note2 text", ["column added"]),
        ("ALTER TABLE thing ADD flag boolean NOT NULL DEFAULT false", ["column added"]),
        ("ALTER TABLE thing ADD serial int GENERATED ALWAYS AS IDENTITY", ["column added"]),
        ("ALTER TABLE thing ADD other int REFERENCES owner", ["column added", "rule added"]),
        ("ALTER TABLE thing ALTER note TYPE varchar(20)", ["column widened"]),
        ("ALTER TABLE thing ALTER note TYPE text", ["column widened"]),
        ("ALTER TABLE thing ALTER word DROP NOT NULL", ["null allowed"]),
        ("ALTER TABLE thing DROP CONSTRAINT owned", ["rule removed"]),
        ("ALTER TABLE thing DROP CONSTRAINT known", ["rule removed"]),
        (
            "ALTER TABLE thing DROP CONSTRAINT owned, ADD FOREIGN KEY (owner) REFERENCES owner ON DELETE CASCADE",
            ["rule replaced"],
        ),
        (
            "ALTER TABLE owner ADD space text NOT NULL DEFAULT 'x', DROP CONSTRAINT owner_name_key, "
            "ADD UNIQUE (space, name)",
            ["column added", "rule replaced"],
        ),
        ("CREATE INDEX i ON thing (note)", []),
        ("ALTER TABLE thing RENAME CONSTRAINT known TO size_is_known", []),
    ],
)
def test_what_code_from_before_does_not_notice(connection: Connection, statement: str, kinds: list[str]) -> None:
    found = after(connection, statement)
    assert [change.kind for change in found] == kinds
    assert not any(change.breaks for change in found)


@pytest.mark.parametrize(
    ("statement", "kinds"),
    [
        ("DROP TABLE thing", ["table removed"]),
        ("ALTER TABLE thing RENAME TO things", ["table removed"]),
        ("ALTER TABLE thing DROP note", ["column removed"]),
        ("ALTER TABLE thing RENAME note TO remark", ["column removed"]),
        ("ALTER TABLE thing ADD must text NOT NULL", ["column added"]),
        ("ALTER TABLE thing ALTER note TYPE varchar(5)", ["column type changed"]),
        ("ALTER TABLE thing ALTER size TYPE bigint", ["column type changed"]),
        ("ALTER TABLE thing ALTER note SET NOT NULL", ["null refused"]),
        ("ALTER TABLE thing ALTER size DROP DEFAULT", ["default removed"]),
        ("ALTER TABLE thing ADD UNIQUE (note)", ["rule added"]),
        ("CREATE UNIQUE INDEX i ON thing (note)", ["rule added"]),
        ("ALTER TABLE thing ADD CHECK (note <> '')", ["rule added"]),
        ("ALTER TABLE thing ADD FOREIGN KEY (size) REFERENCES owner", ["rule added"]),
        ("ALTER TABLE owner DROP CONSTRAINT owner_name_key", ["rule removed"]),
        (
            "ALTER TABLE owner ADD space text, DROP CONSTRAINT owner_name_key, ADD UNIQUE (space, name)",
            ["rule added", "rule removed"],
        ),
    ],
)
def test_what_breaks_code_from_before(connection: Connection, statement: str, kinds: list[str]) -> None:
    found = after(connection, statement)
    assert {change.kind for change in found if change.breaks} == set(kinds)
