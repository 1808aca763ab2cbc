"""The client's package: where a token goes, which identity is chosen, and what its command shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import AzurePipelinesCredential, ClientAssertionCredential, DefaultAzureCredential

from mlflow_entra import command, credentials
from mlflow_entra.provider import EntraAuth, EntraAuthProvider
from mlflow_entra.settings import SettingsError, scope
from tests.support.entra_tokens import CLIENT, token

SERVER = "https://mlflow.example.com"
AZURE = {"AZURE_CLIENT_ID": CLIENT, "AZURE_TENANT_ID": CLIENT}
GITHUB = {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://x.example/?a=b", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t", **AZURE}
PIPELINES = {
    **{"SYSTEM_OIDCREQUESTURI": "https://x.example", "SYSTEM_ACCESSTOKEN": "t"},
    **{"AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "s", **AZURE},
}


@dataclass
class Credential:
    """Gives a new token each time it is asked."""

    asked: list[str] = field(default_factory=list)
    refused: bool = False

    def get_token(self, scope: str) -> Any:
        if self.refused:
            raise ClientAuthenticationError("run az login")
        self.asked.append(scope)
        return type("Token", (), {"token": token("team-a.Reader", uti=str(len(self.asked)))})


def signed(url: str, server: str = SERVER) -> str | None:
    request = requests.Request("GET", url, auth=EntraAuth(Credential(), f"{CLIENT}/.default", server)).prepare()
    return request.headers.get("Authorization")


@pytest.mark.parametrize(
    ("url", "server", "carries"),
    [
        (f"{SERVER}/api/2.0/mlflow/runs/get?run_id=x", SERVER, True),
        (f"{SERVER}:443/api", f"{SERVER}/", True),
        ("http://127.0.0.1:5500/api", "http://127.0.0.1:5500", True),
        ("http://localhost:5500/api", "http://localhost:5500", True),
        ("https://account.blob.core.windows.net/artifacts/x", SERVER, False),
        ("https://mlflow.example.com.evil.example/api", SERVER, False),
        (f"{SERVER}:8443/api", SERVER, False),
        ("http://mlflow.example.com/api", SERVER, False),
    ],
)
def test_a_token_goes_to_the_tracking_server_alone(url: str, server: str, carries: bool) -> None:
    assert (signed(url, server) is not None) == carries


def test_no_token_goes_over_plain_http() -> None:
    with pytest.raises(SettingsError, match="export MLFLOW_TRACKING_URI=https://mlflow"):
        signed("http://mlflow.example.com/api", "http://mlflow.example.com")


def test_each_request_asks_for_the_present_token() -> None:
    credential = Credential()
    auth = EntraAuth(credential, f"{CLIENT}/.default", SERVER)
    sent = {requests.Request("GET", SERVER, auth=auth).prepare().headers["Authorization"] for _ in range(3)}
    assert len(sent) == 3
    assert credential.asked == [f"{CLIENT}/.default"] * 3


@pytest.mark.parametrize("given", ["", "mlflow", "https://graph.microsoft.com"])
def test_the_application_is_named_by_its_id(given: str) -> None:
    with pytest.raises(SettingsError, match="expected the client id"):
        scope({"MLFLOW_ENTRA_CLIENT_ID": given})


@pytest.mark.parametrize(
    ("env", "kind"),
    [
        (GITHUB, ClientAssertionCredential),
        (PIPELINES, AzurePipelinesCredential),
        (AZURE, DefaultAzureCredential),
        ({}, DefaultAzureCredential),
    ],
)
def test_a_workflow_uses_its_federation_and_others_what_the_machine_has(env: Mapping[str, str], kind: type) -> None:
    assert isinstance(credentials.choose(env), kind)


def test_the_provider_keeps_one_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Credential] = []

    def choose(_: Mapping[str, str]) -> Credential:
        made.append(Credential())
        return made[-1]

    monkeypatch.setattr(credentials, "choose", choose)
    monkeypatch.setenv("MLFLOW_ENTRA_CLIENT_ID", CLIENT)
    provider = EntraAuthProvider()
    for _ in range(3):
        provider.get_auth()
    assert (provider.get_name(), len(made)) == ("entra", 1)


def test_the_command_shows_who_and_prints_a_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    credential = Credential()
    monkeypatch.setattr(credentials, "choose", lambda _: credential)
    monkeypatch.setenv("MLFLOW_ENTRA_CLIENT_ID", CLIENT)
    assert command.main(["whoami"]) == 0
    shown = capsys.readouterr().out
    assert "anna@example.com" in shown
    assert "team-a.Reader" in shown
    assert command.main(["token"]) == 0
    assert json.dumps(command.claims(capsys.readouterr().out.strip())["aud"]) == f'"{CLIENT}"'
    credential.refused = True
    assert command.main(["token"]) == 1
    assert "az login" in capsys.readouterr().err
