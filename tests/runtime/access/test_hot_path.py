"""The hot path answers a team in its own workspace, and leaves what is another team's to MLflow, which refuses it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.teams import Member, Teams
from tests.runtime.access.test_signed_in import RUNS, audited
from tests.runtime.hotpath.test_hot_service import answered
from tests.support.answer import Answer

METRICS = "/api/2.0/mlflow/metrics"
SEARCH_EXPERIMENTS = "/api/2.0/mlflow/experiments/search"
QUESTIONS: Mapping[str, str] = {
    "get": f"{RUNS}/get?run_id=",
    "get-history": f"{METRICS}/get-history?metric_key=m&max_results=5&run_id=",
    "get-history-bulk-interval": f"{METRICS}/get-history-bulk-interval?metric_key=m&max_results=5&run_ids=",
}
CALLS: Mapping[str, Mapping[str, Any]] = {
    "update": {"status": "FINISHED", "end_time": 1},
    "log-metric": {"key": "m", "value": 1.0, "timestamp": 1},
    "log-parameter": {"key": "p", "value": "1"},
    "log-batch": {"params": [{"key": "q", "value": "1"}], "tags": [{"key": "t", "value": "1"}]},
    "set-tag": {"key": "u", "value": "1"},
}


def ask(member: Member, call: str, run_id: str) -> Answer:
    if call in QUESTIONS:
        return member.send(QUESTIONS[call] + run_id)
    return member.send(f"{RUNS}/{call}", {"run_id": run_id, **CALLS[call]})


def experiment_of(member: Member) -> str:
    made = member.made("/api/2.0/mlflow/experiments/create", {"name": f"e-{uuid.uuid4().hex}"})
    return str(made["experiment_id"])


def create(member: Member, experiment: str) -> Answer:
    return member.send(f"{RUNS}/create", {"experiment_id": experiment, "run_name": "r", "start_time": 1})


def test_a_run_is_created_in_an_experiment_of_the_own_team(teams: Teams) -> None:
    own, other = (Member(teams, team, Role.CONTRIBUTOR) for team in ("team-a", "team-b"))
    experiment, before = experiment_of(own), answered(teams.services["tracking"])
    made = create(own, experiment)
    assert (made.status, answered(teams.services["tracking"])) == (200, before + 1)
    location = f"mlflow-artifacts:/workspaces/team-a/{experiment}/"
    assert made.body["run"]["info"]["artifact_uri"].startswith(location)
    refused = create(other, experiment)
    assert (refused.status, refused.body["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert answered(teams.services["tracking"]) == before + 1


@pytest.mark.parametrize("call", sorted([*QUESTIONS, *CALLS]))
def test_a_team_is_answered_for_its_own_runs_alone(teams: Teams, call: str) -> None:
    own, other = (Member(teams, team, Role.CONTRIBUTOR) for team in ("team-a", "team-b"))
    tracking = teams.services["tracking"]
    run_id = create(own, experiment_of(own)).body["run"]["info"]["run_id"]
    before, shown = answered(tracking), own.made(f"{RUNS}/get?run_id={run_id}")

    refused = ask(other, call, run_id)
    assert (refused.status, refused.body["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert own.made(f"{RUNS}/get?run_id={run_id}") == shown
    assert answered(tracking) == before + 2

    done = ask(own, call, run_id)
    assert (done.status, answered(tracking)) == (200, before + 3)
    written = [line for line in audited(teams, "tracking") if line["request_id"] == done.headers["X-Request-Id"]]
    expected = [] if call in QUESTIONS else [("changed", f"POST {RUNS}/{call}", "team-a", {"run_id": [run_id]}, 200)]
    assert [tuple(line[name] for name in ("message", "route", "workspace", "ids", "status")) for line in written] == (
        expected
    )


def test_a_team_finds_its_own_runs_and_experiments_alone(teams: Teams) -> None:
    own, other = (Member(teams, team, Role.READER) for team in ("team-a", "team-b"))
    experiment = experiment_of(Member(teams, "team-a", Role.CONTRIBUTOR))
    run_id = create(Member(teams, "team-a", Role.CONTRIBUTOR), experiment).body["run"]["info"]["run_id"]
    tracking = teams.services["tracking"]
    runs = {"experiment_ids": [experiment], "max_results": 5}
    newest = {"max_results": 1, "order_by": ["experiment_id DESC"]}

    before = answered(tracking)
    assert [run["info"]["run_id"] for run in own.made(f"{RUNS}/search", runs)["runs"]] == [run_id]
    (found,) = own.made(SEARCH_EXPERIMENTS, newest)["experiments"]
    assert (found["experiment_id"], found["workspace"]) == (experiment, "team-a")
    assert answered(tracking) == before + 2

    assert "runs" not in other.made(f"{RUNS}/search", runs)
    assert answered(tracking) == before + 2
    shown = other.made(SEARCH_EXPERIMENTS, newest).get("experiments", [])
    assert answered(tracking) == before + 3
    assert {experiment["workspace"] for experiment in shown} <= {"team-b"}
