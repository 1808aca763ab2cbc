"""Indexes that MLflow's tables lack, of the platform's own.

They are beside MLflow's and named so that no migration of MLflow knows them: PostgreSQL keeps them through any that
leaves their columns alone. They only make searches fast. So an index that cannot be made now is logged and made by the
next prepare, and no `up` fails because of it.
"""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from mlflow_runtime.prepare.connection import quoted
from mlflow_runtime.reasons import first_line

# How MLflow 3.17.2 orders a search of runs (_get_orderby_clauses in mlflow/store/tracking/sqlalchemy_store.py), with
# `order_by` of the start time, as its pages ask, and without any, as its clients do. Its SELECT DISTINCT sorts by every
# column: without these PostgreSQL sorts all runs of an experiment to answer with a hundred. None of their columns
# changes in a run's life, so an update of a run writes no entry of them.
TRACKING: Final = {
    "platform_runs_by_start_time": (
        "runs (experiment_id, (CASE WHEN (start_time IS NULL) THEN 1 ELSE 0 END), start_time DESC, run_uuid)"
    ),
    "platform_runs_latest": "runs (experiment_id, start_time DESC, run_uuid)",
}
"""The indexes of the tracking database: by their name, the table and what they are on."""

_VALID: Final = (
    "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name) AND indrelid = to_regclass(:table)"
)

_log = logging.getLogger(__name__)


def ensure(target: Engine) -> list[str]:
    """Make the indexes that are missing, and those that a killed prepare left unfinished; return their names.

    Writes go on meanwhile (CONCURRENTLY), for which each statement runs outside of a transaction.
    """
    made = []
    with target.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name, definition in TRACKING.items():
            try:
                if _ensure(connection, name, definition):
                    made.append(name)
            except SQLAlchemyError as error:
                _log.warning(
                    "index %s was not made (%s): searches of runs are slower until the next prepare makes it",
                    name,
                    first_line(error),
                )
    return made


def _ensure(connection: Connection, name: str, definition: str) -> bool:
    table = definition.partition(" ")[0]
    valid = connection.execute(text(_VALID), {"name": name, "table": table}).scalar()
    if valid:
        return False
    if valid is False:
        connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {quoted(name)}")
    connection.exec_driver_sql(f"CREATE INDEX CONCURRENTLY {quoted(name)} ON {definition}")
    return True
