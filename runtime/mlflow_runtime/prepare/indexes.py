"""Indexes that MLflow's tables lack, of the platform's own.

They are beside MLflow's and named so that no migration of MLflow knows them: PostgreSQL keeps them through any that
leaves their columns alone. They only make searches fast. So an index that cannot be made now is logged and made by the
next prepare, and no `up` fails because of it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from azure.core.exceptions import AzureError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from mlflow_runtime.prepare.connection import quoted
from mlflow_runtime.reasons import first_line


def named(definitions: dict[str, str]) -> dict[str, str]:
    """Give each definition's index a name with a digest of it: a changed definition is another index."""
    return {
        f"platform_{purpose}_{hashlib.sha256(definition.encode()).hexdigest()[:8]}": definition
        for purpose, definition in definitions.items()
    }


# How MLflow 3.17.2 orders a search of runs (_get_orderby_clauses in mlflow/store/tracking/sqlalchemy_store.py), with
# `order_by` of the start time, as its pages ask, and without any, as its clients do. Its SELECT DISTINCT sorts by every
# column: without these PostgreSQL sorts all runs of an experiment to answer with a hundred. None of their columns
# changes in a run's life, so an update of a run writes no entry of them.
TRACKING: Final = named(
    {
        "runs_by_start_time": (
            "runs (experiment_id, (CASE WHEN (start_time IS NULL) THEN 1 ELSE 0 END), start_time DESC, run_uuid)"
        ),
        "runs_latest": "runs (experiment_id, start_time DESC, run_uuid)",
    }
)
"""The indexes of the tracking database: by their name, the table and what they are on."""

BUILD_SECONDS: Final = 300.0
"""How long one index may take, waits for the transactions that are open included: all of them fit into a job."""

DROP_SECONDS: Final = 30.0
"""How long it may take to drop one."""

_VALID: Final = (
    "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name) AND indrelid = to_regclass(:table)"
)
# Indexes of constraints are left alone, whatever their names.
_PRESENT: Final = (
    "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE starts_with(relname, 'platform_') "
    "AND pg_table_is_visible(indexrelid) AND NOT indisunique ORDER BY relname"
)
_ERRORS: Final = (SQLAlchemyError, AzureError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The names of the indexes that were created, that were dropped because none wants them, and that are missing."""

    created: Sequence[str] = ()
    dropped: Sequence[str] = ()
    missing: Sequence[str] = ()

    def __str__(self) -> str:
        parts = {"created": self.created, "dropped": self.dropped, "not created": self.missing}
        return "; ".join(f"{what} {', '.join(names)}" for what, names in parts.items() if names) or "present"


def ensure(target: Engine) -> Outcome:
    """Create the indexes that are missing or that a killed prepare left unfinished, and drop those of other images.

    Writes go on meanwhile (CONCURRENTLY), for which each statement runs outside of a transaction. While one is missing
    none is dropped: an earlier image's index of the same columns may serve until the next prepare.
    """
    created, missing = [], []
    for name, definition in TRACKING.items():
        try:
            if _ensure(target, name, definition):
                created.append(name)
        except _ERRORS as error:
            missing.append(name)
            _log.warning(
                "index %s was not created (%s): searches of runs are slower until the next prepare creates it",
                name,
                first_line(error),
            )
            _drop(target, name)
    dropped = [] if missing else [name for name in _others(target) if _drop(target, name)]
    return Outcome(created=created, dropped=dropped, missing=missing)


def _ensure(target: Engine, name: str, definition: str) -> bool:
    table = definition.partition(" ")[0]
    with _session(target, BUILD_SECONDS) as session:
        valid = session.execute(text(_VALID), {"name": name, "table": table}).scalar()
        if valid:
            return False
        if valid is False:
            session.exec_driver_sql(f"DROP INDEX CONCURRENTLY {quoted(name)}")
        session.exec_driver_sql(f"CREATE INDEX CONCURRENTLY {quoted(name)} ON {definition}")
        return True


def _others(target: Engine) -> Sequence[str]:
    try:
        with _session(target, DROP_SECONDS) as session:
            return [name for name in session.execute(text(_PRESENT)).scalars() if name not in TRACKING]
    except _ERRORS as error:
        _log.warning("indexes of other images were not looked for (%s): the next prepare does", first_line(error))
        return ()


def _drop(target: Engine, name: str) -> bool:
    """Drop an index, which each write would otherwise keep up for no search; say whether it is gone."""
    try:
        with _session(target, DROP_SECONDS) as session:
            session.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(name)}")
    except _ERRORS as error:
        _log.warning("index %s was not dropped (%s): the next prepare does", name, first_line(error))
        return False
    return True


@contextmanager
def _session(target: Engine, seconds: float) -> Iterator[Connection]:
    """Connect with an end to each statement, and none to its waits for locks: CONCURRENTLY blocks nobody meanwhile."""
    with target.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET lock_timeout = 0")
        connection.exec_driver_sql(f"SET statement_timeout = {round(1000 * seconds)}")
        yield connection
