"""The record that tells an operator to which time to restore a database if a migration turns out wrong."""

from __future__ import annotations

from importlib.metadata import version

from sqlalchemy import Engine, text

# In a schema of its own, so that MLflow never sees the table and no grant on MLflow's tables ever reaches it.
SCHEMA = "prepare"

_CREATE = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"""
    CREATE TABLE IF NOT EXISTS {SCHEMA}.restore_points (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        from_revision text NOT NULL,
        to_revision text NOT NULL,
        mlflow_version text NOT NULL
    )
    """,
)


def record(target: Engine, *, from_revision: str, to_revision: str) -> str:
    """Write a row, by the server's clock, before a migration of a database with data, and return its time in UTC.

    Committed on its own: the row stays when the migration fails, and a repeated migration writes another one. Every row
    with the same `from_revision` is as good as the last, because a failed migration changes nothing.
    """
    with target.begin() as connection:
        for statement in _CREATE:
            connection.execute(text(statement))
        recorded: str = connection.execute(
            text(
                f"INSERT INTO {SCHEMA}.restore_points (from_revision, to_revision, mlflow_version) "  # noqa: S608
                "VALUES (:from_revision, :to_revision, :mlflow_version) "
                "RETURNING to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
            ),
            {"from_revision": from_revision, "to_revision": to_revision, "mlflow_version": version("mlflow")},
        ).scalar_one()
    return recorded
