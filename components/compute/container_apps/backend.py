"""The compute backend of Azure Container Apps: a service is a container app, a job is a job and its execution."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_azure_native import app

from components.azure import arm
from components.azure.container_apps_environment import CONSUMPTION_PROFILE
from components.compute.container_apps import rendering
from components.compute.container_apps.job_execution import environment_hash
from components.compute.container_apps.resources import JobExecution, RevisionReady
from components.compute.contract import Deployment, Ingress, JobSpec, Scale, ServiceSpec, Upstream
from components.compute.image import Image

_HTTPS = 443
# Microsoft Learn, "Naming rules and restrictions for Azure resources": containerApps and jobs, 2 to 32 characters.
_NAME = re.compile(r"[a-z](?!.*--)[a-z0-9-]{0,30}[a-z0-9]")


@dataclass(frozen=True, kw_only=True)
class ContainerAppsArgs:
    """Where the apps run and with which identity.

    `environment_id` and `default_domain` are of the environment (`ContainerAppsEnvironment` or another program's),
    `names` the physical names of the apps and jobs by the names of their specs, `identity_ids` the ARM ids of the
    managed identities by the identities' names, `environment` what the platform adds to every container. `requires` is
    waited for before anything is made: the role assignments by which the image is pulled. `domains` are names of one's
    own, by the names of the specs of services with ingress `public`; plain, since they decide on the address.
    """

    environment_id: pulumi.Input[str]
    default_domain: pulumi.Input[str]
    location: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    image: Image
    names: Mapping[str, str]
    identity_ids: Mapping[str, pulumi.Input[str]]
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    requires: Sequence[pulumi.Resource] = ()
    domains: Mapping[str, rendering.CustomDomain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrong = {spec: name for spec, name in self.names.items() if not _NAME.fullmatch(name)}
        for spec, name in wrong.items():
            raise ValueError(
                f"ContainerAppsArgs.names[{spec}]: {name!r}; allowed: 2 to 32 lower-case letters, digits and single "
                "hyphens, a letter first, no hyphen last; choose another."
            )
        if len(set(self.names.values())) < len(self.names):
            raise ValueError(f"ContainerAppsArgs.names: {dict(self.names)} names two alike; each spec has its own.")


class ContainerAppsCompute:
    """Runs specs in a Container Apps environment.

    A service with ingress `internal` is reached from within the environment alone, one with `public` from wherever the
    environment is: in an internal environment that is the virtual network, not the internet. Container Apps cannot
    order a rollout replica by replica: a revision gets traffic when its replicas are ready, and the one before it is
    stopped after that. What depends on a service waits for that, and a revision that is never ready fails the update.
    Sizes of spool disks are Azure's, by the cores of a replica; one that is too small is refused.

    Executions and readiness are asked for at the endpoint that ARM_ENDPOINT names (`arm.endpoint`).

        compute = ContainerAppsCompute(ContainerAppsArgs(environment_id=environment.id, image=image, ...))
        Platform("mlflow", PlatformArgs(compute=compute, topology=topology))
    """

    def __init__(self, args: ContainerAppsArgs) -> None:
        arm.endpoint()  # refused now rather than after the first resources were made
        self._args = args

    def upstream(self, name: str, port: int, scale: Scale) -> Upstream:
        """Return the environment's ingress, which balances between replicas and takes TLS for every app on one port.

        Every call through it counts for scaling (microsoft/azure-container-apps issue 1090): a check each second would
        keep every service from scaling to zero.
        """
        del port, scale
        host = rendering.host_name(self._args.names[name], Ingress.INTERNAL, self._args.default_domain)
        return Upstream(addresses=[pulumi.Output.concat(host, f":{_HTTPS}")], tls=True, host=host, watched=True)

    def run_job(
        self, spec: JobSpec, *, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()
    ) -> Deployment:
        """Define the job, then run it to its end; a preview says whether it would run.

        Azure starts a job with a schedule by itself, so nothing waits for it.
        """
        args, identity_id = self._args, self._args.identity_ids[spec.identity.name]
        job = app.Job(
            f"{spec.name}-job",
            job_name=args.names[spec.name],
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            environment_id=args.environment_id,
            workload_profile_name=CONSUMPTION_PROFILE,
            identity=_identity(identity_id),
            configuration=rendering.job_configuration(spec, args.image, identity_id),
            template=rendering.job_template(spec, args.image, args.environment),
            opts=pulumi.ResourceOptions(parent=parent, depends_on=[*depends_on, *args.requires]),
        )
        if spec.schedule is not None:
            return Deployment(resources=[job])
        environment = pulumi.Output.all(**rendering.job_environment(spec, args.environment)).apply(environment_hash)
        execution = JobExecution(
            spec.name,
            job_id=job.id,
            image=args.image.reference,
            environment=environment,
            timeout_seconds=spec.timeout_seconds,
            opts=pulumi.ResourceOptions(parent=parent, depends_on=[job, *depends_on, *args.requires]),
        )
        return Deployment(resources=[execution])

    def run_service(
        self, spec: ServiceSpec, *, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()
    ) -> Deployment:
        """Bring the app to its spec and wait until its revision is ready; one that never is fails the update."""
        args, identity_id = self._args, self._args.identity_ids[spec.identity.name]
        domain = args.domains.get(spec.name)
        container_app = app.ContainerApp(
            spec.name,
            container_app_name=args.names[spec.name],
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            environment_id=args.environment_id,
            workload_profile_name=CONSUMPTION_PROFILE,
            identity=_identity(identity_id),
            configuration=rendering.configuration(spec, args.image, identity_id, domain),
            template=rendering.template(spec, args.image, args.environment),
            opts=pulumi.ResourceOptions(parent=parent, depends_on=[*depends_on, *args.requires]),
        )
        startup = spec.probes.startup
        ready = RevisionReady(
            f"{spec.name}-ready",
            app_id=container_app.id,
            revision=container_app.latest_revision_name,
            start_seconds=startup.period * startup.failures,
            scales_to_zero=spec.scale.minimum == 0,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        resources = [container_app, ready]
        if spec.ingress is Ingress.NONE:
            return Deployment(resources=resources)
        host = rendering.public_name(args.names[spec.name], spec.ingress, args.default_domain, domain)
        # Nobody is given the address before somebody answers there. An update keeps the id, so a preview knows the url.
        url = pulumi.Output.all(host, ready.id).apply(lambda of: f"https://{of[0]}")
        return Deployment(resources=resources, url=url)


def _identity(identity_id: pulumi.Input[str]) -> app.ManagedServiceIdentityArgs:
    return app.ManagedServiceIdentityArgs(
        type=app.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[identity_id]
    )
