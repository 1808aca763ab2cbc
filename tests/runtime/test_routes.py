"""The routing table against the routes of the MLflow that is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import permutations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlflow_runtime.routes import (
    LIVE_PATH,
    METRICS_PATH,
    NOT_PLAIN,
    ORDINARY,
    PREFIXES,
    READY_PATH,
    ServiceRole,
    doubled,
    is_plain,
    pattern,
    role_of,
)

NAME = "/api/2.0/mlflow-artifacts/artifacts/0/"

T, R, A = ServiceRole.TRACKING, ServiceRole.REGISTRY, ServiceRole.ARTIFACTS

# Every family of routes that MLflow has, and who answers it. A family that is missing here has to be looked at: whose
# store does it use? One that is here and no longer there has to go.
FAMILIES = {
    "2.0/mlflow/registered-models": R,
    "2.0/mlflow/model-versions": R,
    "2.0/mlflow/webhooks": R,
    "model-versions": R,
    "2.0/mlflow-artifacts/artifacts": A,
    "2.0/mlflow-artifacts/mpu": A,
    "2.0/mlflow-artifacts/presigned": A,
    "": T,
    "build": T,
    "gateway": T,
    "get-artifact": T,
    "graphql": T,
    "health": T,
    "static-files": T,
    "v1": T,
    "version": T,
    "2.0mlflow/experiments": T,
    "2.0/mlflow/artifacts": T,
    "2.0/mlflow/experiments": T,
    "2.0/mlflow/gateway-proxy": T,
    "2.0/mlflow/get-online-trace-details": T,
    "2.0/mlflow/get-trace-artifact": T,
    "2.0/mlflow/logged-models": T,
    "2.0/mlflow/metrics": T,
    "2.0/mlflow/runs": T,
    "2.0/mlflow/traces": T,
    "2.0/mlflow/unified-traces": T,
    "2.0/mlflow/upload-artifact": T,
    "3.0/jobs": T,
    "3.0/mlflow/assistant": T,
    "3.0/mlflow/datasets": T,
    "3.0/mlflow/demo": T,
    "3.0/mlflow/gateway": T,
    "3.0/mlflow/genai": T,
    "3.0/mlflow/get-trace-artifact": T,
    "3.0/mlflow/issues": T,
    "3.0/mlflow/jobs": T,
    "3.0/mlflow/label-schemas": T,
    "3.0/mlflow/mcp-servers": T,
    "3.0/mlflow/prompt-optimization": T,
    "3.0/mlflow/review-queues": T,
    "3.0/mlflow/scorer": T,
    "3.0/mlflow/scorers": T,
    "3.0/mlflow/server-info": T,
    "3.0/mlflow/traces": T,
    "3.0/mlflow/ui-telemetry": T,
    "3.0/mlflow/workspaces": T,
}

# In a process of its own: importing MLflow's server changes the environment.
LIST_ROUTES = """
import json
from mlflow.server import app as flask_app
from mlflow.server.fastapi_app import app as fastapi_app

def walk(routes, prefix=""):
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from walk(inner.routes, prefix + route.include_context.prefix)
        elif hasattr(route, "methods"):
            yield prefix + route.path

