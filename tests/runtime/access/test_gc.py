"""MLflow's own `mlflow gc` removes what a team deleted for good, and nothing of another team.

It looks at no registered model, as docs/access.md warns.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.teams import Member, Teams

M2 = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def experiment_of(member: Member) -> str:
    made = member.made(f"{M2}/experiments/create", {"name": f"gc-{uuid.uuid4().hex}"})
    return str(made["experiment_id"])


def run_of(member: Member, *, deleted: bool) -> list[str]:
    """Make a run with a file; the paths that read either."""
    experiment = experiment_of(member)
    info = member.made(f"{M2}/runs/create", {"experiment_id": experiment})["run"]["info"]
    run = str(info["run_id"])
    file = f"{ARTIFACTS}/{experiment}/{run}/artifacts/a.txt"
    member.made(file, b"there until gc", method="PUT")
    name = f"gc-{uuid.uuid4().hex}"
    member.made(f"{M2}/registered-models/create", {"name": name})
    version = {"name": name, "source": info["artifact_uri"], "run_id": run}
    member.made(f"{M2}/model-versions/create", version)
    if deleted:
        member.made(f"{M2}/runs/delete", {"run_id": run})
    return [f"{M2}/runs/get?run_id={run}", file, f"{M2}/model-versions/get?name={name}&version=1"]


def deleted_experiment_of(member: Member) -> list[str]:
    experiment = experiment_of(member)
    member.made(f"{M2}/experiments/delete", {"experiment_id": experiment})
    return [f"{M2}/experiments/get?experiment_id={experiment}"]


def test_what_one_team_deleted_is_removed_for_good(teams: Teams, tmp_path: Path) -> None:
    own, other = (Member(teams, team, Role.REGISTRAR) for team in ("team-a", "team-b"))
    paths = {
        "gone": (own, [*run_of(own, deleted=True), *deleted_experiment_of(own)]),
        "kept": (own, run_of(own, deleted=False)),
        "foreign": (other, [*run_of(other, deleted=True), *deleted_experiment_of(other)]),
    }
    settings = {"MLFLOW_TRACKING_TOKEN": own.token, "MLFLOW_WORKSPACE": own.team}
    with teams.gateway(tmp_path) as address:
        command = [
            *(sys.executable, "-m", "mlflow", "gc", "--tracking-uri", address, "--workspace", own.team),
            *("--older-than", "0s", "--backend-store-uri", teams.platform.database_url("tracking", "tracking")),
        ]
        env = teams.platform.environment("tracking") | settings
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {name: [member.send(path).status for path in each] for name, (member, each) in paths.items()}
    # The third is the version of a registered model, which stays without its file.
    assert found == {"gone": [404, 404, 200, 404], "kept": [200, 200, 200], "foreign": [200, 200, 200, 200]}
