"""One gateway with two tracking replicas for all tests of a module; upstreams are reset for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlflow_runtime.routes import PREFIXES, ServiceRole
from tests.runtime.gateway.stack import Gateway, Upstream
from tests.support.waiting import until


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    upstreams = {
        **{role.value: [Upstream(f"{role}-1")] for role in ServiceRole},
        "tracking": [Upstream("tracking-1"), Upstream("tracking-2")],
    }
    replicas = [replica for group in upstreams.values() for replica in group]
    for replica in replicas:
        replica.start()
    log = tmp_path_factory.mktemp("gateway") / "gateway.log"
    gateway = Gateway(
        upstreams,
        log,
        {
            "MLFLOW_RUNTIME_MAX_BODY_MIB": "1",
            "MLFLOW_RUNTIME_MAX_ARTIFACT_MIB": "600",
            "MLFLOW_RUNTIME_GRACE_SECONDS": "20",
        },
    )
    gateway.start()
    yield gateway
    gateway.stop()
    for replica in replicas:
        replica.stop()


@pytest.fixture
def gateway(started: Gateway) -> Gateway:
    """The module's gateway with every replica up, in rotation, and answering."""
    for group in started.upstreams.values():
        for replica in group:
            replica.reset()
    until(lambda: _all_in_rotation(started), "every replica is in rotation")
    for group in started.upstreams.values():
        for replica in group:
            replica.seen.clear()
    return started


@pytest.fixture
def tracking(gateway: Gateway) -> tuple[Upstream, Upstream]:
    first, second = gateway.upstreams["tracking"]
    return first, second


def _all_in_rotation(gateway: Gateway) -> bool:
    paths = [*("/" for _ in range(4)), *(prefixes[0] for prefixes in PREFIXES.values())]
    answers = [gateway.call("GET", path) for path in paths]
    replicas = [replica for group in gateway.upstreams.values() for replica in group]
    return all(answer.status == 200 for answer in answers) and all(replica.seen for replica in replicas)
