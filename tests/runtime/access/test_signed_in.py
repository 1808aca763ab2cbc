"""The services of real processes, for callers with tokens of Entra."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from mlflow_runtime.middleware.access.roles import Role
from mlflow_runtime.routes import ServiceRole
from tests.runtime.access.teams import EVERYWHERE, NO_ROLE, Member, Teams
from tests.support import issued
from tests.support.services import Service

RUNS = "/api/2.0/mlflow/runs"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def audited(teams: Teams, role: str) -> list[dict[str, Any]]:
    return audited_by(teams.services[role])


def audited_by(service: Service) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["logger"] == "mlflow_runtime.audit"]


@pytest.mark.parametrize("role", list(ServiceRole))
def test_without_a_token_every_service_answers_probes_only(teams: Teams, role: ServiceRole) -> None:
    service = teams.services[role]
    assert service.ask("/live").status == 200
    assert service.ready().status == 200
    assert service.ready().body["checks"]["entra_keys"] == {"ok": True, "decides": True}
    assert service.ask("/metrics").status == 200
    refused = service.ask("/health")
    assert (refused.status, refused.body["error_code"]) == (401, "UNAUTHENTICATED")


def test_a_run_is_logged_and_read_by_its_team_alone(teams: Teams) -> None:
    contributor, reader = Member(teams, "team-a", Role.CONTRIBUTOR), Member(teams, "team-a", Role.READER)
    other = Member(teams, "team-b", Role.ADMIN)
    experiment = contributor.made("/api/2.0/mlflow/experiments/create", {"name": f"e-{uuid.uuid4().hex}"})[
        "experiment_id"
    ]
    info = contributor.made(f"{RUNS}/create", {"experiment_id": experiment})["run"]["info"]
    assert info["artifact_uri"].startswith(f"mlflow-artifacts:/workspaces/team-a/{experiment}/")
    path = f"{experiment}/{info['run_id']}/artifacts/a.txt"
    contributor.made(f"{ARTIFACTS}/{path}", b"of team a", method="PUT")

    assert reader.made(f"{RUNS}/get?run_id={info['run_id']}")["run"]["info"]["run_id"] == info["run_id"]
    assert reader.send(f"{ARTIFACTS}/{path}").content == b"of team a"
    assert reader.send(f"/get-artifact?run_id={info['run_id']}&path=a.txt").content == b"of team a"
    blobs = [blob.name for blob in teams.platform.blob_container().list_blobs()]
    assert f"workspaces/team-a/{path}" in blobs
    assert other.send(f"{RUNS}/get?run_id={info['run_id']}").status == 404
    assert other.send(f"{ARTIFACTS}/{path}").status == 404
    assert other.send(f"/get-artifact?run_id={info['run_id']}&path=a.txt").status == 404

    refused = reader.send(f"{RUNS}/create", {"experiment_id": experiment})
    assert (refused.status, refused.body["error_code"]) == (403, "PERMISSION_DENIED")
    assert "ask" in refused.body["message"].lower()
    written = [line for line in audited(teams, "tracking") if experiment in line["ids"].get("experiment_id", ())]
    assert [(line["caller"], line["route"], line["user_role"], line["status"]) for line in written] == [
        (f"application {contributor.client_id}", f"POST {RUNS}/create", "Contributor", 200)
    ]
    stopped = [line for line in audited(teams, "tracking") if line["request_id"] == refused.headers["X-Request-Id"]]
    assert [(line["message"], line["reason"], line["user_role"]) for line in stopped] == [
        ("refused", "role-too-low", "Reader")
    ]


def test_what_a_path_names_is_in_the_record(teams: Teams) -> None:
    contributor = Member(teams, "team-a", Role.CONTRIBUTOR)
    created = contributor.made("/api/2.0/mlflow/experiments/create", {"name": f"e-{uuid.uuid4().hex}"})
    body = {"experiment_id": created["experiment_id"]}
    model = contributor.made("/api/2.0/mlflow/logged-models", body)["model"]["info"]["model_id"]
    contributor.made(f"/api/2.0/mlflow/logged-models/{model}", method="DELETE")

    deleted = (line for line in audited(teams, "tracking") if line.get("route", "").startswith("DELETE"))
    assert model in [each for line in deleted for each in line["ids"].get("model_id", ())]


def test_a_caller_sees_own_workspaces_only_and_nobody_makes_one(teams: Teams) -> None:
    def seen(token: str) -> list[str]:
        found = teams.send(token, "/api/3.0/mlflow/workspaces").body["workspaces"]
        return [each["name"] for each in found]

    assert seen(Member(teams, "team-a", Role.READER).token) == ["team-a"]
    admin = teams.entra.token(EVERYWHERE)
    assert seen(admin) == ["default", "team-a", "team-b"]
    made = teams.send(admin, "/api/3.0/mlflow/workspaces", {"name": "team-c"})
    assert (made.status, made.body["error_code"]) == (403, "PERMISSION_DENIED")
    assert teams.send(teams.entra.token(NO_ROLE), "/").status == 403
    other = Member(teams, "team-a", Role.ADMIN)
    assert other.send("/api/3.0/mlflow/workspaces/team-b").status == 404
    assert teams.send(other.token, f"{RUNS}/get?run_id=x", workspace="team-b").status == 403


@pytest.mark.parametrize("role", list(ServiceRole))
def test_no_token_is_in_a_log(teams: Teams, role: ServiceRole) -> None:
    service = teams.services[role]
    for title in Role:
        token = Member(teams, "team-a", title).token
        path = f"/gateway/{title}?x={uuid.uuid4().hex}"
        asked = [
            service.ask("/version", headers={"Authorization": f"Bearer {token}"}),
            service.ask("/version", headers={"Authorization": f"Bearer {token}x"}),
            service.ask("/version", headers={"Authorization": f"Basic {token}"}),
            service.ask(path, b"{}", headers={"X-MLflow-Authorization": f"Bearer {token}"}),
            service.ask("/version", headers={"Authorization": f"Bearer {token}", "Cookie": token}),
        ]
        assert [answer.status for answer in asked] == [200, 401, 401, 404, 200]
        assert {answer.headers["X-Request-Id"] for answer in asked[1:4]} <= {
            line["request_id"] for line in audited(teams, role)
        }
    assert issued.number() >= len(Role)
    assert teams.leaked() == []


def test_a_budget_is_for_the_own_team(teams: Teams) -> None:
    admin, budgets = Member(teams, "team-a", Role.ADMIN), "/api/3.0/mlflow/gateway/budgets"
    wanted = {"budget_unit": "USD", "budget_amount": 1.0, "duration": {"unit": "DAYS", "value": 1}}
    wanted |= {"budget_action": "REJECT", "target_scope": "WORKSPACE"}
    refused = admin.send(f"{budgets}/create", {**wanted, "target_scope": "GLOBAL"})
    assert (refused.status, "use the scope WORKSPACE" in refused.body["message"]) == (400, True)
    made = admin.made(f"{budgets}/create", wanted)["budget_policy"]
    widened = {"budget_policy_id": made["budget_policy_id"], "target_scope": "GLOBAL"}
    assert admin.send(f"{budgets}/update", widened).status == 400
    shown = admin.made(f"{budgets}/get?budget_policy_id={made['budget_policy_id']}")["budget_policy"]
    assert shown["target_scope"] == "WORKSPACE"


def test_a_token_in_a_log_would_be_found(teams: Teams) -> None:
    token = Member(teams, "team-a", Role.READER).token
    planted = teams.platform.plane.folder / "planted.log"
    for line in (f"Authorization: Bearer {token}", f"signature {token.split('.')[2]}"):
        planted.write_text(f"a\n{line}\n")
        assert teams.leaked() == [planted.name]
    planted.unlink()
