"""Each role answers its own routes only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_runtime.middleware.own_routes import COMMON, refusal
from mlflow_runtime.routes import ServiceRole
from tests.support.services import Service

# A path and the one role that answers it.
OWNERS = {
    "/": "tracking",
    "/static-files/favicon.ico": "tracking",
    "/api/2.0/mlflow/experiments/search": "tracking",
    "/ajax-api/3.0/mlflow/server-info": "tracking",
    "/api/3.0/mlflow/traces": "tracking",
    "/v1/traces": "tracking",
    "/graphql": "tracking",
    "/get-artifact": "tracking",
    "/gateway/x/mlflow/invocations": "tracking",
    "/api/2.0/mlflow/registered-models/search": "registry",
    "/ajax-api/2.0/mlflow/model-versions/search": "registry",
    "/api/2.0/mlflow/webhooks": "registry",
    "/model-versions/get-artifact": "registry",
    "/api/2.0/mlflow-artifacts/artifacts": "artifacts",
    "/ajax-api/2.0/mlflow-artifacts/artifacts/1/x": "artifacts",
    "/api/2.0/mlflow-artifacts/mpu/create/x": "artifacts",
}


@pytest.mark.parametrize("path", OWNERS)
@pytest.mark.parametrize("role", ServiceRole)
def test_a_service_refuses_the_routes_of_the_others(services: dict[str, Service], role: ServiceRole, path: str) -> None:
    answer = services[role].ask(path)
    refused = answer.status == 404 and b"ENDPOINT_NOT_FOUND" in answer.content and b"belongs to the" in answer.content
    assert refused == (OWNERS[path] != role), answer


@pytest.mark.parametrize("path", sorted(COMMON))
@pytest.mark.parametrize("role", ServiceRole)
def test_what_belongs_to_the_process_is_answered_by_all(
    services: dict[str, Service], role: ServiceRole, path: str
) -> None:
    assert services[role].ask(path).status == 200


@given(st.text(st.sampled_from("/.abAPI20mlflow-\\\t%"), max_size=60))
def test_a_path_has_one_owner_at_most(path: str) -> None:
    refusals = [refusal(role, path) for role in ServiceRole]
    if path in COMMON:
        assert refusals == [None] * len(ServiceRole)
    else:
        statuses = sorted(0 if failure is None else failure.status for failure in refusals)
        assert statuses in ([0, *[404] * (len(ServiceRole) - 1)], [400] * len(ServiceRole))


@pytest.mark.parametrize(
    ("method", "call", "refused"),
    [
        ("GET", "config", False),
        ("GET", "providers", False),
        ("PUT", "config", True),
        ("POST", "message", True),
        ("POST", "skills/install", True),
        ("GET", "providers/x/health", True),
        ("GET", "sessions/1/stream", True),
    ],
)
def test_the_assistant_only_says_that_it_is_there(method: str, call: str, refused: bool) -> None:
    found = refusal(ServiceRole.TRACKING, f"/ajax-api/3.0/mlflow/assistant/{call}", method)
    assert (found is not None and found.status == 403) is refused
