"""Whether the server takes the connections of the services: the sum, and a start that is refused."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from sqlalchemy import make_url

from components.mlflow import connections as planned
from mlflow_runtime.database import connections
from mlflow_runtime.database.connections import Limit, refusal
from mlflow_runtime.service.settings import Databases
from tests.support import warm
from tests.support.services import Platform, Service, eventually

LIMIT = Limit(most=50, reserved=15)


@pytest.mark.parametrize(("pool", "databases", "enough"), [(8, 2, True), (9, 2, False), (17, 1, True), (18, 1, False)])
def test_a_server_that_takes_too_few_is_refused(pool: int, databases: int, enough: bool) -> None:
    assert (refusal("db:5432", LIMIT, pool, databases) is None) is enough


def test_the_refusal_holds_the_arithmetic() -> None:
    assert (refusal("db:5432", LIMIT, 9, 2) or "").startswith(
        "This replica alone may open 2 databases x (1 engine x (9 kept + 9 more at work) + 1 for /ready) = 38 "
        "connections to db:5432, which takes 50 - 15 reserved = 35."
    )


def test_a_replica_counts_as_the_plan_of_the_stack_counts_it() -> None:
    own = refusal("db:5432", Limit(most=1, reserved=0), 7, 2) or ""
    assert f"= {planned.Budget(replicas={}, pool=7, rolling=False).per_replica} connections" in own


def test_a_service_that_the_server_has_no_room_for_does_not_start(shared: Platform) -> None:
    ended = shared.run("tracking", PORT="5999", MLFLOW_RUNTIME_DATABASE_POOL_SIZE="100")
    assert ended.returncode == 1
    message = json.loads(ended.stderr.splitlines()[-1])["message"]
    assert re.search(r"= 402 connections to 127\.0\.0\.1:\d+, which takes 400 - 3 reserved = 397", message)


def test_a_server_that_cannot_be_asked_refuses_nothing(as_tracking: Platform, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = make_url("postgresql+entra://mlflow-tracking@127.0.0.1:1/tracking?sslmode=disable")
    connections.require(Databases(tracking=nowhere, registry=nowhere, pool_size=200, hot_path=0))
    assert "cannot be asked for its connections" in caplog.text


def test_an_engine_opens_no_more_than_was_counted(shared: Platform) -> None:
    """The number of engines is MLflow's own affair: a busy replica's sessions, but the probes', are of two pools."""
    others = set(_sessions(shared))
    service = shared.start("tracking", ready=True, MLFLOW_RUNTIME_DATABASE_POOL_SIZE="2", **warm.COLD)
    try:
        _busy(service)
        own = Counter(database for session, database in _sessions(shared).items() if session not in others)
    finally:
        service.program.kill()
    assert own
    assert all(number <= 2 * 2 for number in own.values()), own


def _sessions(platform: Platform) -> dict[int, str]:
    """Return the database of each session that PostgreSQL holds for tracking services, by the session's process."""
    with platform.plane.superuser() as cursor:
        cursor.execute(
            "select pid, datname from pg_stat_activity where application_name = 'mlflow-tracking'"
            " and usename = 'mlflow-tracking'"
        )
        return dict(cursor.fetchall())


def _busy(service: Service) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def ask(_number: int) -> int:
        return service.ask("/api/2.0/mlflow/experiments/search?max_results=1").status

    with ThreadPoolExecutor(16) as clients:
        eventually(lambda: set(clients.map(ask, range(64))) == {200}, "a busy replica answers")
