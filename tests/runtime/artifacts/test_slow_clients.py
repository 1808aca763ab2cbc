"""Clients that take an artifact slowly hinder nobody, and hold bounded memory."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from mlflow_runtime.artifacts.memory import DOWNLOAD_BLOCK, MIB
from tests.benchmarks.overload import memory_mib
from tests.runtime.service.test_service import new_run
from tests.support import warm
from tests.support.services import PUBLIC_HOST, Platform, Service, eventually
from tests.support.slow_clients import connection, trickling, unsent

ROOT = "/api/2.0/mlflow-artifacts/artifacts"
READERS = 150  # more than `maxInFlight`
WRITERS = 50
# What the connection of a reader that does not take holds in this process.
MIB_A_READER = 0.25


@pytest.fixture(scope="module")
def service(shared: Platform) -> Iterator[Service]:
    """A replica of the smallest size, and an artifact of 40 MiB in the store."""
    shared.blob_container().upload_blob("slow/large.bin", os.urandom(40 * MIB), overwrite=True)
    started = shared.start("artifacts", ready=True, MLFLOW_RUNTIME_MEMORY_MIB="512", **warm.COLD)
    yield started
    started.program.kill()


@contextlib.contextmanager
def connected(service: Service, count: int, request: str, *, at_once: int = 50) -> Iterator[list[socket.socket]]:
    """Transfers that have begun; a few at once, since what has not begun is in flight."""
    with contextlib.ExitStack() as opened:
        connections = []
        direction = "down" if request.startswith("GET") else "up"
        for number in range(1, count + 1):
            made = connection(service.port, request.format(number=number))
            connections.append(opened.enter_context(made))
            if number % at_once == 0 or number == count:
                eventually(lambda: transfers(service, direction) == number, f"{number} transfers")  # noqa: B023 - now
        yield connections


def transfers(service: Service, direction: str) -> int:
    lines = service.ask("/metrics").content.decode().splitlines()
    start = f'mlflow_artifact_transfers{{direction="{direction}"}} '
    return next((int(float(line.removeprefix(start))) for line in lines if line.startswith(start)), 0)


def held_for_each(service: Service) -> float:
    """The most that the system holds for one connection, in MiB: memory of the replica too."""
    return max(unsent(service.port)) / MIB if sys.platform == "linux" else 0


def test_slow_readers_and_writers_hinder_nobody(shared: Platform, service: Service) -> None:
    content = os.urandom(2 * DOWNLOAD_BLOCK + 1)
    before = memory_mib(service)
    get = f"GET {ROOT}/slow/large.bin HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\n\r\n"
    put = f"PUT {ROOT}/slow/{{number}} HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nContent-Length: {40 * MIB}\r\n\r\n"
    with (
        connected(service, READERS, get) as readers,
        connected(service, WRITERS, put) as writers,
        trickling(readers, writers),
    ):
        for number in range(2):
            assert service.ask(f"{ROOT}?path=slow").status == 200
            assert service.ask(f"{ROOT}/slow/fast.{number}", content, method="PUT").status == 200
            assert service.ask(f"{ROOT}/slow/fast.{number}").content == content
            assert service.ready().status == 200
        used = memory_mib(service) - before
        assert held_for_each(service) < 1
    budget = 256 + MIB_A_READER * READERS
    assert used < budget, used


@pytest.fixture
def file_routes(shared: Platform, services: dict[str, Service]) -> dict[str, str]:
    """The targets of each role's route that sends a file of MLflow's: the same 40 MiB."""
    run_id, path = new_run(services["tracking"], "slow-files")
    shared.blob_container().upload_blob(f"{path}/large.bin", os.urandom(40 * MIB))
    assert services["registry"].ask("/api/2.0/mlflow/registered-models/create", {"name": "slow"}).status == 200
    source = {"name": "slow", "source": f"mlflow-artifacts:/{path}", "run_id": run_id}
    assert services["registry"].ask("/api/2.0/mlflow/model-versions/create", source).status == 200
    return {
        "tracking": f"/get-artifact?run_id={run_id}&path=large.bin",
        "registry": "/model-versions/get-artifact?name=slow&version=1&path=large.bin",
    }


def test_slow_readers_of_mlflows_own_routes_hinder_nobody(shared: Platform, file_routes: dict[str, str]) -> None:
    """Tracking and registry send artifacts to the pages of the web interface."""
    calls = {"tracking": "experiments/search", "registry": "registered-models/search"}
    for role, target in file_routes.items():
        service = shared.start(role, ready=True, MLFLOW_RUNTIME_MAX_IN_FLIGHT="8", **warm.COLD)
        before = memory_mib(service)
        get = f"GET {target} HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\n\r\n"
        with connected(service, 24, get, at_once=6) as readers, trickling(readers, ()):
            for _ in range(3):
                assert service.ask(f"/api/2.0/mlflow/{calls[role]}?max_results=1").status == 200
                part = service.ask(target, headers={"Range": "bytes=5-9"})
                assert (part.status, part.headers["Content-Range"]) == (206, f"bytes 5-9/{40 * MIB}")
            used = memory_mib(service) - before
            assert held_for_each(service) < 1, role
        service.program.kill()
        assert used < 128, (role, used)


def test_a_reader_that_was_slow_gets_all_of_it(shared: Platform, service: Service) -> None:
    whole = os.urandom(4 * DOWNLOAD_BLOCK)
    shared.blob_container().upload_blob("slow/whole.bin", whole, overwrite=True)
    get = f"GET {ROOT}/slow/whole.bin HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nConnection: close\r\n\r\n"
    with connected(service, 40, get) as readers:
        time.sleep(3)  # every one of them was slow by now
        for reader in readers[:3]:
            reader.settimeout(60)
            answer = b"".join(iter(lambda: reader.recv(1 << 20), b""))  # noqa: B023 - read at once
            assert answer.partition(b"\r\n\r\n")[2] == whole
