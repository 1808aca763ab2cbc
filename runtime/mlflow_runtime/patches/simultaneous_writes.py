"""Requests that change the same thing at the same time are answered as if one came after the other.

MLflow 3.17.2 reads a row, and then inserts, updates or deletes it (`Session.merge` and `Session.delete` in its stores).
Of two requests that insert it, the second one is answered with 400; so is one whose row another request deletes or
renames in between. A deadlock is answered with 503. In each case the database has undone the whole transaction, and
running it again finds what the other request left. All methods that a request calls share its attempts.
"""

from __future__ import annotations

import contextlib
import functools
import inspect as inspection
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, ParamSpec, TypeVar

from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as mlflow_db
from mlflow.store.model_registry import sqlalchemy_store as registry
from mlflow.store.tracking import sqlalchemy_store as tracking
from sqlalchemy import Column, inspect
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

from mlflow_runtime import request_id
from mlflow_runtime.patches.unchanged import is_unchanged

READ: Final = "1f18307528cb24b6"
_ATTEMPTS: Final = 10
_LONGEST_PAUSE_SECONDS: Final = 0.02

# SQLSTATEs (PostgreSQL's documentation, appendix "PostgreSQL Error Codes").
_UNIQUE_VIOLATION: Final = "23505"
# What it refers to is gone meanwhile, or was never there; or is referred to meanwhile.
_FOREIGN_KEY_VIOLATION: Final = "23503"
# The two ends of a conflict of transactions.
_CONFLICTS: Final = frozenset({"40001", "40P01"})

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
        return counting_commits(make(sessions, kind))

    mlflow_db._get_managed_session_maker = registry._get_managed_session_maker = managed
    for store in (tracking.SqlAlchemyStore, registry.SqlAlchemyStore):
        for name, method in inspection.getmembers(store, inspection.isfunction):
            if is_repeated(store, name):
                setattr(store, name, again(method, twice=name.startswith(WRITES)))
    return True


def is_repeated(store: type, name: str) -> bool:
    """Return whether a method of a store is one that is called to do something, whole."""
    method = inspection.getattr_static(store, name)
    return (
        inspection.isfunction(method)
        and not inspection.iscoroutinefunction(method)
        and not inspection.isgeneratorfunction(method)
        and (not name.startswith("_") or name.startswith(WRITES))
    )


class _Written(threading.local):
    """How many transactions of this thread that may write were committed."""

    count = 0


_written: Final = _Written()


def counting_commits(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a maker of sessions that counts those that write and end well."""

    @contextlib.contextmanager
    def make_session(read_only: bool = True) -> Iterator[Any]:
        with make(read_only=read_only) as session:
            yield session
        _written.count += not read_only

    return make_session


class _Retries(threading.local):
    """What the request that this thread is at has left of its retries."""

    left = 0
    foreign_keys = 0
    request: object | None = None
    depth = 0

    @contextlib.contextmanager
    def of_the_request(self) -> Iterator[None]:
        """Continue with those of the present request. Outside of one, each outermost method has its own."""
        request = request_id.request()
        if self.depth == 0 and (request is None or request is not self.request):
            self.left, self.foreign_keys, self.request = _ATTEMPTS - 1, 1, request
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def take(self, error: MlflowException, *, twice: bool) -> bool:
        """Take one for a method that failed so; return whether it runs again."""
        if not self.left or not is_overtaken(error, twice=twice):
            return False
        if _state(error) == _FOREIGN_KEY_VIOLATION:
            if not self.foreign_keys:
                return False
            self.foreign_keys -= 1
        self.left -= 1
        return True


_retries: Final = _Retries()


def again(method: Callable[P, R], *, twice: bool) -> Callable[P, R]:
    """Have a method that another request has overtaken run again, if nothing of what it did is left.

    `twice` says that what it inserts may be there already.
    """

    @functools.wraps(method)
    def repeated(*arguments: P.args, **options: P.kwargs) -> R:
        with _retries.of_the_request():
            while True:
                before = _written.count
                try:
                    return method(*arguments, **options)
                except MlflowException as error:
                    if _written.count != before or not _retries.take(error, twice=twice):
                        raise
                longest = (_ATTEMPTS - 1 - _retries.left) * _LONGEST_PAUSE_SECONDS
                time.sleep(random.uniform(0, longest))  # noqa: S311 - spreads, hides nothing

    return repeated


def is_overtaken(error: MlflowException, *, twice: bool) -> bool:
    """Return whether the database undid a transaction because of another one."""
    if isinstance(error.__cause__, StaleDataError | ObjectDeletedError):
        return True
    state = _state(error)
    return state in _CONFLICTS or state == _FOREIGN_KEY_VIOLATION or (twice and state == _UNIQUE_VIOLATION)


def _state(error: MlflowException) -> str | None:
    """Return the SQLSTATE for which a method failed, if it has one."""
    cause = error.__cause__
    return getattr(cause.orig, "pgcode", None) if isinstance(cause, DBAPIError) else None
