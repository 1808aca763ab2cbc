"""Requests that set the same new tag, alias or parameter at the same time all succeed, with the value of one.

MLflow 3.17.2 looks whether a row is there and inserts it if not (`Session.merge` in its stores). Two requests both find
none, and the second one to insert is answered with 400 and the database's words.
"""

from __future__ import annotations

import functools
import inspect as inspection
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as mlflow_db
from mlflow.store.model_registry import sqlalchemy_store as registry
from mlflow.store.tracking import sqlalchemy_store as tracking
from sqlalchemy import Column, inspect
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mlflow_runtime.patches.unchanged import is_unchanged

READ: Final = "1f18307528cb24b6"
_UNIQUE_VIOLATION: Final = "23505"
_ATTEMPTS: Final = 5

WRITES: Final = ("set_", "log_", "_log_params", "link_", "upsert_", "add_")
"""How the names of methods begin that add to what is there, and may do so twice. What creates is not among them."""

P = ParamSpec("P")
R = TypeVar("R")


class Merging(Session):
    """A session whose `merge` inserts the row where there is none, in one statement, before it looks for it.

    The statement waits for another transaction that inserts the same row, and then finds it.
    """

    def merge(self, instance: Any, **options: Any) -> Any:
        """As SQLAlchemy's."""
        state: Any = inspect(instance)
        values = {
            column: state.dict[attribute]
            for attribute, column in state.mapper.columns.items()
            if state.dict.get(attribute) is not None
        }
        # An object whose relationships say the rest is left to `merge`.
        if all(column in values for column in state.mapper.local_table.columns if _has_to_be_given(column)):
            self.flush()  # as `merge` does before it looks
            self.execute(insert(state.mapper.local_table).values(values).on_conflict_do_nothing())
        return super().merge(instance, **options)


def _has_to_be_given(column: Column[Any]) -> bool:
    return column.primary_key or (not column.nullable and column.default is None and column.server_default is None)


def install() -> bool:
    """Have MLflow's stores use such sessions, in this process. Return whether it is on."""
    make = mlflow_db._get_managed_session_maker
    if not is_unchanged(make, READ):
        return False

    def managed(sessions: Any, kind: str) -> Any:
        if kind == "postgresql":
            sessions.class_ = type(sessions.class_.__name__, (Merging, sessions.class_), {})
        return make(sessions, kind)

    mlflow_db._get_managed_session_maker = registry._get_managed_session_maker = managed
    for store in (tracking.SqlAlchemyStore, registry.SqlAlchemyStore):
        for name, method in inspection.getmembers(store, inspection.isfunction):
            if name.startswith(WRITES) and not inspection.iscoroutinefunction(method):
                setattr(store, name, again(method))
    return True


def again(method: Callable[P, R]) -> Callable[P, R]:
    """Have a method that another one's insert has undone run again, and find the other's row."""

    @functools.wraps(method)
    def repeated(*arguments: P.args, **options: P.kwargs) -> R:
        for _ in range(_ATTEMPTS - 1):
            try:
                return method(*arguments, **options)
            except MlflowException as error:
                if not _is_overtaken(error):
                    raise
        return method(*arguments, **options)

    return repeated


def _is_overtaken(error: MlflowException) -> bool:
    cause = error.__cause__
    return isinstance(cause, IntegrityError) and getattr(cause.orig, "pgcode", None) == _UNIQUE_VIOLATION
