"""The compute backend of Kubernetes on AKS: a service is a Deployment with what stands around it, a job a Job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.compute.aks.namespace import namespace_objects
from components.compute.aks.objects import ClusterObject
from components.compute.aks.place import Place
from components.compute.aks.rendering import ClusterAddresses, job_objects, roll_out_seconds, service_objects
from components.compute.aks.resources import RolledOut, spec_hash
from components.compute.contract import Deployment, Ingress, JobSpec, Scale, ServiceSpec, Upstream


@dataclass(frozen=True, kw_only=True)
class AksComputeArgs:
    """`provider` reaches the cluster, and so do `server` and `authority`, its API server's address and who signs its
    certificate (PEM, in base64): roll-outs are looked at there, as whoever runs the program. `requires` is
    waited for before anything is made: federated credentials, grants, and rights in the cluster, which so outlive every
    object at a destroy. `generation` is a word in the names of the resources: with another one everything is created
    again, in whatever cluster, before the previous objects go."""

    provider: pulumi.ProviderResource
    server: pulumi.Input[str]
    authority: pulumi.Input[str]
    place: Place
    requires: Sequence[pulumi.Resource] = ()
    generation: str = ""


class AksCompute(pulumi.ComponentResource):
    """Runs specs in a namespace of a cluster, which it makes and bounds.

    Each service is one address inside the cluster, behind which the cluster chooses a ready pod. A roll-out adds a pod
    at a time and removes one when the new one is ready: one that is never ready fails the update with the pod's reason
    while the others serve. A pod may call what its spec `calls`, and nothing else. One service at most has public
    ingress: the frontend's address is its own.

        compute = AksCompute("compute", AksComputeArgs(provider=provider, server=access.server, ...))
        Platform("mlflow", PlatformArgs(compute=compute, topology=topology))
    """

    def __init__(self, name: str, args: AksComputeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:compute:AksCompute", name, {}, opts)
        self._args = args
        # One after the other: the namespace is there before what is in it, and closed before a pod runs in it.
        self._namespace = self._create(name, namespace_objects(args.place), parent=self, depends_on=args.requires)
        self.register_outputs({})

    def upstream(self, name: str, port: int, scale: Scale) -> Upstream:
        """Return the service's address in the cluster, which leads to ready pods alone."""
        return ClusterAddresses(namespace=self._args.place.namespace).upstream(name, port, scale)

    def run_job(
        self, spec: JobSpec, *, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()
    ) -> Deployment:
        """Run the job to its end, or set up its schedule. The end of a failed run's log is in the update's error."""
        made = self._create(
            spec.name,
            job_objects(spec, self._args.place),
            parent=parent,
            depends_on=[*self._namespace, *depends_on],
            seconds=spec.timeout_seconds,
        )
        return Deployment(resources=made)

    def run_service(
        self, spec: ServiceSpec, *, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()
    ) -> Deployment:
        """Bring the service to its spec, pod by pod, and wait until all are ready."""
        made = self._create(
            spec.name,
            service_objects(spec, self._args.place),
            parent=parent,
            depends_on=[*self._namespace, *depends_on],
            seconds=roll_out_seconds(spec),
        )
        if spec.ingress is not Ingress.PUBLIC:
            return Deployment(resources=made)
        # Nobody is given the address before somebody answers there. An update keeps the id, so a preview knows the url.
        host = self._args.place.frontend.host
        return Deployment(resources=made, url=made[-1].id.apply(lambda _: f"https://{host}"))

    def _create(
        self,
        name: str,
        objects: Mapping[str, Mapping[str, Any]],
        *,
        parent: pulumi.Resource,
        depends_on: Sequence[pulumi.Resource],
        seconds: int | None = None,
    ) -> list[pulumi.CustomResource]:
        """Create the objects, each after the one before it, and after its pods are ready.

        `seconds` is how long one is waited for.
        """
        made: list[pulumi.CustomResource] = []
        scaled = "scaler" in objects
        limit = None if seconds is None else pulumi.CustomTimeouts(create=f"{seconds}s", update=f"{seconds}s")
        prefix = f"{self._args.generation}-" if self._args.generation else ""
        for key, rendered in objects.items():
            options = pulumi.ResourceOptions(
                parent=parent,
                provider=self._args.provider,
                depends_on=[*depends_on, *made[-1:]],
                custom_timeouts=limit,
                # The scaler's, between its minimum and its maximum. Without a scaler they are the spec's.
                ignore_changes=["spec.replicas"] if scaled and rendered["kind"] == "Deployment" else None,
            )
            created = ClusterObject(f"{prefix}{name}-{key}", rendered, options)
            made.append(created)
            if rendered["kind"] == "Deployment" and seconds is not None:
                made.append(self._rolled_out(f"{prefix}{name}-ready", created, rendered, parent, seconds))
        return made

    def _rolled_out(
        self, name: str, created: ClusterObject, rendered: Mapping[str, Any], parent: pulumi.Resource, seconds: int
    ) -> RolledOut:
        return RolledOut(
            name,
            server=self._args.server,
            authority=self._args.authority,
            namespace=rendered["metadata"]["namespace"],
            deployment=rendered["metadata"]["name"],
            spec=pulumi.Output.json_dumps(rendered["spec"], sort_keys=True).apply(spec_hash),
            metadata=created.metadata,
            seconds=seconds,
            # By value only where the object is there: a preview of a new one knows no generation.
            opts=pulumi.ResourceOptions(parent=parent, depends_on=[created]),
        )
