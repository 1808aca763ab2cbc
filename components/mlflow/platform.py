"""MLflow on any compute backend: prepare, then the services, then the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.compute.contract import Compute
from components.mlflow.roles import BACKENDS
from components.mlflow.topology import Topology


@dataclass(frozen=True, kw_only=True)
class PlatformArgs:
    """`compute` and `topology` decide which resources exist and are plain. `data` is waited for before prepare runs."""

    compute: Compute
    topology: Topology
    data: Sequence[pulumi.Resource] = ()


class Platform(pulumi.ComponentResource):
    """Runs MLflow's services on a compute backend, in the one order that is safe.

    Prepare runs to its end before any service is touched, so a failed migration leaves the old replicas serving; the
    gateway rolls last. It creates no data plane and no identity: it is given both.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:mlflow:Platform", name, {}, opts)
        compute, topology = args.compute, args.topology
        # Hidden edges: nothing of prepare's result is a value that a service takes, and a gateway takes only addresses.
        prepare = compute.run_job(topology.prepare(), parent=self, depends_on=args.data)
        services = [
            compute.run_service(topology.service(role, compute), parent=self, depends_on=prepare.resources)
            for role in BACKENDS
        ]
        behind = [resource for service in services for resource in service.resources]
        gateway = compute.run_service(topology.gateway(compute), parent=self, depends_on=behind)
        if gateway.url is None:
            raise ValueError("The compute backend gave the gateway no address; its ingress must not be 'none'.")
        self.url = gateway.url
        self.register_outputs({"url": self.url})
