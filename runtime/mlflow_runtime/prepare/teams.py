"""The workspaces of the stack's teams: made where they are missing, and none with data left out.

Services show what is in the workspaces that they know. Data in another one would be there and in nobody's reach, and
without any team MLflow does not open its stores any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, Engine, text

from mlflow_runtime.middleware.access.settings import DEFAULT_WORKSPACE
from mlflow_runtime.prepare.errors import PrepareError

# Of what has a time of its deletion, such as a webhook, MLflow keeps the row for good.
_TABLES = text(
    "SELECT table_name, bool_or(column_name = 'deleted_timestamp') FROM information_schema.columns"
    " WHERE table_schema = 'public' GROUP BY 1 HAVING bool_or(column_name = 'workspace') ORDER BY 1"
)


def refuse_left_out(databases: Iterable[Engine], teams: Sequence[str]) -> None:
    """Refuse a stack without a team whose workspace has data."""
    found: dict[str, dict[str, int]] = {}
    for database in databases:
        with database.connect() as connection:
            for table, keeps_deleted in connection.execute(_TABLES).all():
                there = "deleted_timestamp IS NULL" if keeps_deleted else "true"
                for workspace, rows in _counted(connection, table, there, (DEFAULT_WORKSPACE, *teams)):
                    found.setdefault(workspace, {})[table] = rows
    if found:
        raise PrepareError(_left_out(found), _remedy(sorted({*teams, *found})))


def ensure(tracking: Engine, teams: Sequence[str]) -> list[str]:
    """Make the workspaces that are missing in the tracking database; return them."""
    insert = text("INSERT INTO workspaces (name) VALUES (:name) ON CONFLICT DO NOTHING")
    with tracking.begin() as connection:
        return [team for team in teams if connection.execute(insert, {"name": team}).rowcount]


def _counted(connection: Connection, table: str, there: str, known: Sequence[str]) -> Sequence[tuple[str, int]]:
    name = connection.dialect.identifier_preparer.quote(table)
    where = f"WHERE workspace <> ALL(:known) AND {there}"
    query = text(f"SELECT workspace, count(*) FROM {name} {where} GROUP BY 1")  # noqa: S608
    return [(workspace, rows) for workspace, rows in connection.execute(query, {"known": list(known)})]


def _left_out(found: Mapping[str, Mapping[str, int]]) -> str:
    said = "; ".join(
        f"{workspace} has {', '.join(f'{rows} {table}' for table, rows in tables.items())}"
        for workspace, tables in sorted(found.items())
    )
    return f"workspaces with data are left out ({said})"


def _remedy(teams: Sequence[str]) -> str:
    return (
        f"set access.mode to entra and teams to {', '.join(teams)}; a team leaves once everything in its workspace is "
        "deleted, and deleted runs are purged"
    )
