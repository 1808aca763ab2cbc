"""The backend's objects on a real API server, put there by the real engine and the real provider."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delivery.pulumi.engine import Result
from tests.components.compute.container_apps.specs import DIGEST
from tests.support.engine import Program
from tests.support.kubernetes.control_plane import ControlPlane

# On a quiet machine a life takes a minute.
pytestmark = pytest.mark.timeout(1200)

NEXT = "sha256:" + "b" * 64
PROGRAM = "from tests.components.compute.aks.program import main\n\nmain()\n"
NOBODY = 9  # a port on which no Azure listens: the program asks none


@pytest.fixture
def program(kubernetes: ControlPlane, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Program]:
    written = Program.written(tmp_path, PROGRAM, NOBODY)
    path = os.pathsep.join([kubernetes.path, written.environment["PATH"]])
    found = replace(written, environment={**written.environment, "PATH": path})
    namespace = f"mlflow-{request.node.name.replace('_', '-')[-40:].strip('-')}"
    found.configure(kubeconfig=str(kubernetes.kubeconfig()), namespace=namespace, digest=DIGEST)
    yield found
    with contextlib.suppress(AssertionError):
        found.destroy()


def done(result: Result) -> None:
    assert result.code == 0, result.text


def namespace_of(program: Program) -> str:
    return program.engine.must("config", "get", "namespace", "--stack=test").out.strip()


def changes(program: Program) -> dict[str, str]:
    """What a preview would do to which resource, by its name."""
    document = json.loads(program.preview("--json").out)
    return {step["urn"].split("::")[-1]: step["op"] for step in document["steps"] if step["op"] != "same"}


def pods(kubernetes: ControlPlane, namespace: str, name: str) -> list[dict[str, Any]]:
    found = kubernetes.get("pods", "-n", namespace, "-l", f"app.kubernetes.io/name={name}")["items"]
    return [pod for pod in found if pod["metadata"].get("deletionTimestamp") is None]


def ready(pod: dict[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))


def test_a_life(kubernetes: ControlPlane, program: Program) -> None:
    namespace = namespace_of(program)
    done(program.up())
    labels = kubernetes.get("namespace", namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert [ready(pod) for pod in pods(kubernetes, namespace, "tracking")] == [True, True]
    zones = {pod["spec"]["nodeName"].split("-")[1] for pod in pods(kubernetes, namespace, "tracking")}
    assert len(zones) == 2
    address = kubernetes.get("service", "gateway", "-n", namespace)["status"]["loadBalancer"]["ingress"]
    assert [each["ip"] for each in address] == ["10.40.0.196"]
    assert program.preview("--expect-no-changes").code == 0
    # What the scaler has chosen between its bounds is no drift.
    kubernetes.kubectl("scale", "deployment/tracking", "-n", namespace, "--replicas=3")
    # Before that it is a roll-out that Pulumi would wait for.
    kubernetes.kubectl("rollout", "status", "deployment/tracking", "-n", namespace)
    done(program.preview("--refresh", "--expect-no-changes"))
    # One setting changes what it is a setting of, and nothing else.
    program.configure(cpu="0.25")
    assert changes(program) == {"compute-quota": "update", "tracking-pods": "update"}
    done(program.up())
    assert program.preview("--expect-no-changes").code == 0
    # What somebody changes by hand is found.
    kubernetes.kubectl("set", "env", "deployment/tracking", "-n", namespace, "MLFLOW_RUNTIME_MAX_IN_FLIGHT=9")
    found = program.run("refresh", "--preview-only", "--expect-no-changes", "--stack=test")
    assert found.code != 0
    assert "tracking-pods" in found.text
    done(program.destroy())
    assert namespace not in kubernetes.kubectl("get", "namespaces", "-o", "name")
    assert namespace not in kubernetes.kubectl("get", "validatingadmissionpolicies", "-o", "name")


def test_a_revision_that_is_never_ready_stops_and_says_why(kubernetes: ControlPlane, program: Program) -> None:
    namespace = namespace_of(program)
    done(program.up())
    program.configure(digest=NEXT, pods={"tracking": {"pod": "unready"}}, impatient=["tracking"])
    failed = program.up()
    assert failed.code != 0
    assert "ProgressDeadlineExceeded" in failed.text, failed.text
    assert "readiness probe failed" in failed.text, failed.text
    running = pods(kubernetes, namespace, "tracking")
    # The previous revision serves with all of its pods; of the new one there is the one pod that was tried.
    previous = [pod for pod in running if pod["spec"]["containers"][0]["image"].endswith(DIGEST)]
    assert [ready(pod) for pod in previous] == [True, True]
    assert len(running) == 3
    # The gateway comes after the services: it is untouched.
    (gateway,) = pods(kubernetes, namespace, "gateway")
    assert gateway["spec"]["containers"][0]["image"].endswith(DIGEST)


def test_a_failing_prepare_stops_before_any_service_changes(kubernetes: ControlPlane, program: Program) -> None:
    namespace = namespace_of(program)
    done(program.up())
    before = kubernetes.get("deployments", "-n", namespace)["items"]
    words = "the databases have the schema of a newer version"
    program.configure(digest=NEXT, pods={"prepare": {"pod": "failed", "message": words}})
    failed = program.up()
    assert failed.code != 0
    # The end of its log: nobody has to look for it in the cluster.
    assert words in failed.text
    after = kubernetes.get("deployments", "-n", namespace)["items"]
    generations = [
        {each["metadata"]["name"]: each["metadata"]["generation"] for each in found} for found in (before, after)
    ]
    assert generations[0] == generations[1]
