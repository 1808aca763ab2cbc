"""A workflow's token stays valid for as long as a command runs, and nothing of it stays behind."""

from __future__ import annotations

import base64
import json
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from delivery import federation
from delivery.federation import TOKEN_FILE, TokenFile, request, signed_in
from delivery.outcome import CommandError

BEARER = "of-the-job"
FIVE_MINUTES = 300.0


def token(expiry: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": expiry}).encode()).decode().rstrip("=")
    return f"header.{claims}.signature"


def expiry(of: str) -> float:
    body = of.split(".")[1]
    return float(json.loads(base64.urlsafe_b64decode(body + "=="))["exp"])


@dataclass
class Service:
    """A token service, which answers in the way of GitHub or of Azure DevOps."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    status: int = 200
    answer: str = json.dumps({"value": token(4e9), "oidcToken": token(4e9)})

    @property
    def github(self) -> dict[str, str]:
        return {
            "AZURE_CLIENT_ID": "client",
            "AZURE_TENANT_ID": "tenant",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": BEARER,
        }

    @property
    def azure_devops(self) -> dict[str, str]:
        return {
            "AZURE_CLIENT_ID": "client",
            "AZURE_TENANT_ID": "tenant",
            "SYSTEM_OIDCREQUESTURI": f"{self.url}/oidctoken",
            "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "connection",
            "SYSTEM_ACCESSTOKEN": BEARER,
        }


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(f"{self.command} {self.path} {self.headers['Authorization']}")
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(found.answer)))
            self.end_headers()
            self.wfile.write(found.answer.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def test_a_token_of_five_minutes_lasts_for_an_update_of_twenty(tmp_path: Path) -> None:
    now = 1000.0
    lives: list[float] = []
    failing = {600.0, 605.0, 610.0}

    def ask() -> str:
        if now in failing:
            raise CommandError("the token service is away")
        return token(now + FIVE_MINUTES)

    file = TokenFile(path=tmp_path / "token", ask=ask, clock=lambda: now)

    def wait(seconds: float) -> bool:
        nonlocal now
        # At any moment until then a reader finds a token that is valid.
        now += seconds
        lives.append(expiry(file.path.read_text()) - now)
        return now > 1000 + 20 * 60

    file.write()
    file.keep(wait)
    assert len(lives) > 8
    assert min(lives) > 0
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_the_service_is_asked_again_when_it_was_away(tmp_path: Path) -> None:
    now, away = 0.0, True

    def ask() -> str:
        if away:
            raise CommandError("away")
        return token(now + FIVE_MINUTES)

    file = TokenFile(path=tmp_path / "token", ask=ask, clock=lambda: now)
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        nonlocal now, away
        waits.append(seconds)
        now += seconds
        away = len(waits) < 4
        return len(waits) == 5

    file.keep(wait)
    assert waits == [5, 5, 5, 5, FIVE_MINUTES / 2]


def test_a_command_of_github_is_signed_in_and_nothing_stays(service: Service) -> None:
    environ = {**service.github, "ARM_TENANT_ID": "of the user"}
    before = dict(environ)
    with signed_in(environ):
        file = Path(environ[TOKEN_FILE])
        assert file.read_text() == token(4e9)
        assert (environ["ARM_USE_OIDC"], environ["ARM_CLIENT_ID"]) == ("true", "client")
        assert environ["ARM_TENANT_ID"] == "of the user"
        assert "ARM_OIDC_TOKEN_FILE_PATH" not in environ
    assert environ == before
    assert not file.parent.exists()
    assert service.asked == [
        f"GET /token?api-version=2.0&audience=api://AzureADTokenExchange Bearer {BEARER}",
    ]


def test_a_command_of_azure_devops_is_signed_in(service: Service) -> None:
    environ = service.azure_devops
    with signed_in(environ):
        assert environ["ARM_OIDC_TOKEN_FILE_PATH"] == environ[TOKEN_FILE]
    assert service.asked == [f"POST /oidctoken?api-version=7.1&serviceConnectionId=connection Bearer {BEARER}"]


def test_a_task_of_azure_devops_without_the_jobs_token_has_the_connections(service: Service) -> None:
    connection = {"servicePrincipalId": "client", "tenantId": "tenant", "idToken": token(4e9)}
    environ = {
        **connection,
        "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "connection",
        "SYSTEM_OIDCREQUESTURI": service.url,
    }
    before = dict(environ)
    with signed_in(environ):
        assert Path(environ[TOKEN_FILE]).read_text() == token(4e9)
        assert (environ["AZURE_CLIENT_ID"], environ["AZURE_TENANT_ID"]) == ("client", "tenant")
        assert (environ["ARM_CLIENT_ID"], environ["ARM_TENANT_ID"]) == ("client", "tenant")
    assert environ == before
    assert service.asked == []
    # A step that is given the job's token asks for new ones, for as long as it runs.
    with signed_in(environ | {"SYSTEM_ACCESSTOKEN": BEARER, "SYSTEM_OIDCREQUESTURI": f"{service.url}/oidctoken"}):
        pass
    assert service.asked == [f"POST /oidctoken?api-version=7.1&serviceConnectionId=connection Bearer {BEARER}"]


@pytest.mark.parametrize("without", ["AZURE_CLIENT_ID", "ACTIONS_ID_TOKEN_REQUEST_URL"])
def test_elsewhere_nothing_is_asked(service: Service, without: str) -> None:
    environ = {key: value for key, value in service.github.items() if key != without}
    with signed_in(environ):
        assert TOKEN_FILE not in environ
    assert service.asked == []


def test_a_token_file_of_the_users_own_stays(service: Service) -> None:
    assert request({**service.github, TOKEN_FILE: "/var/run/token"}) is None


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (403, "{}"),
        (200, "{}"),
        (200, "no json"),
        (200, json.dumps({"value": "opaque"})),
        (200, json.dumps({"value": 1})),
    ],
)
def test_a_service_without_a_token_is_named_and_no_secret_is(service: Service, status: int, answer: str) -> None:
    service.status, service.answer = status, answer
    environ = service.github
    before = dict(environ)
    with pytest.raises(CommandError, match=r"^sign-in: the workflow's token service ") as refused, signed_in(environ):
        raise AssertionError("it was signed in")
    assert BEARER not in str(refused.value)
    assert environ == before


def test_the_audience_is_that_of_entra() -> None:
    assert federation.AUDIENCE == "api://AzureADTokenExchange"
