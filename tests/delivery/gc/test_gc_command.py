"""What `mlflow-platform gc` runs on the local stack, and what it prints for one on Azure."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from delivery.gc.command import gc
from delivery.local.configuration import PROJECT
from delivery.outcome import CommandError, ExitCode

GUID = "11111111-1111-1111-1111-111111111111"


@pytest.mark.parametrize("given", ["", "30", "d", "30 d", "-1d", "30d;ls", "1m1h"])
def test_another_age_is_refused(given: str) -> None:
    with pytest.raises(CommandError, match=r"--older-than: got .*Run: mlflow-platform gc --older-than 30d") as raised:
        gc(older_than=given)
    assert raised.value.code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"access": {"mode": "entra"}},
            [
                'az containerapp exec --resource-group "$(pulumi stack output resource_group -s dev)" '
                "--name mlflow-tracking --command sh",
                "export MLFLOW_TRACKING_TOKEN=...   # what `mlflow-entra token` prints on your machine",
                "export MLFLOW_WORKSPACE=team-a",
                "mlflow gc --tracking-uri URL --older-than 12h --workspace team-a --backend-store-uri "
                '"$MLFLOW_RUNTIME_TRACKING_DATABASE_URL"   # URL: the stack\'s output url',
            ],
        ),
        (
            {"compute": "aks"},
            [
                "kubectl exec -it deploy/tracking -n mlflow-dev -- sh",
                "mlflow gc --tracking-uri URL --older-than 12h --backend-store-uri "
                '"$MLFLOW_RUNTIME_TRACKING_DATABASE_URL"   # URL: the stack\'s output url',
            ],
        ),
    ],
)
def test_on_azure_the_steps_are_printed(
    values: dict[str, Any], expected: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {"config": {f"{PROJECT}:{name}": value for name, value in values.items()}}
    monkeypatch.setattr("delivery.pulumi.project.stack_document", lambda *_: document)
    assert gc("dev", older_than="12h", workspace="team-a") == ExitCode.DONE
    assert capsys.readouterr().out.splitlines() == expected


def test_without_a_local_stack_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Run: make up"):
        gc(config_file=local_file(tmp_path, "none"))


@pytest.mark.parametrize("mode", ["none", "entra"])
def test_the_local_stack_is_cleaned_as_tracking(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = tmp_path / "state" / "data" / "identity-headers" / "mlflow-tracking"
    header.parent.mkdir(parents=True)
    header.write_text("of-tracking\n")
    monkeypatch.setattr("delivery.local.sign_in.token", lambda _: "of-the-pipeline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://elsewhere.example.com")
    started: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], *, env: dict[str, str], check: bool) -> subprocess.CompletedProcess[str]:
        started.append((command, env))
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr("delivery.gc.command.subprocess.run", run)
    assert gc(workspace="team-a", config_file=local_file(tmp_path, mode)) == 3
    ((command, env),) = started
    assert "postgresql+entra://mlflow-tracking@127.0.0.1:" in command[-1]
    assert ("--workspace" in command) is (mode == "entra")
    given = {name: value for name, value in env.items() if name.startswith("MLFLOW_")}
    signed_in = {"MLFLOW_TRACKING_TOKEN": "of-the-pipeline", "MLFLOW_WORKSPACE": "team-a"}
    assert given == (signed_in if mode == "entra" else {})
    assert "of-tracking" not in " ".join(command)


def local_file(folder: Path, mode: str) -> Path:
    file = folder / "Pulumi.local.yaml"
    file.write_text(
        f"config:\n  {PROJECT}:profile: local\n  {PROJECT}:local: {{stateDirectory: {folder / 'state'}}}\n"
        f"  {PROJECT}:access: {{mode: {mode}}}\n"
    )
    return file
