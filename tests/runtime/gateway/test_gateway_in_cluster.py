"""The gateway as it runs in a cluster: behind Azure's balancer, before one address a service that leads to its pods."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mlflow_runtime.routes import ServiceRole
from tests.runtime.gateway.balancer import Balancer, Target
from tests.runtime.gateway.stack import ARTIFACT_PATH, TRACKING_PATH, Gateway, Upstream

BLOCK = bytes(64 << 10)
# Azure probes every five seconds, and a gateway of the backend serves on for twenty once its pod is to end.
SERVES_ON_PROBES = 4


@pytest.fixture
def upstreams() -> Iterator[dict[str, list[Upstream]]]:
    made = {role.value: [Upstream(f"{role}-1")] for role in ServiceRole}
    for (replica,) in made.values():
        replica.start()
    yield made
    for (replica,) in made.values():
        replica.stop()


def test_a_gateway_that_stops_behind_the_balancer_fails_no_request(
    tmp_path: Path, upstreams: dict[str, list[Upstream]]
) -> None:
    """The order of a pod's end: its node's probe fails, the pod serves on, the signal comes, the grace begins."""
    settings = {"MLFLOW_RUNTIME_GRACE_SECONDS": "60", "MLFLOW_RUNTIME_DRAIN_SECONDS": "1"}
    goes, stays = (Gateway(upstreams, tmp_path / name, settings) for name in ("goes.log", "stays.log"))
    deleted, over, sent_all = threading.Event(), threading.Event(), threading.Event()
    for gateway in (goes, stays):
        gateway.extra = {**settings, "MLFLOW_RUNTIME_PUBLIC_HOSTS": "mlflow.example.com"}
        gateway.start()
    first = Target(port=goes.port, probe=lambda: not deleted.is_set())
    second = Target(port=stays.port)
    try:
        with Balancer([first, second]).running() as balancer, ThreadPoolExecutor(8) as pool:
            client = replace(stays, port=balancer.port)
            headers = {"Host": "mlflow.example.com"}

            def ask() -> list[int]:
                """Requests without a retry, each on a connection of its own."""
                found = []
                while not over.is_set():
                    found.append(client.call("POST", TRACKING_PATH, b"{}", headers).status)
                    time.sleep(0.02)  # a client that never pauses takes the processors that the gateways need
                return found

            def upload() -> int:
                """Of a length that is said, as MLflow's client sends a file; slow until the signal has come."""

                def body() -> Iterator[bytes]:
                    yield BLOCK
                    sent_all.wait(60)
                    yield BLOCK

                return goes.call("PUT", ARTIFACT_PATH, body(), headers).status

            clients = [pool.submit(ask) for _ in range(4)]
            in_flight = pool.submit(upload)
            balancer.wait_for_probes(first, 2)
            assert first.connections
            deleted.set()
            balancer.wait_for_probes(first, SERVES_ON_PROBES)
            assert not first.listed
            before = first.connections
            assert goes.process is not None
            goes.process.send_signal(signal.SIGTERM)
            balancer.wait_for_probes(second, SERVES_ON_PROBES)
            sent_all.set()
            assert in_flight.result(60) == 200
            assert goes.process.wait(60) == 0
            over.set()
            answers = [status for each in clients for status in each.result(60)]
            assert first.connections == before
    finally:
        over.set()
        sent_all.set()
        goes.stop()
        stays.stop()
    assert len(answers) > 20
    assert {*answers} == {200}


def test_a_gateway_that_is_gone_before_the_balancer_knows_fails_requests(
    tmp_path: Path, upstreams: dict[str, list[Upstream]]
) -> None:
    """What serving on is for: without it the balancer sends connections to nobody."""
    goes = Gateway(upstreams, tmp_path / "log", {"MLFLOW_RUNTIME_PUBLIC_HOSTS": "mlflow.example.com"})
    goes.start()
    target = Target(port=goes.port)
    with Balancer([target]).running() as balancer:
        client = replace(goes, port=balancer.port)
        assert client.call("GET", "/version", headers={"Host": "mlflow.example.com"}).status == 200
        goes.stop()
        with pytest.raises(OSError, match=r"reset|closed|without response"):
            client.call("GET", "/version", headers={"Host": "mlflow.example.com"})


def test_two_pods_behind_one_address_share_and_a_killed_one_costs_no_error(
    tmp_path: Path, upstreams: dict[str, list[Upstream]]
) -> None:
    """A connection that is kept would pin all requests to one pod."""
    pods = [Upstream("tracking-1"), Upstream("tracking-2")]
    for pod in pods:
        pod.start()
    address = Balancer([Target(port=pod.port) for pod in pods])
    service = Upstream("tracking", port=address.port)
    gateway = Gateway(
        {**upstreams, "tracking": [service]}, tmp_path / "log", {"MLFLOW_RUNTIME_UPSTREAM_CHECKS": "false"}
    )
    try:
        with address.running():
            gateway.start()
            assert {gateway.call("GET", "/version").status for _ in range(200)} == {200}
            share = len(pods[0].seen) / 200
            assert 0.4 <= share <= 0.6
            # The address leads to it until the cluster knows.
            pods[0].stop()
            assert {gateway.call("GET", "/version").status for _ in range(40)} == {200}
    finally:
        gateway.stop()
        for pod in pods:
            pod.stop()
