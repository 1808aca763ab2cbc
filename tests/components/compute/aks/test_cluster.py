"""The backend's objects on a real API server, put there by the real engine and the real provider."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
import yaml

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.rest import ManagementApi, identity_environment
from delivery.pulumi.engine import Result
from tests.components.compute.container_apps.specs import DIGEST
from tests.support.engine import Program
from tests.support.kubernetes.control_plane import ADMIN, PATIENCE_SECONDS, ControlPlane

# On a quiet machine a life takes a minute.
pytestmark = pytest.mark.timeout(1200)

NEXT = "sha256:" + "b" * 64
PROGRAM = "from tests.components.compute.aks.program import main\n\nmain()\n"
HELD_SECONDS = 5
NOBODY = 9  # a port on which no Azure listens: the program asks none


class LateWatch(http.server.BaseHTTPRequestHandler):
    """Passes on what the provider asks an API server, and holds news of Deployments after a change of the gateway.

    So the provider's memory is of the previous revision for sure when it begins to wait, as in a busy cluster.
    """

    protocol_version = "HTTP/1.1"
    server: LateServer

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_PATCH(self) -> None:
        if "/deployments/gateway" in self.path:
            self.server.held_until = time.monotonic() + HELD_SECONDS
            self.server.held.set()
        self._pass_on()

    def do_DELETE(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        watches = "/deployments?" in self.path and "watch=true" in self.path
        plane = self.server.plane
        # Go's client sends a token by TLS alone.
        headers = {"Authorization": f"Bearer {plane.tokens[ADMIN]}", "Accept-Encoding": "identity"}
        headers |= {name: self.headers[name] for name in ("Accept", "Content-Type") if name in self.headers}
        with requests.request(
            self.command,
            f"{plane.server}{self.path}",
            data=body,
            headers=headers,
            verify=str(plane.ca),
            stream=True,
            timeout=PATIENCE_SECONDS,
        ) as answer:
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with contextlib.suppress(OSError, urllib3.exceptions.HTTPError):
                for chunk in answer.raw.stream():
                    if watches:
                        time.sleep(max(0.0, self.server.held_until - time.monotonic()))
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Write nothing into the test's output."""


class LateServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__(("127.0.0.1", 0), LateWatch)
        self.plane = plane
        self.held_until = 0.0
        self.held = threading.Event()


@contextlib.contextmanager
def late(plane: ControlPlane, folder: Path) -> Iterator[tuple[Path, threading.Event]]:
    """A kubeconfig by which news are late, and what is set when they were."""
    with LateServer(plane) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        document = yaml.safe_load(plane.kubeconfig().read_text())
        document["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{server.server_address[1]}"
        file = folder / "late.kubeconfig"
        file.write_text(yaml.safe_dump(document))
        yield file, server.held
        server.shutdown()


@contextlib.contextmanager
def written(kubernetes: ControlPlane, folder: Path, namespace: str) -> Iterator[Program]:
    """A program of a namespace, and nothing of it in the cluster after the block."""
    made = Program.written(folder, PROGRAM, NOBODY)
    path = os.pathsep.join([kubernetes.path, made.environment["PATH"]])
    management = ManagementApi(Azure(folder / "azure.json"))
    management.cluster_token = kubernetes.tokens[ADMIN]
    signed_in = identity_environment(management.url)
    found = replace(made, environment={**made.environment, **signed_in, "PATH": path})
    found.configure(kubeconfig=str(kubernetes.kubeconfig()), namespace=namespace, digest=DIGEST)
    yield found
    with contextlib.suppress(AssertionError):
        found.destroy()
    management.close()


@pytest.fixture
def program(kubernetes: ControlPlane, tmp_path: Path) -> Iterator[Program]:
    with written(kubernetes, tmp_path, "mlflow-life") as made:
        yield made


@pytest.fixture(scope="module")
def living(kubernetes: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A stack that is up, whose services are all of DIGEST; a failed `up` leaves them so."""
    with written(kubernetes, tmp_path_factory.mktemp("living"), "mlflow-living") as made:
        done(made.up())
        yield made


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
    assert changes(program) == {"compute-quota": "update", "tracking-pods": "update", "tracking-ready": "update"}
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


def test_a_failing_prepare_stops_before_any_service_changes(kubernetes: ControlPlane, living: Program) -> None:
    namespace = namespace_of(living)
    before = kubernetes.get("deployments", "-n", namespace)["items"]
    words = "the databases have the schema of a newer version"
    living.configure(digest=NEXT, pods={"prepare": {"pod": "failed", "message": words}})
    failed = living.up()
    assert failed.code != 0
    # The end of its log: nobody has to look for it in the cluster.
    assert words in failed.text
    after = kubernetes.get("deployments", "-n", namespace)["items"]
    generations = [
        {each["metadata"]["name"]: each["metadata"]["generation"] for each in found} for found in (before, after)
    ]
    assert generations[0] == generations[1]


def test_a_revision_that_is_never_ready_stops_and_says_why(
    kubernetes: ControlPlane, living: Program, tmp_path: Path
) -> None:
    """After the other failure, as the last thing that happens to the stack: its services are of two revisions then."""
    namespace = namespace_of(living)
    living.configure(digest=NEXT, pods={"tracking": {"pod": "unready"}}, impatient=["tracking"])
    failed = living.up()
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
    # The status of the previous revision is not taken for the new one's.
    with late(kubernetes, tmp_path) as (kubeconfig, held):
        living.configure(pods={"gateway": {"pod": "unready"}}, impatient=["gateway"], kubeconfig=str(kubeconfig))
        failed = living.up()
    assert held.is_set(), failed.text
    assert failed.code != 0, failed.text
    assert "The deployment gateway in namespace" in failed.text, failed.text
    assert "readiness probe failed" in failed.text, failed.text
    living.configure(kubeconfig=str(kubernetes.kubeconfig()))
    images = {
        ready(pod): pod["spec"]["containers"][0]["image"][-len(NEXT) :]
        for pod in pods(kubernetes, namespace, "gateway")
    }
    assert images == {True: DIGEST, False: NEXT}
    assert [ready(pod) for pod in pods(kubernetes, namespace, "tracking")] == [True, True]
