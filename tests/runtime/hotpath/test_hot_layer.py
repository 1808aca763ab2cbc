"""When the hot path answers, when it stays out of the way, and what requests at the same time leave behind."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from mlflow.entities import Metric
from prometheus_client import generate_latest
from starlette.responses import PlainTextResponse

from mlflow_runtime.gateway.config import MAX_HEADER_BYTES
from mlflow_runtime.hotpath import sources
from mlflow_runtime.hotpath.layer import ROUTES, HotPath
from mlflow_runtime.metrics import REGISTRY
from mlflow_runtime.middleware.access.classes import route
from mlflow_runtime.middleware.access.keys import Keys
from mlflow_runtime.middleware.access.roles import Role
from mlflow_runtime.middleware.draining import Drain
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service.application import Layer, gate_of, middleware, wrapped
from mlflow_runtime.service.health import Readiness
from mlflow_runtime.service.settings import read
from tests.runtime.hotpath.asking import JSON, Request, ask_inside
from tests.runtime.hotpath.comparing import NOBODY, Sides, post
from tests.runtime.hotpath.faults import FAULTS_AT_ONCE
from tests.runtime.hotpath.generating import experiments, experiments_by_query, search
from tests.runtime.service.test_faults import set_revision
from tests.support.entra_tokens import ACCESS, key_set, token
from tests.support.role_environment import whole
from tests.support.services import Platform

ROUNDS = 20
SEARCHES = [search(max_results=5), experiments(max_results=5), experiments_by_query("max_results=5")]
TRACKING = read(ServiceRole.TRACKING, whole("tracking"))


def test_requests_at_the_same_time_leave_what_they_leave_one_after_the_other(sides: Sides) -> None:
    assert sides.differences_at_once() == []


@pytest.mark.parametrize("fault", sorted(FAULTS_AT_ONCE))
def test_a_fault_that_shows_at_the_same_time_only_is_found(
    fresh: Sides, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    FAULTS_AT_ONCE[fault](monkeypatch)
    fresh.renew()
    assert any(fresh.differences_at_once() for _ in range(ROUNDS))


@pytest.fixture
def fresh(sides: Sides) -> Iterator[Sides]:
    """A hot path that a test may turn off."""
    sides.renew()
    yield sides
    sides.renew()


def test_it_turns_itself_off_on_another_schema(
    fresh: Sides, shared: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    metric = post("log-metric", key="a", value=1.0, timestamp=1)
    run_id = fresh.run()
    assert b"mlflow_hot_path_on 1.0" in generate_latest(REGISTRY)
    head = set_revision(shared, "fffffffffff0")
    try:
        with caplog.at_level(logging.WARNING):
            assert [fresh.ask_hot(metric.of(run=run_id)).status for _ in range(3)] == [200] * 3
    finally:
        set_revision(shared, head)
    assert fresh.rows_of("metrics", run_id) == [("'a'", "1.0", "1", "0", "False")]
    lines = [line for line in caplog.messages if "the hot path is off" in line]
    assert lines == ["the hot path is off, MLflow answers every request: the schema is at revision 'fffffffffff0'"]
    assert b"mlflow_hot_path_on 0.0" in generate_latest(REGISTRY)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: f"{search.method} {search.path}")
def test_a_search_turns_it_off_on_another_schema(fresh: Sides, shared: Platform, search: Request) -> None:
    asked = search.of(experiment=fresh.experiment)
    head = set_revision(shared, "fffffffffff0")
    try:
        assert fresh.ask_hot(asked).status == 200
    finally:
        set_revision(shared, head)
    fresh.answered = 0
    fresh.ask_hot(asked)
    assert fresh.answered == 0


def test_a_search_finds_nothing_of_another_workspace(fresh: Sides) -> None:
    run_id = fresh.run(fresh.elsewhere)
    runs, both = (
        search(max_results=5, experiment_ids=experiments_of, filter=f"run_id = '{run_id}'")
        for experiments_of in ([fresh.elsewhere], [fresh.elsewhere, fresh.experiment])
    )
    assert [run_id.encode() in fresh.ask_hot(each).body for each in (runs, both)] == [True, True]
    fresh.behind = NOBODY
    with fresh.of_another_workspace(fresh.elsewhere):
        assert [fresh.ask_hot(each).status for each in (runs, both)] == [404, 404]
        shown = json.loads(fresh.ask_hot(experiments(max_results=200)).body)["experiments"]
    found = {experiment["experiment_id"] for experiment in shown}
    assert (fresh.experiment in found, fresh.elsewhere in found) == (True, False)


def test_it_is_off_for_another_mlflow(
    fresh: Sides, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sources, "READ", ((Metric, "0" * 16),))
    fresh.renew()
    fresh.answered = 0
    fresh.ask_hot(post("set-tag", key="a", value="b").of(run=fresh.run()))
    assert fresh.answered == 0
    assert "the hot path is off, MLflow answers every request: MLflow's Metric changed" in caplog.text


@pytest.mark.parametrize(("method", "path"), sorted(ROUTES))
def test_what_the_middleware_refuses_is_refused_here(method: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[str] = []

    async def answer(self: HotPath, scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])
        await PlainTextResponse("hot")(scope, receive, send)

    monkeypatch.setattr(HotPath, "__call__", answer)

    def ask(request: Request, most: int = 8, gate: Sequence[Layer] = ()) -> int:
        found = replace(TRACKING, max_in_flight=most)
        layers = middleware(found, Drain(), Readiness([]), lambda _: "/template", route, gate)
        app = wrapped(PlainTextResponse("mlflow"), layers)
        return asyncio.run(ask_inside(app, request)).status

    usual = Request(path=path, method=method, body=b"{}")
    assert (ask(usual), reached) == (200, [path])
    reached.clear()
    assert ask(usual, most=0) == 503
    assert ask(replace(usual, headers=(JSON, ("content-encoding", "br")))) == 415
    assert ask(replace(usual, path=path.replace("/2.0", "//2.0"))) == 400
    assert ask(replace(usual, headers=(JSON, ("x", "y" * MAX_HEADER_BYTES)))) == 431
    assert reached == []

    def ask_as(*roles: str, workspace: str = "team-a", **claims: Any) -> int:
        bearer = ("authorization", f"Bearer {token(*roles, **claims)}")
        sent = replace(usual, headers=(JSON, bearer, ("x-mlflow-workspace", workspace)))
        return ask(sent, gate=gate_of(ACCESS, Keys(key_set), route))

    reads = method == "GET" or path.endswith("/search")
    least = Role.READER if reads else Role.CONTRIBUTOR
    assert (ask_as(f"team-a.{least.title}"), reached) == (200, [path])
    reached.clear()
    assert ask(usual, gate=gate_of(ACCESS, Keys(key_set), route)) == 401
    assert ask_as("team-a.Contributor", exp=1) == 401
    assert ask_as("team-a.Contributor", workspace="team-b") == 403
    assert ask_as() == 403
    if not reads:
        assert ask_as("team-a.Reader") == 403
    assert reached == []


def test_registry_has_no_hot_path_and_tracking_has_it_last() -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        """Stand for MLflow's application."""

    def kinds(role: ServiceRole, **changes: str) -> list[type]:
        found = read(role, whole(role.value) | changes)
        layers = middleware(found, Drain(), Readiness([]), lambda _: "/template", lambda *route: " ".join(route))
        return [type(layer(inner)) for layer in layers]

    assert kinds(ServiceRole.TRACKING)[-1] is HotPath
    assert HotPath not in kinds(ServiceRole.TRACKING)[:-1]
    assert HotPath not in kinds(ServiceRole.TRACKING, MLFLOW_RUNTIME_HOT_PATH_CONNECTIONS="0")
    assert HotPath not in kinds(ServiceRole.REGISTRY)
    ids = {"MLFLOW_RUNTIME_ACCESS_TENANT_ID": str(UUID(int=1)), "MLFLOW_RUNTIME_ACCESS_CLIENT_ID": str(UUID(int=2))}
    assert kinds(ServiceRole.TRACKING, MLFLOW_RUNTIME_ACCESS_MODE="entra", **ids)[-1] is HotPath
