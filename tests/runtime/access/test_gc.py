"""MLflow's own `mlflow gc` removes a team's deleted runs for good, with artifacts, and nothing of another team."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.teams import Member, Teams

RUNS = "/api/2.0/mlflow/runs"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def run_of(member: Member, *, deleted: bool) -> tuple[str, str]:
    """Make a run with an artifact; its id and the artifact's path."""
    made = member.made("/api/2.0/mlflow/experiments/create", {"name": f"gc-{uuid.uuid4().hex}"})
    run = str(member.made(f"{RUNS}/create", {"experiment_id": made["experiment_id"]})["run"]["info"]["run_id"])
    path = f"{made['experiment_id']}/{run}/artifacts/a.txt"
    member.made(f"{ARTIFACTS}/{path}", b"kept until gc", method="PUT")
    if deleted:
        member.made(f"{RUNS}/delete", {"run_id": run})
    return run, path


def test_deleted_runs_of_one_team_are_removed_for_good(teams: Teams, tmp_path: Path) -> None:
    own, other = (Member(teams, team, Role.CONTRIBUTOR) for team in ("team-a", "team-b"))
    gone, kept, foreign = run_of(own, deleted=True), run_of(own, deleted=False), run_of(other, deleted=True)
    settings = {"MLFLOW_TRACKING_TOKEN": own.token, "MLFLOW_WORKSPACE": own.team}
    with teams.gateway(tmp_path) as address:
        command = [
            *(sys.executable, "-m", "mlflow", "gc", "--workspace", own.team, "--tracking-uri", address),
            *("--backend-store-uri", teams.platform.database_url("tracking", "tracking"), "--run-ids", gone[0]),
        ]
        env = teams.platform.environment("tracking") | settings
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {
        name: (member.send(f"{RUNS}/get?run_id={run}").status, member.send(f"{ARTIFACTS}/{path}").status)
        for name, member, (run, path) in (("gone", own, gone), ("kept", own, kept), ("foreign", other, foreign))
    }
    assert found == {"gone": (404, 404), "kept": (200, 200), "foreign": (200, 200)}
