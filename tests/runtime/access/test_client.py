"""MLflow's own client, unchanged, signed in by the package that is built for it, through the gateway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.teams import DIRECTORY, MEMBERS, Member, Teams
from tests.support.plane import REPOSITORY

PACKAGE = REPOSITORY / "clients" / "mlflow-entra"

# What a data scientist's script does. Only the choice of the identity is the test's.
SCRIPT = """
import json, os
from azure.identity import ClientSecretCredential
from mlflow_entra import credentials
credentials.choose = lambda env: ClientSecretCredential(
    env["TENANT"], env["APPLICATION"], env["SECRET"], authority=env["AUTHORITY"], disable_instance_discovery=True
)
import mlflow
mlflow.set_experiment("by-the-client")
with mlflow.start_run() as run:
    mlflow.log_metric("m", 1.5)
    mlflow.log_text("of the client", "notes/a.txt")
client = mlflow.MlflowClient()
client.create_registered_model("by-the-client")
version = client.create_model_version("by-the-client", f"{run.info.artifact_uri}/notes", run.info.run_id)
print(json.dumps({
    "run": run.info.run_id,
    "metrics": client.get_run(run.info.run_id).data.metrics,
    "text": mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/a.txt"),
    "version": version.version,
    "workspaces": [each.name for each in mlflow.list_workspaces()],
}))
"""


def wheel(folder: Path) -> Path:
    """Build the package beside the checkout, and return its wheel, which Python imports as it is."""
    shutil.copytree(PACKAGE, folder / "package")
    build = f"import setuptools.build_meta as b; print(b.build_wheel({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=folder / "package", capture_output=True, text=True, check=True
    )
    return folder / done.stdout.split()[-1]


def test_a_run_of_a_pipeline_is_tracked_in_its_team(teams: Teams, tmp_path: Path) -> None:
    member = Member(teams, "team-a", Role.REGISTRAR)
    application = MEMBERS[member.team, member.role]
    with teams.gateway(tmp_path) as address:
        env = {
            **{"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(wheel(tmp_path))},
            **{"MLFLOW_TRACKING_URI": address, "MLFLOW_TRACKING_AUTH": "entra", "MLFLOW_WORKSPACE": member.team},
            **{"MLFLOW_ENTRA_CLIENT_ID": DIRECTORY.platform.client_id, "REQUESTS_CA_BUNDLE": str(teams.entra.ca)},
            **{"TENANT": DIRECTORY.tenant_id, "AUTHORITY": teams.entra.origin, "MLFLOW_DISABLE_TELEMETRY": "true"},
            **{"APPLICATION": application.client_id, "SECRET": str(application.secret)},
        }
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {
        **{"run": found["run"], "metrics": {"m": 1.5}, "text": "of the client", "version": found["version"]},
        "workspaces": ["team-a"],
    }
    assert str(found["version"]) == "1"
    assert member.made(f"/api/2.0/mlflow/runs/get?run_id={found['run']}")["run"]["info"]["run_id"] == found["run"]
    assert Member(teams, "team-b", Role.ADMIN).send(f"/api/2.0/mlflow/runs/get?run_id={found['run']}").status == 404
