"""The platform in a cluster that is there, as a Pulumi program: for the real engine and the real provider.

Its configuration: `kubeconfig` (a file), `namespace`, `digest`, `cpu` of tracking, `impatient`, a list of services of
which new pods are given up within seconds, and `pods`, an object that says what becomes of a workload's pods: kwok's
annotations without their prefix, by the workload's name.
"""

from __future__ import annotations

import base64
from collections.abc import Container, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes
import yaml

from components.compute.aks import rendering
from components.compute.aks.backend import AksCompute, AksComputeArgs
from components.compute.aks.quantities import quota_of
from components.compute.contract import Addresses, Ingress, JobSpec, Probe, Scale, ServiceSpec
from components.mlflow.platform import Platform, PlatformArgs
from components.mlflow.roles import Role
from components.mlflow.topology import Size, Topology
from tests.components.compute.aks.places import place
from tests.components.compute.container_apps.specs import IMAGE
from tests.components.compute.test_same_services_everywhere import TOPOLOGY

ANNOTATIONS = "kwok.mlflow-platform/"
# Nodes are there, and no image is pulled.
_PULL_SECONDS, _START_SECONDS = 5, 5


class Tested(Topology):
    """The platform's services. A roll-out that is to succeed has minutes for it, however slow the machine is."""

    impatient: Container[str] = ()

    def service(self, role: Role, compute: Addresses) -> ServiceSpec:
        return self._with_patience(super().service(role, compute))

    def gateway(self, compute: Addresses) -> ServiceSpec:
        return self._with_patience(super().gateway(compute))

    def prepare(self) -> JobSpec:
        return replace(super().prepare(), timeout_seconds=180)

    def _with_patience(self, spec: ServiceSpec) -> ServiceSpec:
        # The deadline of a roll-out has to be above its ten seconds of a pod that is ready.
        failures = 5 if spec.name in self.impatient else 300
        return replace(spec, probes=replace(spec.probes, startup=Probe(path="/live", period=2, failures=failures)))


def main() -> None:
    config = pulumi.Config()
    rendering.PULL_SECONDS, rendering.USUAL_START_SECONDS = _PULL_SECONDS, _START_SECONDS
    tracking = Size(
        cpu=float(config.get("cpu") or 0.5), memory_mib=1024, spool_mib=512, scale=Scale(minimum=2, maximum=3)
    )
    given = {field: getattr(TOPOLOGY, field) for field in TOPOLOGY.__dataclass_fields__}
    topology = Tested(**given | {"ingress": Ingress.PUBLIC, "sizes": {**TOPOLOGY.sizes, Role.TRACKING: tracking}})
    Tested.impatient = config.get_object("impatient") or ()
    pods: Mapping[str, Mapping[str, str]] = config.get_object("pods") or {}
    pulumi.runtime.register_resource_transform(lambda args: _with_annotations(args, pods))
    kubeconfig = Path(config.require("kubeconfig")).read_text()
    reached = yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]
    provider = pulumi_kubernetes.Provider(
        "cluster",
        kubeconfig=kubeconfig,
        cluster_identifier="the-cluster",
        enable_server_side_apply=True,
    )
    here = place(
        namespace=config.require("namespace"),
        image=replace(IMAGE, digest=config.require("digest")),
        quota=quota_of(topology.sizes.values(), [topology.prepare()]),
    )
    compute = AksCompute(
        "compute",
        AksComputeArgs(
            provider=provider,
            server=reached["server"],
            authority=base64.b64encode(Path(reached["certificate-authority"]).read_bytes()).decode(),
            place=here,
        ),
    )
    platform = Platform("mlflow", PlatformArgs(compute=compute, topology=topology))
    pulumi.export("url", platform.url)


def _with_annotations(
    args: pulumi.ResourceTransformArgs, pods: Mapping[str, Mapping[str, str]]
) -> pulumi.ResourceTransformResult | None:
    props: dict[str, Any] = dict(args.props)
    said = pods.get(str((props.get("metadata") or {}).get("labels", {}).get("app.kubernetes.io/name")))
    if said is None or not args.type_.endswith((":Deployment", ":Job")):
        return None
    template = props["spec"]["template"]
    metadata = {**template["metadata"], "annotations": {f"{ANNOTATIONS}{key}": value for key, value in said.items()}}
    changed = {**props, "spec": {**props["spec"], "template": {**template, "metadata": metadata}}}
    return pulumi.ResourceTransformResult(props=changed, opts=args.opts)
