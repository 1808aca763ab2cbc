"""What another request has overtaken runs again, if nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry import sqlalchemy_store as registry
from mlflow.store.tracking import sqlalchemy_store as tracking
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm.exc import StaleDataError

from mlflow_runtime import request_id
from mlflow_runtime.patches import simultaneous_writes as patch
from mlflow_runtime.patches.simultaneous_writes import again, counting_commits, is_repeated


class Refusal(Exception):  # noqa: N818
    """The driver's exception."""

    def __init__(self, pgcode: str) -> None:
        super().__init__(pgcode)
        self.pgcode = pgcode


STALE = StaleDataError("0 were matched")
DEADLOCK = OperationalError("", {}, Refusal("40P01"))
SERIALIZATION = OperationalError("", {}, Refusal("40001"))
REFERRED = IntegrityError("", {}, Refusal("23503"))
THERE_ALREADY = IntegrityError("", {}, Refusal("23505"))
AWAY = OperationalError("", {}, Refusal("57P01"))


class Store:
    """A method that is overtaken so many times, after it has done something else or nothing."""

    def __init__(self, cause: Exception, times: int) -> None:
        self.cause, self.times, self.calls = cause, times, 0

        @contextmanager
        def session(*, read_only: bool) -> Iterator[object]:
            yield SimpleNamespace(read_only=read_only)

        self.session = counting_commits(session)

    def change(self, first: Callable[[Store], object] = lambda _: None) -> str:
        self.calls += 1
        first(self)
        if self.calls <= self.times:
            raise MlflowException("no") from self.cause
        return "done"


def write(store: Store) -> None:
    with store.session(read_only=False):
        pass


def read(store: Store) -> None:
    with store.session():
        pass


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch, "_LONGEST_PAUSE_SECONDS", 0)


@pytest.mark.parametrize("first", [lambda _: None, read], ids=["nothing", "read"])
@pytest.mark.parametrize("cause", [STALE, DEADLOCK, SERIALIZATION], ids=str)
def test_what_was_undone_whole_runs_again(cause: Exception, first: Callable[[Store], object]) -> None:
    store = Store(cause, 3)
    assert again(store.change, twice=False)(first) == "done"
    assert store.calls == 4


def test_what_has_committed_something_does_not() -> None:
    store = Store(DEADLOCK, 1)
    with pytest.raises(MlflowException):
        again(store.change, twice=True)(write)
    assert store.calls == 1


@pytest.mark.parametrize(("cause", "twice"), [(AWAY, True), (THERE_ALREADY, False)], ids=str)
def test_another_refusal_is_an_answer(cause: Exception, twice: bool) -> None:
    store = Store(cause, 1)
    with pytest.raises(MlflowException):
        again(store.change, twice=twice)()
    assert store.calls == 1


def test_what_may_be_there_already_runs_again() -> None:
    assert again(Store(THERE_ALREADY, 1).change, twice=True)() == "done"


def test_what_is_overtaken_each_time_is_answered_so() -> None:
    store = Store(STALE, 99)
    with pytest.raises(MlflowException):
        again(store.change, twice=False)()
    assert store.calls == patch._ATTEMPTS


def test_what_names_a_thing_that_is_gone_runs_again_once() -> None:
    """It finds another answer then, unless the thing was never there."""
    assert again(Store(REFERRED, 1).change, twice=False)() == "done"
    store = Store(REFERRED, 99)
    with pytest.raises(MlflowException):
        again(store.change, twice=True)()
    assert store.calls == 2


def test_methods_that_call_each_other_share_their_attempts() -> None:
    """As `log_batch`, which calls `_log_params`."""
    store = Store(STALE, 99)
    inner = again(store.change, twice=True)
    with pytest.raises(MlflowException):
        again(lambda: inner(), twice=True)()
    assert store.calls == patch._ATTEMPTS
    # The next call has its own.
    assert again(Store(STALE, 3).change, twice=False)() == "done"


def test_the_methods_of_a_request_share_their_attempts() -> None:
    """Not with another request, whose client has chosen the same id."""

    def request() -> int:
        assert request_id.begin({"headers": [(b"x-request-id", b"a")]}) == "a"
        stores = [Store(STALE, 6), Store(STALE, 99)]
        again(stores[0].change, twice=False)()
        with pytest.raises(MlflowException):
            again(stores[1].change, twice=False)()
        return sum(store.calls - 1 for store in stores)

    for _ in range(2):
        assert copy_context().run(request) == patch._ATTEMPTS - 1


@pytest.mark.parametrize(
    ("store", "name"),
    [
        (tracking.SqlAlchemyStore, "delete_tag"),
        (tracking.SqlAlchemyStore, "delete_experiment_tag"),
        (tracking.SqlAlchemyStore, "_log_params"),
        (tracking.SqlAlchemyStore, "delete_gateway_endpoint"),
        (registry.SqlAlchemyStore, "delete_registered_model_alias"),
        (registry.SqlAlchemyStore, "create_model_version"),
        (registry.SqlAlchemyStore, "transition_model_version_stage"),
        (registry.SqlAlchemyStore, "update_webhook"),
    ],
)
def test_every_method_of_a_store_is_one_that_may_run_again(store: type, name: str) -> None:
    assert is_repeated(store, name)
    assert not is_repeated(store, "__init__")
