"""The two ways to a service, each asked over one connection that stays open: its own port, and the gateway."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlflow_runtime.routes import role_of
from tests.runtime.access.teams import Teams
from tests.support.answer import Answer
from tests.support.plane import PATIENCE
from tests.support.services import PUBLIC_HOST

OWN_PORT = "own port"
GATEWAY = "gateway"


@dataclass(frozen=True)
class Door:
    """Where requests go in: the port for each role of service, and the Host that is sent."""

    name: str
    ports: Mapping[str, int]
    host: str
    connections: Mapping[str, http.client.HTTPConnection]

    def send(
        self, token: str | None, method: str, path: str, body: Any = None, *, workspace: str | None = None
    ) -> Answer:
        """Send a request over the connection that is open. A connection that its service ended is opened again."""
        connection = self.connections[role_of(unquote(urlsplit(path).path))]
        headers = {"Host": self.host, "Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if workspace is not None:
            headers["X-MLFLOW-WORKSPACE"] = workspace
        connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())

    def raw(self, sent: bytes) -> bytes:
        """Send these bytes to tracking, and return all that comes until it ends the connection."""
        with socket.create_connection(("127.0.0.1", self.ports["tracking"]), timeout=PATIENCE) as connection:
            connection.sendall(sent)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    received += part
            return received


@contextlib.contextmanager
def doors(teams: Teams, folder: Path) -> Iterator[tuple[Door, Door]]:
    """Both ways in."""
    with teams.gateway(folder) as address, contextlib.ExitStack() as opened:

        def connection(port: int) -> http.client.HTTPConnection:
            made = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            return opened.enter_context(contextlib.closing(made))

        own = {role: service.port for role, service in teams.services.items()}
        gateway = dict.fromkeys(own, teams.gateway_port)
        shared = connection(teams.gateway_port)
        yield (
            Door(OWN_PORT, own, PUBLIC_HOST, {role: connection(port) for role, port in own.items()}),
            Door(GATEWAY, gateway, address.removeprefix("http://"), dict.fromkeys(own, shared)),
        )
