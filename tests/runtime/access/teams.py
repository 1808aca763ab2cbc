"""Two teams on one platform, with an application for each role, and what they send to the services."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from components.emulators.azure.entra.directory import Application, Directory, Platform, Principal
from mlflow_runtime.middleware.access.roles import Role
from mlflow_runtime.routes import ServiceRole, role_of
from tests.support import issued
from tests.support import services as running
from tests.support.answer import Answer
from tests.support.entra import Served
from tests.support.services import BY_ROLE, Service

TEAMS = ("team-a", "team-b")


def application(name: str, *roles: str) -> Application:
    return Application(name=name, secret=f"secret-of-{name}", roles=roles)


MEMBERS = {(team, role): application(f"{team}-{role.title}", f"{team}.{role.title}") for team in TEAMS for role in Role}
NO_ROLE = application("no-role")
READS_A_PART = application("reads-a-part", "default.Reader")
SHARED_EXPERIMENT = 700001
SHARES = f"team-b/models/shared-*=default,team-b/artifacts/{SHARED_EXPERIMENT}=default"
EVERYWHERE = application("platform-admin", "Platform.Admin")
ANNA = Principal(name="anna@example.com", roles=("team-a.Contributor",))
NOBODY = Principal(name="nobody@example.com")
DIRECTORY = Directory(
    platform=Platform(federated=(BY_ROLE["tracking"].principal_id,)),
    people=(ANNA, NOBODY),
    applications=(*MEMBERS.values(), NO_ROLE, READS_A_PART, EVERYWHERE),
)


def directory(gateway_port: int) -> Directory:
    """Return who signs in to a gateway on this machine."""
    redirects = (f"http://127.0.0.1:{gateway_port}/access/callback",)
    return replace(DIRECTORY, platform=replace(DIRECTORY.platform, redirects=redirects))


@dataclass(frozen=True)
class Teams:
    """The services, each asked at its own port, and the Entra that gives the tokens. `settings` are what each has.

    `gateway_logs` are those of the gateways before them.
    """

    platform: running.Platform
    entra: Served
    services: Mapping[str, Service]
    settings: Mapping[str, str]
    gateway_port: int
    gateway_logs: list[Path] = field(default_factory=list)

    @classmethod
    def start(cls, platform: running.Platform, entra: Served, port: int) -> Teams:
        settings = {
            "MODE": "entra",
            "AUTHORITY": entra.origin,
            "TENANT_ID": DIRECTORY.tenant_id,
            "CLIENT_ID": DIRECTORY.platform.client_id,
            "TEAMS": ",".join(TEAMS),
            "SHARES": SHARES,
            "CONTACT": "ml-platform@example.com",
        }
        env = {f"MLFLOW_RUNTIME_ACCESS_{name}": value for name, value in settings.items()}
        env["MLFLOW_RUNTIME_PUBLIC_HOSTS"] = f"{running.PUBLIC_HOST},127.0.0.1:{port}"
        started = [platform.start(role, ready=True, **env) for role in ServiceRole]
        return cls(platform, entra, {service.role: service for service in started}, env, port)

    @contextmanager
    def gateway(self, folder: Path, *replicas: Service) -> Iterator[str]:
        """A gateway before the services, and before more replicas of tracking; its address."""
        addresses = {role: f"127.0.0.1:{service.port}" for role, service in self.services.items()}
        addresses["tracking"] += "".join(f",127.0.0.1:{replica.port}" for replica in replicas)
        host = f"127.0.0.1:{self.gateway_port}"
        self.gateway_logs.append(folder / "gateway.log")
        with running.gateway(folder, addresses, port=self.gateway_port, hosts=[host]):
            yield f"http://{host}"

    def leaked(self) -> list[str]:
        """The programs in whose logs a token or a code is that Entra issued."""
        logs = [*self.gateway_logs, *self.platform.plane.folder.rglob("*.log")]
        return sorted(log.name for log in logs if issued.is_in(log.read_bytes()))

    def send(
        self,
        token: str | None,
        path: str,
        body: Any = None,
        *,
        workspace: str | None = None,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request to the service that the gateway would choose."""
        service = self.services[role_of(unquote(urlsplit(path).path))]
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if workspace is not None:
            sent["X-MLFLOW-WORKSPACE"] = workspace
        return service.ask(path, body, method=method, headers=sent)


@dataclass(frozen=True)
class Member:
    """Somebody with a role in a team."""

    teams: Teams
    team: str
    role: Role

    @property
    def client_id(self) -> str:
        return MEMBERS[self.team, self.role].client_id

    @cached_property
    def token(self) -> str:
        return self.teams.entra.token(MEMBERS[self.team, self.role])

    def send(
        self, path: str, body: Any = None, *, method: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return self.teams.send(self.token, path, body, workspace=self.team, method=method, headers=headers)

    def made(self, path: str, body: Any = None, *, method: str | None = None) -> Any:
        """The answer to a request that must succeed."""
        answer = self.send(path, body, method=method)
        assert answer.status == 200, (path, body, answer)
        return json.loads(answer.content) if answer.content.startswith(b"{") else answer.content
