"""What the gateway is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mlflow_runtime import environment
from mlflow_runtime.addresses import is_host_and_port
from mlflow_runtime.environment import Reader, list_of, number
from mlflow_runtime.routes import ServiceRole

MIB: Final = 1024 * 1024
LARGEST_BODY_MIB: Final = 10 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A gateway. Made by `from_environment`; `render` relies on what that checked.

    `upstreams` are `host:port` addresses of each service, at least one a service. `public_hosts` are the Host header
    values that are served. Body limits in bytes; `grace_seconds` are for the requests in flight at a stop.
    """

    host: str
    port: int
    upstreams: Mapping[ServiceRole, tuple[str, ...]]
    upstream_tls: bool
    public_hosts: tuple[str, ...]
    max_body: int
    max_artifact: int
    grace_seconds: int

    @property
    def listen(self) -> str:
        """Host and port in one, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def from_environment(env: Mapping[str, str]) -> Settings:
    """Read the gateway's variables; an empty one counts as not set. Raises SettingsError with all that is wrong."""
    reader = Reader(env)
    settings = Settings(
        host=environment.host(reader),
        port=environment.port(reader),
        upstreams={role: reader.get(f"{role.name}_UPSTREAMS", list_of(_address)) for role in ServiceRole},
        upstream_tls=reader.get("UPSTREAM_TLS", _boolean, "false"),
        public_hosts=environment.public_hosts(reader),
        max_body=reader.get("MAX_BODY_MIB", _mebibytes, "64"),
        max_artifact=reader.get("MAX_ARTIFACT_MIB", _mebibytes, "10240"),
        grace_seconds=environment.grace_seconds(reader),
    )
    reader.check("The gateway")
    return settings


def _address(text: str) -> str:
    if not is_host_and_port(text):
        raise ValueError("must be host:port pairs separated by commas, such as 10.0.0.4:5000,10.0.0.5:5000.")
    return text


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false.")
    return text == "true"


def _mebibytes(text: str) -> int:
    return number(1, LARGEST_BODY_MIB)(text) * MIB