print(json.dumps([list(walk(fastapi_app.routes)), [rule.rule for rule in flask_app.url_map.iter_rules()]]))
"""


@pytest.fixture(scope="module")
def mlflow_routes() -> list[str]:
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    listed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIST_ROUTES], env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    fastapi, flask = json.loads(listed.stdout.splitlines()[-1])
    assert len(fastapi) > 50
    assert len(flask) > 200
    return [*fastapi, *flask]


def family(route: str) -> str:
    """The part of a route that says what it is about: version, area and noun of an API, else the first segment."""
    inner = re.sub(r"^/(ajax-)?api/", "", route)
    segments = inner.strip("/").split("/")
    if inner == route:
        return segments[0]
    return "/".join(segments[: 3 if segments[1].startswith("mlflow") else 2])


def test_every_family_of_mlflow_is_known(mlflow_routes: list[str]) -> None:
    assert {family(route) for route in mlflow_routes} == set(FAMILIES)


def test_every_route_of_mlflow_goes_where_the_table_says(mlflow_routes: list[str]) -> None:
    wrong = {route: role_of(route) for route in mlflow_routes if role_of(route) is not FAMILIES[family(route)]}
    assert not wrong


def test_every_route_of_mlflow_is_plain(mlflow_routes: list[str]) -> None:
    assert [route for route in mlflow_routes if not is_plain(route)] == []


@pytest.mark.parametrize("role", list(PREFIXES))
def test_a_prefix_is_owned_with_all_below_it_and_nothing_beside_it(role: ServiceRole) -> None:
    for prefix in PREFIXES[role]:
        assert role_of(prefix) is role
        assert role_of(f"{prefix}/") is role
        assert role_of(f"{prefix}/a/b") is role
        assert role_of(f"{prefix}-more") is ServiceRole.TRACKING
        assert role_of(prefix.upper()) is ServiceRole.TRACKING
        assert role_of(f"/x{prefix}") is ServiceRole.TRACKING


def test_no_prefix_is_below_another() -> None:
    prefixes = [prefix for group in PREFIXES.values() for prefix in group]
    assert not [(a, b) for a, b in permutations(prefixes, 2) if f"{b}/".startswith(f"{a}/")]


@pytest.mark.parametrize(
    "path",
    [
        *("", "*", "a", "//", "/a//b", "/a//", "/.", "/..", "/a/.", "/a/./b", "/a/..", "/../a"),
        *("/a\\b", "/a\x00", "/a\n", "/api/2.0/mlflow-artifacts\n"),
        *(f"{NAME}{odd}" for odd in ("\x00", "//a", "/../a", "/..\\a", "\\..\\a", "a\\..", "..", "..\n", "a/.\r")),
    ],
)
def test_not_plain(path: str) -> None:
    assert not is_plain(path)


@pytest.mark.parametrize("name", ["a\\b", "a\nb", "Icon\r", "a\n", "\\a", "..a\\b..", "\x7f", "a\\.b"])
def test_a_name_of_an_artifact_may_have_what_files_have(name: str) -> None:
    assert is_plain(f"{NAME}{name}")
    assert not is_plain(f"/api/2.0/mlflow/{name}")


@pytest.mark.parametrize("path", ["/", "/a", "/a/", "/a.b/..c/d../...", "/ä ö/%2e", "/a:b;c=d/[x]", "/\x80"])
def test_plain(path: str) -> None:
    assert is_plain(path)


SEGMENTS = st.sampled_from(
    ["api", "ajax-api", "2.0", "mlflow", "mlflow-artifacts", "webhooks", "x", "", ".", "..", "é"]
)


@given(st.lists(SEGMENTS).map(lambda segments: "/" + "/".join(segments)))
def test_the_patterns_say_what_role_of_says(path: str) -> None:
    owners = [role for role in PREFIXES if re.search(pattern(role), path)]
    assert owners == [role_of(path)] or (not owners and role_of(path) is ServiceRole.TRACKING)
    assert is_plain(path) == (re.search(NOT_PLAIN, path) is None)


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/api/2.0/mlflow-artifacts/artifacts//a", "artifacts//a"),
        ("//api///2.0//mlflow-artifacts//artifacts//a", "artifacts//a"),
        ("//api/2.0/mlflow-artifacts", None),
        ("/api/2.0/mlflow-artifacts2/", None),
        ("/api/2x0/mlflow-artifacts/", None),
    ],
)
def test_a_prefix_is_found_with_doubled_slashes(path: str, end: str | None) -> None:
    found = re.match(doubled("/api/2.0/mlflow-artifacts"), path)
    assert (found and path[found.end() :]) == end


def test_tracking_has_no_pattern() -> None:
    with pytest.raises(ValueError, match=f"tracking owns only what {' and '.join(PREFIXES)} leave over"):
        pattern(ServiceRole.TRACKING)


@given(st.from_regex(re.compile(ORDINARY), fullmatch=True))
@example("/api/2.0/mlflow/experiments/search")
@example("/ajax-api/2.0/mlflow/metrics/get-history")
@example("/api/2.0/mlflow/runs/log-batch")
def test_of_an_ordinary_path_no_rule_says_anything(path: str) -> None:
    assert is_plain(path)
    assert role_of(path) is T
    assert "//" not in path
    assert path not in {LIVE_PATH, READY_PATH, METRICS_PATH}
    assert not any(re.search(doubled(prefix), path) for prefix in PREFIXES[A])


@pytest.mark.parametrize("name", ["log-metric", "log-batch", "search", "get", "create"])
@pytest.mark.parametrize("prefix", ["/api", "/ajax-api"])
def test_what_training_and_the_page_send_most_is_ordinary(prefix: str, name: str) -> None:
    assert re.fullmatch(ORDINARY, f"{prefix}/2.0/mlflow/runs/{name}")
    for other in (f"/runs/../{name}", f"//runs/{name}", f"/runs//{name}", f"/runs/{name}/", f"/runs/{name}\n"):
        assert not re.fullmatch(ORDINARY, f"{prefix}/2.0/mlflow{other}")
