"""What a service or a job needs from whatever runs it, and what a backend of `compute` gives back.

The specs are plain data. Three backends render the same ones: `local` (supervised processes), `container_apps` and
`aks`. A spec holds no secret value and no reference to one: a workload gets the address of the Key Vault and the
client id of its managed identity, and reads what it needs at its start.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pulumi

from components.compute.cron import Schedule

# The shortest rule of all: a container's name in Container Apps and Kubernetes. Replicas of the local stack end in -2.
_NAME = re.compile(r"[a-z](?!.*--)(?!.*-[0-9]+$)[a-z0-9-]{0,30}[a-z0-9]")


class Ingress(enum.StrEnum):
    """Who can open a connection to a service."""

    NONE = "none"
    INTERNAL = "internal"
    PUBLIC = "public"


class Destination(enum.StrEnum):
    """What a workload calls. A backend whose network holds workloads apart lets each call these alone."""

    SERVICES = "services"
    """The services with internal ingress."""
    DATABASE = "database"
    STORES = "stores"
    """Blobs and secrets."""
    SIGN_IN = "sign-in"
    """Where the workload gets tokens for its identity."""


@dataclass(frozen=True, kw_only=True)
class WorkloadIdentity:
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
    """How many replicas; `concurrency` is the number of requests a second per replica that one more is added for.

    Container Apps has the word: what it calls concurrent requests are those of the past 15 seconds, divided by 15
    (Microsoft Learn, "Set scaling rules in Azure Container Apps").
    """

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
    """One service of the image: an instance of a role that listens on `port` and keeps running.

    - `name`: unique within its stack. `role`: what the image does, the argument of its entry point. Two services may
      have the same role.
    - `env`: every plain environment variable, except those that the backend sets: PORT, TMPDIR and `drain_variable`.
    - `cpu` in cores. `memory_mib` and `spool_mib` in MiB; the spool is disk for uploads and downloads, at TMPDIR.
    - `ingress`: a service with public ingress starts after all others and stops before them.
    - `tls`: the service takes TLS itself at its port, with a certificate that probes need not trust.
    - `shares_port`: whether a second process can listen on the port of the first (SO_REUSEPORT).
    - `extra_ports`: further ports that each replica opens, which no ingress leads to.
    - `calls`: what it calls, which not every backend's network tells apart.
    - `grace_seconds`: time between the request to stop and the kill.
    - `drain_seconds`: how long of that, at its beginning, a replica sends callers to the others. `drain_variable`
      tells it: a backend without others to send them to shortens the time.

    Raise ValueError for values out of range, and for a name or role that no platform takes.
    """

    name: str
    role: str
    identity: WorkloadIdentity
    port: int
    env: Mapping[str, pulumi.Input[str]]
    cpu: float
    memory_mib: int
    spool_mib: int
    scale: Scale
    probes: Probes
    ingress: Ingress
    grace_seconds: int
    drain_seconds: int = 0
    drain_variable: str = "DRAIN_SECONDS"
    tls: bool = False
    shares_port: bool = False
    extra_ports: Sequence[int] = ()
    calls: frozenset[Destination] = frozenset()

    def __post_init__(self) -> None:
        _check_names("ServiceSpec", name=self.name, role=self.role)
        for port in (self.port, *self.extra_ports):
            if not 1 <= port <= 65535:
                raise ValueError(f"ServiceSpec.port: {port} is no TCP port; choose one of 1 to 65535.")
        if self.cpu <= 0:
            raise ValueError(f"ServiceSpec.cpu: {self.cpu} must be above 0 cores.")
        _at_least(64, memory_mib=self.memory_mib)
        _at_least(0, spool_mib=self.spool_mib, drain_seconds=self.drain_seconds)
        _at_least(self.drain_seconds, grace_seconds=self.grace_seconds)


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """Work that runs to its end, once before the services roll or by a schedule. It must be safe to repeat.

    `name` is unique within its stack. `timeout_seconds` bounds one execution. `calls` is what the job calls. Without a
    `schedule` the job runs when the image or any value of `env` changes. With one, five fields of cron in UTC, only the
    schedule starts it.
    Raise ValueError for a name or role that no platform takes, and a schedule that is not cron's.
    """

    name: str
    role: str
    identity: WorkloadIdentity
    env: Mapping[str, pulumi.Input[str]]
    cpu: float = 0.5
    memory_mib: int = 1024
    timeout_seconds: int = 1800
    schedule: str | None = None
    calls: frozenset[Destination] = frozenset()

    def __post_init__(self) -> None:
        _check_names("JobSpec", name=self.name, role=self.role)
        if self.schedule is not None:
            try:
                Schedule.parse(self.schedule)
            except ValueError as error:
                raise ValueError(f"JobSpec.schedule: {error}.") from error


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """How other services reach a service: `host:port` of each thing that balances or is a replica, and the scheme.

    `host` is the Host header by which something on the way finds the service; None where callers' own is passed on.
    `watched` says that what balances there knows which replicas are ready: a check through it would say nothing, and
    count as a request where requests decide on the number of replicas.
    """

    addresses: Sequence[pulumi.Input[str]]
    tls: bool = False
    host: pulumi.Input[str] | None = None
    watched: bool = False


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What a backend made of a spec: the resources that later work waits for, and the service's address from outside.

    `url` is None for jobs and for services without public ingress.
    """

    resources: Sequence[pulumi.Resource]
    url: pulumi.Output[str] | None = field(default=None)


class Addresses(Protocol):
    """What of a backend is known before anything is created."""

    def upstream(self, name: str, port: int, scale: Scale) -> Upstream:
        """Return where the service of this name will listen. Pure."""
        ...


class Compute(Addresses, Protocol):
    """A backend. Its constructor takes what is its own; these three are all that components/mlflow/ knows of it."""

    def run_job(
        self, spec: JobSpec, *, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()
    ) -> Deployment:
        """Run a job to its end; whatever depends on the result waits for that. A failed job fails the update.

        A job with a schedule is only set up: nothing waits for its executions.
        """
        ...

    def run_service(
        self, spec: ServiceSpec, *, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()
    ) -> Deployment:
        """Bring a service to its spec, replica by replica, each ready before the next one is touched."""
        ...


def _check_names(kind: str, **names: str) -> None:
    for field_, name in names.items():
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{kind}.{field_}: got {name!r}; expected 2 to 32 lower-case letters, digits and single hyphens, a "
                "letter first, no hyphen last and no number after the last hyphen."
            )


def _at_least(limit: int, **values: int) -> None:
    for name, value in values.items():
        if value < limit:
            raise ValueError(f"{name}: {value} is below the least allowed, {limit}.")
