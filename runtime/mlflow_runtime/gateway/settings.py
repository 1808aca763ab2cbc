"""The gateway's settings, from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mlflow_runtime import environment
from mlflow_runtime.addresses import is_host_and_port
from mlflow_runtime.environment import Reader, boolean, list_of, number
from mlflow_runtime.routes import ServiceRole

MIB: Final = 1024 * 1024


class CertificateError(RuntimeError):
    """There is no certificate to start with. The message says what is missing and what to do."""


@dataclass(frozen=True, kw_only=True)
class Tls:
    """The certificate with which the gateway takes TLS itself: a secret of a vault, for the name `host`."""

    vault_url: str
    secret: str
    host: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A gateway. Made by `from_environment`; `render` relies on what that checked.

    `upstreams` are `host:port` addresses of each service, at least one a service. `public_hosts` are the Host header
    values that are served. `upstream_checks` has the gateway ask each address whether it is ready, which is for
    replicas: a platform's balancer knows, and counts the question as a request. Body limits in bytes; `grace_seconds`
    are for a stop, `drain_seconds` of them to send callers away, the rest for the requests in flight. `metrics_port`
    serves only metrics; None for no such port. `tls` is None where whatever is before the gateway takes TLS.
    """

    host: str
    port: int
    upstreams: Mapping[ServiceRole, tuple[str, ...]]
    upstream_tls: bool
    upstream_checks: bool
    public_hosts: tuple[str, ...]
    max_body: int
    max_artifact: int
    grace_seconds: int
    drain_seconds: int
    metrics_port: int | None = None
    tls: Tls | None = None

    @property
    def listen(self) -> str:
        """Host and port in one, an IPv6 address in brackets."""
        return self._at(self.port)

    @property
    def listen_for_metrics(self) -> str | None:
        """The address that serves the metrics."""
        return None if self.metrics_port is None else self._at(self.metrics_port)

    def _at(self, port: int) -> str:
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"


def from_environment(env: Mapping[str, str]) -> Settings:
    """Read the gateway's variables; an empty one counts as not set. Raises SettingsError with all that is wrong."""
    reader = Reader(env)
    grace = environment.grace_seconds(reader)
    settings = Settings(
        host=environment.host(reader),
        port=environment.port(reader),
        upstreams={role: reader.get(f"{role.name}_UPSTREAMS", list_of(_address)) for role in ServiceRole},
        upstream_tls=reader.get("UPSTREAM_TLS", boolean),
        upstream_checks=reader.get("UPSTREAM_CHECKS", boolean),
        public_hosts=environment.public_hosts(reader),
        max_body=reader.get("MAX_BODY_MIB", _mebibytes),
        max_artifact=reader.get("MAX_ARTIFACT_MIB", _mebibytes),
        grace_seconds=grace,
        drain_seconds=environment.drain_seconds(reader, grace),
        metrics_port=_metrics_port(reader),
        tls=_tls(reader),
    )
    reader.check("The gateway")
    return settings


def _tls(reader: Reader) -> Tls | None:
    if not reader.given("TLS_CERTIFICATE") and not reader.given("KEY_VAULT_URL"):
        return None
    environment.require_identity(reader)
    hosts = environment.public_hosts(reader) or ("",)
    return Tls(
        vault_url=environment.key_vault_url(reader),
        secret=reader.get("TLS_CERTIFICATE", environment.secret_name),
        host=hosts[0].partition(":")[0],
    )


def _metrics_port(reader: Reader) -> int | None:
    if not reader.given("METRICS_PORT"):
        return None
    port = reader.get("METRICS_PORT", number(1, 65535))
    reader.distinct("PORT", "METRICS_PORT")
    return port


def _address(text: str) -> str:
    if not is_host_and_port(text):
        raise ValueError("must be host:port pairs separated by commas, such as 10.0.0.4:5000,10.0.0.5:5000.")
    return text


def _mebibytes(text: str) -> int:
    return number(1)(text) * MIB
