"""MLflow's own client, unchanged, signed in by the package that is built for it, through the gateway."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow
import pytest
from azure.core.credentials import AccessToken
from azure.identity import ClientSecretCredential
from mlflow.tracking._tracking_service.utils import _use_tracking_uri
from mlflow.tracking.request_auth import registry

from mlflow_entra import credentials
from mlflow_entra.provider import EntraAuthProvider
from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.teams import DIRECTORY, MEMBERS, Member, Teams
from tests.support.client_package import built


def test_the_wheel_registers_the_provider_and_the_command(tmp_path: Path) -> None:
    with zipfile.ZipFile(built(tmp_path)) as wheel:
        (entry_points,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
        text = wheel.read(entry_points).decode()
        assert "mlflow_entra/py.typed" in wheel.namelist()
    assert "[mlflow.request_auth_provider]\nentra = mlflow_entra.provider:EntraAuthProvider\n" in text
    assert "mlflow-entra = mlflow_entra.command:main" in text


@pytest.fixture
def member(teams: Teams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Member]:
    """Somebody whose identity this process has, as a pipeline's does. Only the choice of the identity is the test's."""
    found = Member(teams, "team-a", Role.REGISTRAR)
    application = MEMBERS[found.team, found.role]

    def choose(_: Mapping[str, str]) -> Any:
        return ClientSecretCredential(
            DIRECTORY.tenant_id,
            application.client_id,
            str(application.secret),
            authority=teams.entra.origin,
            disable_instance_discovery=True,
        )

    monkeypatch.setattr(credentials, "choose", choose)
    monkeypatch.setattr(registry, "_request_auth_provider_registry", [EntraAuthProvider()])
    for name in [each for each in os.environ if each.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    for name, value in {
        **{"MLFLOW_TRACKING_AUTH": "entra", "MLFLOW_WORKSPACE": found.team},
        **{"MLFLOW_ENTRA_CLIENT_ID": DIRECTORY.platform.client_id, "REQUESTS_CA_BUNDLE": str(teams.entra.ca)},
    }.items():
        monkeypatch.setenv(name, value)
    with teams.gateway(tmp_path) as address, _use_tracking_uri(address):
        yield found


class Renewed:
    """Azure's credential for a machine whose clock is the test's. It fetches another token each time."""

    def __init__(self, chosen: Any) -> None:
        self.chosen = chosen
        self.now = time.time()
        self.fetched: list[str] = []

    def get_token(self, scope: str) -> AccessToken:
        self.fetched.append(self.chosen({}).get_token(scope).token)
        return AccessToken(self.fetched[-1], int(self.now) + 3600)


def test_a_run_of_100_minutes_loses_nothing(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    renewed = Renewed(credentials.choose)
    tokens = credentials.Tokens(renewed, f"{DIRECTORY.platform.client_id}/.default", clock=lambda: renewed.now)
    provider = EntraAuthProvider()
    monkeypatch.setattr(provider, "_tokens", tokens)
    monkeypatch.setattr(registry, "_request_auth_provider_registry", [provider])
    client = mlflow.MlflowClient()
    run = client.create_run(client.create_experiment("of-100-minutes")).info
    for minute in range(100):
        client.log_metric(run.run_id, "minute", minute, step=minute)
        renewed.now += 60
    assert [each.value for each in client.get_metric_history(run.run_id, "minute")] == [*range(100)]
    # Each was asked for five minutes before the one before it ended.
    assert len({*renewed.fetched}) == 2


def test_a_run_of_a_pipeline_is_tracked_in_its_team(teams: Teams, member: Member) -> None:
    client = mlflow.MlflowClient()
    run = client.create_run(client.create_experiment("by-the-client")).info
    client.log_metric(run.run_id, "m", 1.5)
    client.log_text(run.run_id, "of the client", "notes/a.txt")
    client.create_registered_model("by-the-client")
    version = client.create_model_version("by-the-client", f"{run.artifact_uri}/notes", run.run_id)

    assert client.get_run(run.run_id).data.metrics == {"m": 1.5}
    assert mlflow.artifacts.load_text(f"{run.artifact_uri}/notes/a.txt") == "of the client"
    assert str(version.version) == "1"
    assert [each.name for each in mlflow.list_workspaces()] == ["team-a"]
    assert member.made(f"/api/2.0/mlflow/runs/get?run_id={run.run_id}")["run"]["info"]["run_id"] == run.run_id
    assert Member(teams, "team-b", Role.ADMIN).send(f"/api/2.0/mlflow/runs/get?run_id={run.run_id}").status == 404
