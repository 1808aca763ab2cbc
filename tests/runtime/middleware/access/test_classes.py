"""Every route of the running application has a class, and every class its least role."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mlflow_runtime.middleware.access import matching
from mlflow_runtime.middleware.access.classes import (
    CLASSES,
    LEAST_ROLE,
    SHARED_ARTIFACT_ROUTES,
    SHARED_MODEL_ROUTES,
    Class,
    duplicates,
    route,
)
from mlflow_runtime.middleware.access.decision import Allowed, Asked, decide
from mlflow_runtime.middleware.access.roles import Part, Role
from mlflow_runtime.middleware.access.tokens import Caller
from tests.support.access_rules import MAY
from tests.support.entra_tokens import ACCESS, ANNA, AZURE_CLI

WHERE = "team-a"
LEVELS: dict[str, dict[str, Role]] = {
    "no role": {},
    "a role elsewhere": {"team-b": Role.ADMIN},
    **{role.title: {WHERE: role} for role in Role},
}


@pytest.fixture(scope="module")
def application() -> tuple[Any, Any]:
    """MLflow's two halves, as a service loads them."""
    from mlflow.server import app as flask_app
    from mlflow.server.fastapi_app import app

    return app, flask_app.url_map


@pytest.fixture(scope="module")
def running(application: tuple[Any, Any]) -> set[str]:
    return set(matching.routes(*application))


def may(kind: Class) -> set[str]:
    """Which of LEVELS a route of this class admits."""
    return MAY[kind] | ({"a role elsewhere"} if kind is Class.OPEN else set())


def caller(level: str) -> Caller:
    return Caller(oid=ANNA, name="anna", application=AZURE_CLI, roles=LEVELS[level], expires_at=0)


def test_every_route_of_the_running_application_has_a_class_and_no_other_has(running: set[str]) -> None:
    assert len(running) > 250
    assert running - CLASSES.keys() == set()
    assert CLASSES.keys() - running == set()
    assert list(duplicates()) == []


def test_each_route_admits_who_has_the_role_for_it(running: set[str]) -> None:
    wrong = []
    for name in sorted(running):
        for level in LEVELS:
            method = name.partition(" ")[0]
            decided = decide(ACCESS, caller(level), Asked(method=method, route=name, workspace=WHERE))
            if isinstance(decided, Allowed) != (level in may(CLASSES[name])):
                wrong.append((name, level, decided))
    assert wrong == []


def test_who_reads_a_shared_model_is_admitted_to_what_reads_one(running: set[str]) -> None:
    everything = Part(models=("churn",), experiments=("12",))
    admitted: dict[str, set[str]] = {"models": set(), "artifacts": set()}
    for what, part in (("models", replace(everything, experiments=())), ("artifacts", replace(everything, models=()))):
        asks = replace(caller("a role elsewhere"), parts={WHERE: part})
        for name in sorted(running):
            asked = Asked(method=name.partition(" ")[0], route=name, workspace=WHERE, artifacts=("12/r/a",))
            if CLASSES[name] is not Class.OPEN and isinstance(decide(ACCESS, asks, asked), Allowed):
                admitted[what].add(name)
    assert admitted == {"models": {*SHARED_MODEL_ROUTES}, "artifacts": {*SHARED_ARTIFACT_ROUTES}}
    assert {CLASSES[name] for name in SHARED_MODEL_ROUTES | SHARED_ARTIFACT_ROUTES} == {Class.READ}


def test_a_route_without_a_class_is_refused_to_everybody() -> None:
    for name in ("GET /api/9.0/new", None):
        decided = decide(ACCESS, caller("Admin"), Asked(method="GET", route=name, workspace=WHERE))
        assert not isinstance(decided, Allowed)
        assert decided.failure.status == 404


def test_a_request_is_matched_to_the_route_that_serves_it(application: tuple[Any, Any]) -> None:
    match = matching.matcher(*application)

    def paths() -> Iterator[tuple[str, str, str]]:
        for name in sorted(CLASSES):
            method, _, template = name.partition(" ")
            path = template.replace("{}", "x1")
            yield name, method, path
            if path.startswith("/api/"):
                yield name, method, f"/ajax-{path[1:]}"

    found = [(name, match(method, path)) for name, method, path in paths()]
    # MLflow has some routes below one of the two only.
    assert [pair for pair in found if pair[1] not in (None, pair[0])] == []
    assert {name for name, got in found if got == name} == CLASSES.keys()


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("HEAD", "/api/2.0/mlflow/runs/get", "GET /api/2.0/mlflow/runs/get"),
        ("POST", "/api/2.0/mlflow/traces/delete-traces", "POST /api/2.0/mlflow/traces/delete-traces"),
        ("PATCH", "/ajax-api/2.0/mlflow/traces/delete-traces", "PATCH /api/2.0/mlflow/traces/{}"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts/a/b", "GET /api/2.0/mlflow-artifacts/artifacts/{}"),
        ("DELETE", "/api/3.0/mlflow/mcp-servers/a/b/versions/1", "DELETE /api/3.0/mlflow/mcp-servers/{}/versions/{}"),
        *(("GET", path, None) for path in ("/api/2.0/mlflow/runs/get/", "/api/2.0/mlflow/RUNS/get", "/none", "")),
        *((method, "/api/2.0/mlflow/runs/get", None) for method in ("OPTIONS", "POST", "TRACE")),
    ],
)
def test_matching(application: tuple[Any, Any], method: str, path: str, expected: str | None) -> None:
    assert matching.matcher(*application)(method, path) == expected


def test_templates_of_both_halves_have_one_name() -> None:
    assert route("HEAD", "/ajax-api/2.0/x/<path:a>/<b>") == "GET /api/2.0/x/{}/{}"
    assert route("PUT", "/api/2.0/x/{a:path}/{b}") == "PUT /api/2.0/x/{}/{}"


def test_every_class_has_a_role_or_needs_none() -> None:
    assert set(LEAST_ROLE) | {Class.OPEN, Class.FORBIDDEN} == set(Class) == set(CLASSES.values())
