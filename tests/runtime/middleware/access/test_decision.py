"""Where a request goes, which artifact paths are a workspace's own, and what a refusal says."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_runtime.middleware.access.decision import Allowed, Asked, artifact_paths, decide, inside
from mlflow_runtime.middleware.access.refusals import Refusal
from mlflow_runtime.middleware.access.roles import Part, Role
from mlflow_runtime.middleware.access.tokens import Caller
from tests.support.entra_tokens import ACCESS, ANNA, AZURE_CLI

READ = "GET /api/2.0/mlflow/runs/get"
WRITE = "POST /api/2.0/mlflow/runs/create"
OPEN = "GET /"


def caller(**roles: Role) -> Caller:
    named = {name.replace("_", "-"): role for name, role in roles.items()}
    return Caller(oid=ANNA, name="anna@example.com", application=AZURE_CLI, roles=named, expires_at=0)


def decided(who: Caller, route: str, workspace: str = "", *artifacts: str) -> Allowed | Refusal:
    method = route.partition(" ")[0]
    return decide(ACCESS, who, Asked(method=method, route=route, workspace=workspace, artifacts=artifacts))


def where(found: Allowed | Refusal) -> str:
    assert isinstance(found, Allowed), found
    return found.workspace


def message(found: Allowed | Refusal) -> str:
    assert isinstance(found, Refusal)
    return found.failure.message


def test_the_workspace_is_the_headers_else_the_only_one_else_default() -> None:
    one = caller(team_a=Role.READER)
    two = caller(team_a=Role.READER, default=Role.READER)
    assert where(decided(one, READ)) == "team-a"
    assert where(decided(two, READ)) == "default"
    assert where(decided(two, READ, " team-a ")) == "team-a"


def test_the_page_opens_for_whoever_has_a_role_anywhere() -> None:
    both = caller(team_b=Role.READER, team_a=Role.READER)
    assert where(decided(both, OPEN)) == "team-a"
    assert where(decided(both, OPEN, "team-b")) == "team-b"
    assert where(decided(both, OPEN, "elsewhere")) == "team-a"
    assert "has no role in any workspace" in message(decided(caller(), OPEN))


def test_a_refusal_names_the_caller_the_missing_role_and_the_contact() -> None:
    reader = caller(team_a=Role.READER)
    low = message(decided(reader, WRITE, "team-a"))
    assert low.startswith("anna@example.com is Reader in workspace 'team-a'; a request that would write needs Contrib")
    assert "Ask ml-platform@example.com for team-a.Contributor" in low
    foreign = message(decided(reader, READ, "team-b"))
    assert "has no role in workspace 'team-b', only in: team-a." in foreign
    assert foreign.replace("team-b", "no-such") == message(decided(reader, READ, "no-such"))


def test_who_is_blocked_gets_nothing() -> None:
    access = replace(ACCESS, blocked=frozenset({ANNA}))
    found = decide(access, caller(team_a=Role.ADMIN), Asked(method="GET", route=OPEN, workspace=""))
    assert "is blocked" in message(found)


def test_only_the_artifact_routes_name_artifact_paths() -> None:
    api = "/ajax-api/2.0/mlflow-artifacts"
    assert artifact_paths(f"{api}/artifacts/workspaces/a\nb", b"") == ("workspaces/a\nb",)
    assert artifact_paths(f"{api}/mpu/create/workspaces", b"") == ("workspaces",)
    assert artifact_paths(f"{api}/presigned/a", b"path=workspaces") == ("a", "workspaces")
    assert artifact_paths(f"{api}/artifacts", b"path=workspaces&path=b") == ("workspaces", "b")
    assert artifact_paths("/api/2.0/mlflow/runs/get", b"path=workspaces") == ()


@pytest.mark.parametrize(
    "path",
    [
        *("1/run/artifacts/a", "a", "models/workspaces", "workspaces.txt", "workspaces%"),
        *("workspaces/team-a", "workspaces/team-a/1/x", "/workspaces//team-a/x", "workspaces%2Fteam-a%2Fx"),
    ],
)
def test_a_path_in_the_workspace_passes(path: str) -> None:
    assert inside(path, "team-a")


@pytest.mark.parametrize("times", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "path",
    [
        *("workspaces", "workspaces/", "/workspaces", "//workspaces", "workspaces/team-b", "workspaces//team-b/x"),
        *("./workspaces", "a/../workspaces/team-b", "workspaces/team-a/../team-b", "workspaces\\team-b", ".."),
        *("workspaces/team-abc", "workspaces/./team-b", "workspaces/TEAM-A"),
    ],
)
def test_a_path_out_of_the_workspace_does_not_however_often_it_is_encoded(path: str, times: int) -> None:
    for _ in range(times):
        path = quote(path, safe="").replace(".", "%2E")
    assert not inside(path, "team-a")


LIST = "GET /api/2.0/mlflow-artifacts/artifacts"


@pytest.mark.parametrize(
    ("artifacts", "admitted"),
    [
        *(((path,), True) for path in ("12", "12/", "12/run/artifacts/a", "workspaces/team-b/12/a%", "12//a")),
        *(
            ((path,), False)
            for path in ("13", "123/a", "1/12", "a", "/12/a", "workspaces/team-b", "workspaces/team-b/")
        ),
        *(((path,), False) for path in ("workspaces/team-a/12", "12/../13", "12/%2e%2e/13", "12\\..\\13", "%31%32/a")),
        ((), False),
        (("12/a", "13/a"), False),
    ],
)
def test_of_a_shared_experiment_the_artifacts_below_it_are_read(artifacts: tuple[str, ...], *, admitted: bool) -> None:
    asks = replace(caller(team_a=Role.ADMIN), parts={"team-b": Part(experiments=("12",))})
    found = decided(asks, LIST, "team-b", *artifacts)
    assert isinstance(found, Allowed) is admitted
    if not admitted:
        assert "experiments 12" in message(found)
        assert "ask ml-platform@example.com for team-b.Reader" in message(found)


def test_who_reads_models_of_a_team_works_in_the_own_one() -> None:
    asks = replace(caller(team_a=Role.READER), parts={"team-b": Part(models=("churn", "fraud-*"))})
    assert where(decided(asks, READ)) == "team-a"
    assert where(decided(asks, "GET /api/2.0/mlflow/model-versions/get", "team-b")) == "team-b"
    assert "only the registered models churn, fraud-*." in message(decided(asks, READ, "team-b"))
    assert [Part(models=("churn", "fraud-*")).has_model(name) for name in ("churn", "churn2", "fraud-", "fraud")] == [
        *(True, False, True, False)
    ]


@given(st.lists(st.sampled_from(["workspaces", "team-a", "team-b", "..", ".", "", "%2e%2e", "%2F", "/", "\\", "x"])))
def test_no_spelling_leads_to_another_team(parts: list[str]) -> None:
    path = "/".join(parts)
    segments = [part for part in path.replace("%2F", "/").replace("\\", "/").split("/") if part not in ("", ".")]
    if "%2e%2e" in segments or ".." in segments or (segments[:1] == ["workspaces"] and segments[1:2] != ["team-a"]):
        assert not inside(path, "team-a")
    elif "workspaces" not in segments:
        assert inside(path, "team-a")
