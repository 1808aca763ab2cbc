"""The client's package: where a token goes, which identity is chosen, and what its command shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import (
    AuthenticationRecord,
    AzurePipelinesCredential,
    ClientAssertionCredential,
    DefaultAzureCredential,
)

from mlflow_entra import command, credentials, logins
from mlflow_entra.credentials import Tokens
from mlflow_entra.provider import EntraAuth, EntraAuthProvider
from mlflow_entra.settings import SettingsError, authority, scope
from tests.support.entra_tokens import CLIENT, token

SCOPE = f"{CLIENT}/.default"
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
    raises: Exception | None = None

    def get_token(self, scope: str) -> AccessToken:
        if self.raises is not None:
            raise self.raises
        self.asked.append(scope)
        return AccessToken(token("team-a.Reader", uti=str(len(self.asked))), 3600 * len(self.asked))


def signed(url: str, server: str = SERVER) -> str | None:
    auth = EntraAuth(Tokens(Credential(), SCOPE), server)
    return requests.Request("GET", url, auth=auth).prepare().headers.get("Authorization")


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
def test_a_token_goes_to_the_tracking_server_alone_and_what_goes_without_says_so(
    url: str, server: str, carries: bool, recwarn: pytest.WarningsRecorder
) -> None:
    assert (signed(url, server) is not None) == carries
    said = [str(each.message) for each in recwarn]
    origin = "://".join(urlsplit(url)[:2])
    assert [f"export MLFLOW_TRACKING_URI={origin}" in each for each in said] == ([] if carries else [True])


def test_no_token_goes_over_plain_http() -> None:
    with pytest.raises(SettingsError, match="export MLFLOW_TRACKING_URI=https://mlflow"):
        signed("http://mlflow.example.com/api", "http://mlflow.example.com")


def test_a_token_is_fetched_once_and_renewed_before_it_ends() -> None:
    now = 0.0
    credential = Credential()
    tokens = Tokens(credential, SCOPE, clock=lambda: now)
    first = tokens.current()
    now = 3600 - 301
    assert (tokens.current(), credential.asked) == (first, [SCOPE])
    now = 3600 - 299
    second = tokens.current()
    assert (second != first, credential.asked) == (True, [SCOPE] * 2)


@pytest.mark.parametrize("error", [ServiceRequestError("no route"), ClientAuthenticationError("az"), OSError("away")])
def test_a_token_that_cannot_be_renewed_serves_to_its_end(error: Exception) -> None:
    now = 0.0
    credential = Credential()
    tokens = Tokens(credential, SCOPE, clock=lambda: now)
    first = tokens.current()
    credential.raises = error
    now = 3599
    assert tokens.current() == first
    now = 3600
    with pytest.raises(type(error)):
        tokens.current()


@pytest.mark.parametrize("given", ["", "mlflow", "https://graph.microsoft.com"])
def test_the_application_is_named_by_its_id(given: str) -> None:
    with pytest.raises(SettingsError, match="expected the client id"):
        scope({"MLFLOW_ENTRA_CLIENT_ID": given})


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (None, "https://login.microsoftonline.com"),
        ("", "https://login.microsoftonline.com"),
        ("login.microsoftonline.us", "https://login.microsoftonline.us"),
        ("https://127.0.0.1:8443/", "https://127.0.0.1:8443"),
    ],
)
def test_entra_is_microsofts_or_the_named_one(given: str | None, address: str) -> None:
    assert authority({} if given is None else {"AZURE_AUTHORITY_HOST": given}) == address


@pytest.mark.parametrize("given", ["http://127.0.0.1:8443", "https://", "https://login.microsoftonline.com/common"])
@pytest.mark.parametrize("asked", ["login", "token"])
def test_a_wrong_address_of_entra_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: str, given: str
) -> None:
    monkeypatch.setenv("MLFLOW_ENTRA_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", given)
    assert command.main([asked]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"mlflow-entra: AZURE_AUTHORITY_HOST: got {given!r}; expected a host")
    assert said.endswith("Run: unset AZURE_AUTHORITY_HOST\n")


@pytest.mark.parametrize(
    ("env", "kind"),
    [
        (GITHUB, ClientAssertionCredential),
        (PIPELINES, AzurePipelinesCredential),
        ({**AZURE, "XDG_CONFIG_HOME": "/nobody-signed-in"}, DefaultAzureCredential),
        ({"XDG_CONFIG_HOME": "/nobody-signed-in"}, DefaultAzureCredential),
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


@dataclass
class Device:
    """Azure's credential by a code, which somebody entered."""

    options: dict[str, Any]

    def authenticate(self, scopes: list[str]) -> AuthenticationRecord:
        assert scopes == [SCOPE]
        return AuthenticationRecord(CLIENT, "client", "login.microsoftonline.com", f"{CLIENT}.{CLIENT}", "anna")


