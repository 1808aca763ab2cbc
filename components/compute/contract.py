"""What a service or a job needs from whatever runs it, and what a backend of `compute` gives back.

The specs are plain data. Three backends render the same ones: `local` (supervised processes), `container_apps` and
`aks`. A spec holds no secret value and no reference to one: a workload gets the address of the Key Vault and the
client id of its managed identity, and reads what it needs at its start.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pulumi


class Role(enum.StrEnum):
    """What a container of the one image does: the argument of `mlflow-runtime ROLE`."""

    GATEWAY = "gateway"
    TRACKING = "tracking"
    REGISTRY = "registry"
    ARTIFACTS = "artifacts"
    PREPARE = "prepare"


class Ingress(enum.StrEnum):
    """Who can open a connection to a service."""

    NONE = "none"
    INTERNAL = "internal"
    PUBLIC = "public"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The managed identity that a workload signs in with.

    `name` is also the name of its database role. `client_id` and `principal_id` are known only after Azure created the
    identity, so both are inputs.
    """

    name: str
    client_id: pulumi.Input[str]
    principal_id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """An HTTP GET that answers 200 when all is well. Times in seconds."""

    path: str
    period: int = 5
    timeout: int = 3
    failures: int = 3

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError(f"Probe.path: {self.path!r} must start with '/'.")
        _at_least(1, period=self.period, timeout=self.timeout, failures=self.failures)


@dataclass(frozen=True, kw_only=True)
class Probes:
    """`startup` gives a replica the time to come up, `live` restarts one that hangs, `ready` decides on traffic."""

    startup: Probe
    live: Probe
    ready: Probe


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How many replicas; `concurrency` is the number of requests in flight per replica that one more is added for."""

    minimum: int
    maximum: int
    concurrency: int = 20

    def __post_init__(self) -> None:
        _at_least(0, minimum=self.minimum)
        _at_least(1, maximum=self.maximum, concurrency=self.concurrency)
        if self.minimum > self.maximum:
            raise ValueError(
                f"Scale.minimum: {self.minimum} is above maximum {self.maximum}; lower the one or raise the other."
            )


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """One service of the image: a role that listens on `port` and keeps running.

    `env` names every plain environment variable; PORT is set by the backend. `cpu` in cores, `memory_mib` and
    `spool_mib` (disk for uploads and downloads in passing, mounted at TMPDIR) in MiB, `grace_seconds` between the
    request to stop and the kill.
    """

    role: Role
    identity: Identity
    port: int
    env: Mapping[str, pulumi.Input[str]]
    cpu: float
    memory_mib: int
    spool_mib: int
    scale: Scale
    probes: Probes
    ingress: Ingress
    grace_seconds: int

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ValueError(f"ServiceSpec.port: {self.port} is no TCP port; choose one of 1 to 65535.")
        if self.cpu <= 0:
            raise ValueError(f"ServiceSpec.cpu: {self.cpu} must be above 0 cores.")
        _at_least(64, memory_mib=self.memory_mib)
        _at_least(0, spool_mib=self.spool_mib, grace_seconds=self.grace_seconds)

    @property
    def name(self) -> str:
        """The service's name within its stack: its role."""
        return self.role.value


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """Work that runs to its end before the services roll. It must be safe to repeat.

    It runs again when the image or any value of `env` changes. `timeout_seconds` bounds one execution.
    """

    role: Role
    identity: Identity
    env: Mapping[str, pulumi.Input[str]]
    cpu: float = 0.5
    memory_mib: int = 1024
    timeout_seconds: int = 1800

    @property
    def name(self) -> str:
        """The job's name within its stack: its role."""
        return self.role.value


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """How other services reach a service: `host:port` of each thing that balances or is a replica, and the scheme.

    `host` is the Host header by which something on the way finds the service; None where callers' own is passed on.
    """

    addresses: Sequence[pulumi.Input[str]]
    tls: bool = False
    host: pulumi.Input[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What a backend made of a spec: the resources that later work waits for, and the service's address from outside.

    `url` is None for jobs and for services without public ingress.
    """

    resources: Sequence[pulumi.Resource]
    url: pulumi.Output[str] | None = field(default=None)


class Compute(Protocol):
    """A backend. Its constructor takes what is its own; these three are all that components/mlflow/ knows of it."""

    def upstream(self, role: Role, port: int, scale: Scale) -> Upstream:
        """Where a service of this role will listen. Pure: known before anything is created."""
        ...

    def run_job(
        self, spec: JobSpec, *, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()
    ) -> Deployment:
        """Run a job to its end; whatever depends on the result waits for that. A failed job fails the update."""
        ...

    def run_service(
        self, spec: ServiceSpec, *, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()
    ) -> Deployment:
        """Bring a service to its spec, replica by replica, each ready before the next one is touched."""
        ...


def _at_least(limit: int, **values: int) -> None:
    for name, value in values.items():
        if value < limit:
            raise ValueError(f"{name}: {value} is below the least allowed, {limit}.")
