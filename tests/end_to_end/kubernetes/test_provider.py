"""The real engine with the real provider on a real Kubernetes: up, no change, drift, a refusal, and nothing left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from delivery.offline_azure.running import NO_CHANGES_EXPECTED
from tests.support.engine import Program
from tests.support.kubernetes.control_plane import ZONE, ControlPlane
from tools.kubernetes import programs

SPACE = "provider"

# Plain resources of the provider's types: this tests the provider and not its SDK.
SOURCE = f"""
import pathlib

import pulumi

from tests.end_to_end.kubernetes import objects

config = pulumi.Config()
options = pulumi.ResourceOptions(version={programs.PROVIDER_VERSION!r})
kubeconfig = pathlib.Path(config.require("kubeconfig")).read_text()
settings = {{"kubeconfig": kubeconfig, "clusterIdentifier": "test-blue"}}
cluster = pulumi.ProviderResource("kubernetes", "cluster", settings, options)


def create(manifest, *needed):
    kind, version = manifest["kind"], manifest["apiVersion"]
    options = pulumi.ResourceOptions(provider=cluster, depends_on=needed)
    group = version if "/" in version else "core/" + version
    name = kind + "-" + manifest["metadata"]["name"]
    return pulumi.CustomResource(f"kubernetes:{{group}}:{{kind}}", name, manifest, options)


space = create(objects.namespace({SPACE!r}))
prepare = create(objects.job({SPACE!r}, "prepare"), space)
tracking = create(objects.deployment({SPACE!r}, "tracking", replicas=3), prepare)
for manifest in objects.around({SPACE!r}, "tracking"):
    create(manifest, tracking)
if config.get("open"):
    create(objects.pod({SPACE!r}, "open", restricted=False), space)
"""


@pytest.fixture
def program(kubernetes: ControlPlane, tmp_path: Path) -> Program:
    made = Program.written(tmp_path, SOURCE, provider_port=0)
    path = f"{programs.cached().provider}:{made.environment['PATH']}"
    made = replace(made, environment={**made.environment, "PATH": path})
    made.configure(kubeconfig=str(kubernetes.kubeconfig()))
    return made


def test_a_program_comes_up_whole_its_drift_is_found_and_nothing_is_left(
    kubernetes: ControlPlane, program: Program
) -> None:
    up = program.up()
    assert up.code == 0, up.text
    found = kubernetes.get("pods", "-n", SPACE, "-l", "app=tracking")["items"]
    zones = {node["metadata"]["name"]: node["metadata"]["labels"][ZONE] for node in kubernetes.get("nodes")["items"]}
    assert len({zones[one["spec"]["nodeName"]] for one in found}) == 3
    assert kubernetes.get("job", "prepare", "-n", SPACE)["status"]["succeeded"] == 1

    unchanged = program.preview("--expect-no-changes")
    assert unchanged.code == 0, unchanged.text

    kubernetes.kubectl("scale", "deployment/tracking", "--replicas=4", "-n", SPACE)
    drift = program.run("refresh", "--preview-only", "--expect-no-changes", "--diff", "--stack=test")
    assert drift.code == NO_CHANGES_EXPECTED, drift.text
    assert "replicas: 3 => 4" in drift.text

    program.configure(open="yes")
    refused = program.up()
    assert refused.code != 0
    assert 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false' in refused.text

    destroyed = program.destroy()
    assert destroyed.code == 0, destroyed.text
    assert SPACE not in {one["metadata"]["name"] for one in kubernetes.get("namespaces")["items"]}
    assert kubernetes.get("pods,deployments,jobs,hpa,pdb,services", "--all-namespaces", "-l", "app")["items"] == []