def test_who_signs_in_by_a_code_is_remembered_until_the_logout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logins, "DeviceCodeCredential", lambda **options: Device(options))
    monkeypatch.setenv("MLFLOW_ENTRA_CLIENT_ID", CLIENT)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert isinstance(credentials.choose(env), DefaultAzureCredential)
    assert command.main(["login", "--unencrypted"]) == 0
    assert capsys.readouterr().out == "Signed in as anna.\n"
    assert logins.file(env).stat().st_mode & 0o077 == 0
    options = credentials.choose(env).options
    assert (options["authentication_record"].username, options["disable_automatic_authentication"]) == ("anna", True)
    assert options["cache_persistence_options"].allow_unencrypted_storage
    # Microsoft says whether a host is one of its clouds' own.
    assert "disable_instance_discovery" not in options
    assert isinstance(credentials.choose({**env, **GITHUB}), ClientAssertionCredential)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    tokens = tmp_path / ".IdentityService" / "mlflow-entra.nocae"
    tokens.parent.mkdir()
    tokens.write_text("a refresh token")
    assert command.main(["logout"]) == 0
    assert not tokens.exists()
    assert capsys.readouterr().out == ""
    assert isinstance(credentials.choose(env), DefaultAzureCredential)


def test_who_signed_in_elsewhere_is_nobody_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(logins, "DeviceCodeCredential", lambda **options: Device(options))
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    emulator = {**env, "AZURE_AUTHORITY_HOST": "https://127.0.0.1:8443"}
    logins.login(emulator, SCOPE, unencrypted=True)
    assert credentials.choose(emulator).options["disable_instance_discovery"]
    assert isinstance(credentials.choose(env), DefaultAzureCredential)
    logins.login(env, SCOPE, unencrypted=True)
    assert isinstance(credentials.choose(env), Device)
    assert isinstance(credentials.choose(emulator), DefaultAzureCredential)


@pytest.mark.parametrize("options", [[], ["--unencrypted"]])
def test_a_logout_says_what_stays_in_the_keyring(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    monkeypatch.setattr(logins, "DeviceCodeCredential", lambda **options: Device(options))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("MLFLOW_ENTRA_CLIENT_ID", CLIENT)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert command.main(["login", *options]) == 0
    # Where there is a keyring, azure-identity uses it, whatever the option; the file has no tokens then.
    (tmp_path / ".IdentityService").mkdir()
    (tmp_path / ".IdentityService" / "mlflow-entra.nocae").touch()
    assert command.main(["logout"]) == 0
    assert "remove the entries mlflow-entra.cae and mlflow-entra.nocae" in capsys.readouterr().out


def test_a_machine_without_a_keyring_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ImportError("gi")

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("msal_extensions.LibsecretPersistence", refuse)
    monkeypatch.setenv("MLFLOW_ENTRA_CLIENT_ID", CLIENT)
    # Nobody answers there, should the cache not be the first to refuse.
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://127.0.0.1:1")
    assert command.main(["login"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("mlflow-entra: this machine has no keyring")
    assert said.endswith("run: mlflow-entra login --unencrypted\n")


def test_another_wrong_setting_is_not_taken_for_a_missing_keyring(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_ENTRA_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_TENANT_ID", "my company")
    assert command.main(["login"]) == 1
    said = capsys.readouterr().err
    assert "tenant" in said
    assert "keyring" not in said


@pytest.mark.parametrize(
    "error", [ClientAuthenticationError("run az login"), ServiceRequestError("no route to Entra"), OSError("no runner")]
)
def test_the_command_says_in_a_line_why_there_is_no_token(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(credentials, "choose", lambda _: Credential(raises=error))
    monkeypatch.setenv("MLFLOW_ENTRA_CLIENT_ID", CLIENT)
    assert command.main(["token"]) == 1
    assert capsys.readouterr().err == f"mlflow-entra: {error}\n"
