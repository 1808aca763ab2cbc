"""Specs as Container Apps takes them. Pure: no resource is made here, and what Azure would refuse is refused first.

Limits from Microsoft Learn: "Health probes in Azure Container Apps", "Scaling in Azure Container Apps". Those of sizes
are in `replica_size.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import app

from components.compute.container_apps import replica_size
from components.compute.contract import Ingress, JobSpec, Probe, ServiceSpec
from components.compute.image import Image

COMMAND = "mlflow-runtime"
SPOOL_PATH = "/spool"

_MOST_PROBE_FAILURES = 10
_MOST_PROBE_SECONDS = 240
_MOST_GRACE_SECONDS = 600
_MOST_REPLICAS = 1000
_SPOOL = "spool"


def template(
    spec: ServiceSpec, image: Image, platform_environment: Mapping[str, pulumi.Input[str]]
) -> app.TemplateArgs:
    """The revision of a service. Raises ValueError where Container Apps could not run the spec as it is."""
    _check_service(spec)
    volumes, mounts, spool = _spool(spec.spool_mib)
    set_here = {"PORT": str(spec.port), spec.drain_variable: str(spec.drain_seconds), **spool}
    return app.TemplateArgs(
        containers=[
            app.ContainerArgs(
                name=spec.name,
                image=image.reference,
                command=[COMMAND],
                args=[spec.role],
                env=_environment({**platform_environment, **spec.env, **set_here}),
                resources=resources(spec.name, spec.cpu, spec.memory_mib),
                probes=[
                    _probe(app.Type.STARTUP, spec.probes.startup, spec.port),
                    _probe(app.Type.LIVENESS, spec.probes.live, spec.port),
                    _probe(app.Type.READINESS, spec.probes.ready, spec.port),
                ],
                volume_mounts=mounts,
            )
        ],
        volumes=volumes,
        scale=_scale(spec),
        termination_grace_period_seconds=spec.grace_seconds,
    )


@dataclass(frozen=True, kw_only=True)
class CustomDomain:
    """A name of one's own for a service with ingress `public`.

    `certificate_id` is of a certificate in the environment. Without one the name is only reserved, as Azure wants it
    before it makes a managed certificate (Microsoft Learn, "Custom domain names and free managed certificates in Azure
    Container Apps"), and the service is called by the environment's name.
    """

    host: str
    certificate_id: str | None = None

    def __post_init__(self) -> None:
        if self.host != self.host.lower() or "." not in self.host:
            raise ValueError(
                f"CustomDomain.host: {self.host!r}; allowed: a name in lower case with a domain; set one such as "
                "mlflow.example.com."
            )


def configuration(
    spec: ServiceSpec, image: Image, identity_id: pulumi.Input[str], domain: CustomDomain | None = None
) -> app.ConfigurationArgs:
    """What holds across revisions. A new revision gets the traffic once it is ready, then the old one is stopped."""
    return app.ConfigurationArgs(
        active_revisions_mode=app.ActiveRevisionsMode.SINGLE,
        ingress=_ingress(spec, domain),
        registries=_registries(image, identity_id),
    )


def job_template(
    spec: JobSpec, image: Image, platform_environment: Mapping[str, pulumi.Input[str]]
) -> app.JobTemplateArgs:
    """What an execution of a job runs. Raises ValueError for a size that Container Apps does not have."""
    return app.JobTemplateArgs(
        containers=[
            app.ContainerArgs(
                name=spec.name,
                image=image.reference,
                command=[COMMAND],
                args=[spec.role],
                env=_environment(job_environment(spec, platform_environment)),
                resources=resources(spec.name, spec.cpu, spec.memory_mib),
            )
        ]
    )


def job_environment(
    spec: JobSpec, platform_environment: Mapping[str, pulumi.Input[str]]
) -> dict[str, pulumi.Input[str]]:
    """Every environment variable of a job's container."""
    return {**platform_environment, **spec.env}


def job_configuration(spec: JobSpec, image: Image, identity_id: pulumi.Input[str]) -> app.JobConfigurationArgs:
    """Started by its schedule (UTC) or else by an update, one replica at a time.

    It is not retried: a failure is reported at once, and the next `up` or the next time of the schedule repeats it.
    """
    once = {"parallelism": 1, "replica_completion_count": 1}
    manual = spec.schedule is None
    return app.JobConfigurationArgs(
        trigger_type=app.TriggerType.MANUAL if manual else app.TriggerType.SCHEDULE,
        manual_trigger_config=app.JobConfigurationManualTriggerConfigArgs(**once) if manual else None,
        schedule_trigger_config=(
            None
            if spec.schedule is None
            else app.JobConfigurationScheduleTriggerConfigArgs(cron_expression=spec.schedule, **once)
        ),
        replica_timeout=spec.timeout_seconds,
        replica_retry_limit=0,
        registries=_registries(image, identity_id),
    )


def resources(name: str, cpu: float, memory_mib: int) -> app.ContainerResourcesArgs:
    """Cores and memory, in one of the combinations of the Consumption workload profile."""
    replica_size.check_resources(name, cpu, memory_mib)
    return app.ContainerResourcesArgs(cpu=cpu, memory=f"{memory_mib / 1024:g}Gi")


def host_name(app_name: str, ingress: Ingress, domain: pulumi.Input[str]) -> pulumi.Output[str]:
    """The name at which an environment's ingress finds an app; the proxy in front terminates TLS on port 443."""
    middle = "." if ingress is Ingress.PUBLIC else ".internal."
    return pulumi.Output.concat(app_name, middle, domain)


def public_name(
    app_name: str, ingress: Ingress, environment_domain: pulumi.Input[str], domain: CustomDomain | None
) -> pulumi.Input[str]:
    """The name by which a service is called: its own domain's once that has a certificate, else the environment's."""
    if domain is not None and domain.certificate_id is not None:
        return domain.host
    return host_name(app_name, ingress, environment_domain)


def _check_service(spec: ServiceSpec) -> None:
    name, scale = spec.name, spec.scale
    replica_size.check(name, cpu=spec.cpu, memory_mib=spec.memory_mib, spool_mib=spec.spool_mib)
    if spec.grace_seconds > _MOST_GRACE_SECONDS:
        raise ValueError(
            f"{name}: a grace period of {spec.grace_seconds} s; allowed: at most {_MOST_GRACE_SECONDS}; "
            "lower limits.graceSeconds."
        )
    if scale.maximum > _MOST_REPLICAS:
        raise ValueError(
            f"{name}.maxReplicas: {scale.maximum}; allowed: at most {_MOST_REPLICAS}; lower it, with more cores each."
        )
    if spec.ingress is Ingress.NONE and scale.minimum == 0:
        raise ValueError(
            f"{name}.minReplicas: 0 without ingress; nothing would ever start a replica; set {name}.minReplicas to 1."
        )


def _environment(env: Mapping[str, pulumi.Input[str]]) -> list[app.EnvironmentVarArgs]:
    """In the order of the names: Azure keeps the order, and another one would be a new revision."""
    return [app.EnvironmentVarArgs(name=name, value=env[name]) for name in sorted(env)]


def _probe(kind: app.Type, probe: Probe, port: int) -> app.ContainerAppProbeArgs:
    """A probe with its patience kept: Azure counts to ten failures at most, so a longer one is asked less often."""
    failures = min(probe.failures, _MOST_PROBE_FAILURES)
    period = math.ceil(probe.period * probe.failures / failures)
    for field, seconds in (("period", period), ("timeout", probe.timeout)):
        if seconds > _MOST_PROBE_SECONDS:
            raise ValueError(
                f"probe {probe.path}: a {field} of {seconds} s ({probe.failures} failures, every {probe.period} s); "
                f"allowed: at most {_MOST_PROBE_SECONDS} s with at most {_MOST_PROBE_FAILURES} failures; lower it."
            )
    return app.ContainerAppProbeArgs(
        type=kind,
        http_get=app.ContainerAppProbeHttpGetArgs(path=probe.path, port=port, scheme=app.Scheme.HTTP),
        period_seconds=period,
        timeout_seconds=probe.timeout,
        failure_threshold=failures,
    )


def _scale(spec: ServiceSpec) -> app.ScaleArgs:
    rules = [
        app.ScaleRuleArgs(
            name="requests-in-flight",
            http=app.HttpScaleRuleArgs(metadata={"concurrentRequests": str(spec.scale.concurrency)}),
        )
    ]
    return app.ScaleArgs(
        min_replicas=spec.scale.minimum,
        max_replicas=spec.scale.maximum,
        rules=None if spec.ingress is Ingress.NONE else rules,
    )


def _ingress(spec: ServiceSpec, domain: CustomDomain | None) -> app.IngressArgs | None:
    if spec.ingress is Ingress.NONE:
        return None
    return app.IngressArgs(
        external=spec.ingress is Ingress.PUBLIC,
        target_port=spec.port,
        transport=app.IngressTransportMethod.HTTP,
        allow_insecure=False,
        custom_domains=None if domain is None else [_bound(domain)],
        traffic=[app.TrafficWeightArgs(latest_revision=True, weight=100)],
    )


def _bound(domain: CustomDomain) -> app.CustomDomainArgs:
    if domain.certificate_id is None:
        return app.CustomDomainArgs(name=domain.host, binding_type=app.BindingType.DISABLED)
    return app.CustomDomainArgs(
        name=domain.host, binding_type=app.BindingType.SNI_ENABLED, certificate_id=domain.certificate_id
    )


def _registries(image: Image, identity_id: pulumi.Input[str]) -> list[app.RegistryCredentialsArgs] | None:
    if not image.pull_with_identity:
        return None
    return [app.RegistryCredentialsArgs(server=image.server, identity=identity_id)]


def _spool(
    mib: int,
) -> tuple[list[app.VolumeArgs] | None, list[app.VolumeMountArgs] | None, dict[str, pulumi.Input[str]]]:
    """A replica's own empty disk at TMPDIR. Azure sizes it by the replica's cores; its type takes no size."""
    if mib == 0:
        return None, None, {}
    volume = app.VolumeArgs(name=_SPOOL, storage_type=app.StorageType.EMPTY_DIR)
    return [volume], [app.VolumeMountArgs(volume_name=_SPOOL, mount_path=SPOOL_PATH)], {"TMPDIR": SPOOL_PATH}
