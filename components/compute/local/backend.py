"""The compute backend of the local stack: services are supervised processes, jobs are commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pulumi

from components.compute.contract import Deployment, Ingress, JobSpec, Scale, ServiceSpec, Upstream
from components.compute.local.containers import Limits
from components.compute.local.jobs import STOP_SECONDS, Job
from components.compute.local.processes import HOST, NO_PORT, ProcessGroup
from components.compute.local.resources import JobRun, RunningGroup

# Order of starting; stopping goes the other way round.
DATA_PRIORITY = 100
SERVICE_PRIORITY = 200
PUBLIC_PRIORITY = 300

# What podman needs after the end of a role: were it killed, the container's remains would stay.
CLEANING_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class LocalComputeArgs:
    """What the processes find around them. All plain: on one machine everything is known beforehand.

    `root` is the stack's folder, `command` what runs `mlflow-runtime`, `image` a digest of the code that it runs. With
    `contained` it is the id of an image that this machine has, and every process a container of it.
    `environment` what the platform adds to every process, `identity_headers` the folder with a file for each identity.
    """

    root: Path
    command: Sequence[str]
    image: str
    environment: Mapping[str, str]
    identity_headers: Path
    contained: bool = False


class LocalCompute:
    """Runs specs as processes on 127.0.0.1; replica N of a service listens on the service's port + N - 1.

    It runs `scale.minimum` replicas and adds none by load. Only containers are held to the cpu and memory of their
    spec; to its spool a service keeps by itself.
    """

    def __init__(self, args: LocalComputeArgs) -> None:
        self._args = args

    def upstream(self, name: str, port: int, scale: Scale) -> Upstream:
        """Return one address per replica: nothing else balances between them."""
        del name
        return Upstream(addresses=[f"{HOST}:{port}" for port in _replica_ports(port, scale)])

    def run_job(
        self, spec: JobSpec, *, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()
    ) -> Deployment:
        """Run the job as a child process of the update; one with a schedule under the supervisor instead."""
        options = pulumi.ResourceOptions(parent=parent, depends_on=depends_on)
        if spec.schedule is not None:
            group = self._scheduled(self._job(spec, f"{spec.name}-run"), spec.name, spec.schedule)
            return Deployment(resources=[RunningGroup(spec.name, group, options)])
        return Deployment(resources=[JobRun(spec.name, self._job(spec, spec.name), options)])

    def _job(self, spec: JobSpec, name: str) -> Job:
        return Job(
            root=str(self._args.root),
            name=name,
            command=self._command(spec.role),
            env=self._environment(spec.env),
            image=self._args.image,
            timeout_seconds=spec.timeout_seconds,
            identity_header=self._identity_header(spec.identity.name),
            limits=self._limits(spec),
        )

    def _scheduled(self, job: Job, name: str, schedule: str) -> ProcessGroup:
        return ProcessGroup(
            root=str(self._args.root),
            name=name,
            command=[sys.executable, "-m", "components.compute.local.scheduled", schedule],
            env={"JOB": json.dumps(asdict(job), sort_keys=True)},
            ports=[NO_PORT],
            priority=SERVICE_PRIORITY,
            image=self._args.image,
            stop_seconds=STOP_SECONDS + CLEANING_SECONDS,
        )

    def run_service(
        self, spec: ServiceSpec, *, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()
    ) -> Deployment:
        """Run the service's replicas under the supervisor."""
        probes = spec.probes
        group = ProcessGroup(
            root=str(self._args.root),
            name=spec.name,
            command=self._command(spec.role),
            env=self._environment(
                {**self._processors(spec), **spec.env, spec.drain_variable: str(_drain_seconds(spec))}
            ),
            ports=_replica_ports(spec.port, spec.scale),
            extra_ports=list(spec.extra_ports),
            priority=PUBLIC_PRIORITY if spec.ingress is Ingress.PUBLIC else SERVICE_PRIORITY,
            image=self._args.image,
            identity_header=self._identity_header(spec.identity.name),
            limits=self._limits(spec),
            shares_port=spec.shares_port,
            ready=probes.ready.path,
            live=probes.live.path,
            live_period=probes.live.period,
            live_timeout=probes.live.timeout,
            live_failures=probes.live.failures,
            start_seconds=probes.startup.period * probes.startup.failures,
            stop_seconds=spec.grace_seconds + (CLEANING_SECONDS if self._args.contained else 0),
        )
        running = RunningGroup(spec.name, group, pulumi.ResourceOptions(parent=parent, depends_on=depends_on))
        if spec.ingress is Ingress.NONE:
            return Deployment(resources=[running])
        return Deployment(resources=[running], url=running.status.apply(lambda _: f"http://{HOST}:{spec.port}"))

    def _environment(self, env: Mapping[str, pulumi.Input[str]]) -> dict[str, str]:
        """On one machine all values are known beforehand, so that a preview shows each of them."""
        unknown = [name for name, value in env.items() if not isinstance(value, str)]
        if unknown:
            raise TypeError(f"{', '.join(unknown)}: the local backend takes plain strings, no outputs.")
        return {**self._args.environment, **{name: str(value) for name, value in env.items()}}

    def _command(self, role: str) -> list[str]:
        return [*([] if self._args.contained else self._args.command), role]

    def _limits(self, spec: ServiceSpec | JobSpec) -> Limits | None:
        return Limits(cpu=spec.cpu, memory_mib=spec.memory_mib) if self._args.contained else None

    def _processors(self, spec: ServiceSpec) -> dict[str, str]:
        """As many as a program in Go takes in its container. With more it wakes one for work that another could do."""
        return {} if self._args.contained else {"GOMAXPROCS": str(max(1, int(spec.cpu)))}

    def _identity_header(self, identity: str) -> str:
        return str(self._args.identity_headers / identity)


def _replica_ports(port: int, scale: Scale) -> list[int]:
    return [port + number for number in range(max(1, scale.minimum))]


def _drain_seconds(spec: ServiceSpec) -> int:
    """A lone replica has nobody to send its callers to, unless a stand-in shares its port."""
    if spec.scale.minimum > 1:
        return spec.drain_seconds
    return min(1, spec.drain_seconds) if spec.shares_port else 0
