"""Which services and jobs MLflow is made of, and what each needs. Pure: no resource is made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.compute.contract import (
    Addresses,
    Destination,
    Ingress,
    JobSpec,
    Probe,
    Probes,
    Scale,
    ServiceSpec,
    Upstream,
    WorkloadIdentity,
)
from components.mlflow.access import AccessControl
from components.mlflow.limits import Limits
from components.mlflow.roles import BACKENDS, WITH_DATABASES, Role

# Every setting that a role is given starts with this; the runtime refuses one that it does not know. Names that
# platforms and Azure's clients set by convention (PORT, TMPDIR, AZURE_CLIENT_ID) are without it.
VARIABLE_PREFIX = "MLFLOW_RUNTIME_"
# Seconds at the beginning of a stop in which a replica sends its callers away. The gateway takes a replica out after
# two checks a second apart, a platform's own balancer sooner.
DRAIN_SECONDS = 4
TRACKING_DATABASE = "tracking"
REGISTRY_DATABASE = "registry"


_SIGNED_IN = frozenset({Destination.STORES, Destination.SIGN_IN})
_CALLS: Mapping[Role, frozenset[Destination]] = {
    **dict.fromkeys(BACKENDS, _SIGNED_IN),
    **dict.fromkeys((*WITH_DATABASES, Role.PREPARE), _SIGNED_IN | {Destination.DATABASE}),
    Role.GATEWAY: frozenset({Destination.SERVICES}),
}


def identity_name(role: Role) -> str:
    """The managed identity of a role, and the name of its database role."""
    return f"mlflow-{role.value}"


@dataclass(frozen=True, kw_only=True)
class Size:
    """What one replica of a service gets, and how many there are. cpu in cores, memory and spool disk in MiB."""

    cpu: float
    memory_mib: int
    spool_mib: int
    scale: Scale


@dataclass(frozen=True, kw_only=True)
class DataAddresses:
    """Where the data is. `database_host` with port, `sslmode` as libpq knows it, both URLs with https."""

    database_host: pulumi.Input[str]
    sslmode: str
    blob_container_url: pulumi.Input[str]
    key_vault_url: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class GatewayTls:
    """The gateway takes TLS itself: with the certificate in `secret` of the vault, for the first of the public hosts.

    `made`: prepare makes one where there is none, which no authority vouches for.
    """

    secret: str
    made: bool


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Everything that decides on the services.

    `ports` is the port that each service listens on, `public_hosts` the Host headers that are served (with port where
    it is not the scheme's own), `public_origins` the web origins besides the own one that may call.
    `clients_reach_blob` lets clients send large artifacts to the container themselves. `gateway_metrics_port` is where
    the gateway shows its metrics, None for nowhere. `gateway_tls` is None where the platform takes TLS. `access` is
    None where everybody who reaches the gateway is let in. Plain values decide on resources; inputs are only passed on.
    """

    sizes: Mapping[Role, Size]
    ports: Mapping[Role, int]
    identities: Mapping[Role, WorkloadIdentity]
    data: DataAddresses
    public_hosts: Sequence[pulumi.Input[str]]
    public_origins: Sequence[str] = ()
    ingress: Ingress = Ingress.INTERNAL
    bind_host: str = "0.0.0.0"  # noqa: S104 - a container's own network; the local stack binds 127.0.0.1
    limits: Limits = field(default_factory=Limits)
    clients_reach_blob: bool = False
    gateway_metrics_port: int | None = None
    gateway_tls: GatewayTls | None = None
    access: AccessControl | None = None

    def prepare(self) -> JobSpec:
        """The job that makes the databases, roles, grants and secrets before any service starts."""
        role = Role.PREPARE
        return JobSpec(
            name=role.value,
            role=role,
            identity=self.identities[role],
            calls=_CALLS[role],
            env={
                **self._signed_in(role),
                **_variables(
                    {
                        "KEY_VAULT_URL": self.data.key_vault_url,
                        "DATABASE_ADMIN_URL": self._database_url(role, "postgres"),
                        "TRACKING_DATABASE": TRACKING_DATABASE,
                        "REGISTRY_DATABASE": REGISTRY_DATABASE,
                        "TRACKING_PRINCIPAL": self._principal(Role.TRACKING),
                        "REGISTRY_PRINCIPAL": self._principal(Role.REGISTRY),
                        **self._made_certificate(),
                        **(self.access.workspaces() if self.access else {}),
                    }
                ),
            },
        )

    def service(self, role: Role, compute: Addresses) -> ServiceSpec:
        """A service behind the gateway. It answers to the name by which the gateway calls it too."""
        host = self._upstream(role, compute).host
        env: dict[str, pulumi.Input[str]] = {
            "HOST": self.bind_host,
            "BLOB_CONTAINER_URL": self.data.blob_container_url,
            "PUBLIC_HOSTS": _joined([*self.public_hosts, *([] if host is None else [host])]),
            "PUBLIC_ORIGINS": ",".join(self.public_origins),
            "GRACE_SECONDS": str(self.limits.grace_seconds),
            "MAX_IN_FLIGHT": str(self.limits.max_in_flight),
            "METRICS_SECONDS": str(self.limits.metrics_seconds),
            "MEMORY_MIB": str(self.sizes[role].memory_mib),
            "SPOOL_MIB": str(self.sizes[role].spool_mib),
        }
        if role in WITH_DATABASES:
            env["KEY_VAULT_URL"] = self.data.key_vault_url
            env["TRACKING_DATABASE_URL"] = self._database_url(role, TRACKING_DATABASE)
            env["REGISTRY_DATABASE_URL"] = self._database_url(role, REGISTRY_DATABASE)
            env["DATABASE_POOL_SIZE"] = str(self.limits.database_pool)
            env["MAX_BODY_MIB"] = str(self.limits.max_body_mib)
        if role is Role.TRACKING:
            env["HOT_PATH_CONNECTIONS"] = str(self.limits.hot_path_connections)
        if role is Role.ARTIFACTS:
            env["CLIENTS_REACH_BLOB"] = str(self.clients_reach_blob).lower()
        if self.access is not None:
            env |= self.access.settings()
        return self._spec(role, {**self._signed_in(role), **_variables(env)}, Ingress.INTERNAL)

    def gateway(self, compute: Addresses) -> ServiceSpec:
        """The one service that clients reach. It needs nothing of the data plane but its certificate, if it has one."""
        env: dict[str, pulumi.Input[str]] = {
            "HOST": self.bind_host,
            "PUBLIC_HOSTS": _joined(self.public_hosts),
            "MAX_BODY_MIB": str(self.limits.max_body_mib),
            "MAX_ARTIFACT_MIB": str(self.limits.max_artifact_mib),
            "GRACE_SECONDS": str(self.limits.grace_seconds),
        }
        if self.gateway_metrics_port is not None:
            env["METRICS_PORT"] = str(self.gateway_metrics_port)
        if self.gateway_tls is not None:
            env |= {"KEY_VAULT_URL": self.data.key_vault_url, "TLS_CERTIFICATE": self.gateway_tls.secret}
        for role in BACKENDS:
            upstream = self._upstream(role, compute)
            env[f"{role.name}_UPSTREAMS"] = _joined(upstream.addresses)
            env["UPSTREAM_TLS"] = str(upstream.tls).lower()
            env["UPSTREAM_CHECKS"] = str(not upstream.watched).lower()
        signed_in = {} if self.gateway_tls is None else self._signed_in(Role.GATEWAY)
        return self._spec(Role.GATEWAY, {**signed_in, **_variables(env)}, self.ingress)

    def _made_certificate(self) -> dict[str, pulumi.Input[str]]:
        if self.gateway_tls is None or not self.gateway_tls.made:
            return {}
        return {"TLS_CERTIFICATE": self.gateway_tls.secret, "TLS_HOST": self.public_hosts[0]}

    def _signed_in(self, role: Role) -> dict[str, pulumi.Input[str]]:
        return {"AZURE_CLIENT_ID": self.identities[role].client_id}

    def _spec(self, role: Role, env: Mapping[str, pulumi.Input[str]], ingress: Ingress) -> ServiceSpec:
        size, grace = self.sizes[role], self.limits.grace_seconds
        gateway = role is Role.GATEWAY
        tls = gateway and self.gateway_tls is not None
        return ServiceSpec(
            name=role.value,
            role=role,
            identity=self.identities[role],
            port=self.ports[role],
            env=env,
            cpu=size.cpu,
            memory_mib=size.memory_mib,
            spool_mib=size.spool_mib,
            scale=size.scale,
            probes=Probes(
                startup=Probe(path="/live", period=2, failures=60),
                live=Probe(path="/live", failures=6),
                ready=Probe(path="/ready"),
            ),
            ingress=ingress,
            calls=_CALLS[role] | (_SIGNED_IN if tls else frozenset()),
            tls=tls,
            grace_seconds=grace,
            # A short grace time is for the requests in flight alone.
            drain_seconds=max(0, min(DRAIN_SECONDS, grace - DRAIN_SECONDS)),
            drain_variable=f"{VARIABLE_PREFIX}DRAIN_SECONDS",
            shares_port=gateway,  # Caddy's way of listening
            extra_ports=[self.gateway_metrics_port] if gateway and self.gateway_metrics_port is not None else [],
        )

    def _database_url(self, role: Role, database: str) -> pulumi.Input[str]:
        user = self.identities[role].name
        return _concat(
            f"postgresql+entra://{user}@", self.data.database_host, f"/{database}?sslmode={self.data.sslmode}"
        )

    def _principal(self, role: Role) -> pulumi.Input[str]:
        return _concat(f"{self.identities[role].name}:", self.identities[role].principal_id)

    def _upstream(self, role: Role, compute: Addresses) -> Upstream:
        return compute.upstream(role.value, self.ports[role], self.sizes[role].scale)


def _variables(settings: Mapping[str, pulumi.Input[str]]) -> dict[str, pulumi.Input[str]]:
    return {f"{VARIABLE_PREFIX}{name}": value for name, value in settings.items()}


def _joined(parts: Sequence[pulumi.Input[str]]) -> pulumi.Input[str]:
    separated = [piece for part in parts for piece in (",", part)][1:]
    return _concat(*separated)


def _concat(*parts: pulumi.Input[str]) -> pulumi.Input[str]:
    """Plain strings stay plain, so that what is known before a run is known to a reader of the specs too."""
    if all(isinstance(part, str) for part in parts):
        return "".join(str(part) for part in parts)
    return pulumi.Output.concat(*parts)
