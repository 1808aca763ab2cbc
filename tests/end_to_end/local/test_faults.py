"""Whatever dies comes back by itself, what does not need it goes on, and nothing acknowledged is lost."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

import psycopg2
import pytest

from components.emulators.identities import client_id
from tests.support.load import light_load
from tests.support.local_stack import RunningStack, eventually

DATA_PLANE = ("postgres", "blobs", "azure")
AWAY_ROUNDS = 40  # of a write and a read: two seconds at least, and the gateway asks its upstreams each second
SERVICES = ("tracking", "tracking-2", "registry", "artifacts", "gateway")
PROBE_SECONDS = 6  # the keeper asks a process every five
# What tracking calls do not need, once their service runs.
BESIDE_TRACKING = ("registry", "artifacts", "blobs", "azure", "keeper")
ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/faults"


@pytest.fixture(scope="module")
def experiment(shared_stack: RunningStack) -> str:
    return str(shared_stack.call("experiments/create", {"name": f"faults-{uuid.uuid4()}"})["experiment_id"])


@pytest.fixture(scope="module", autouse=True)
def early_token(shared_stack: RunningStack) -> tuple[str, float]:
    """A token that the database accepts at first, and its end: its minute passes while the other tests run."""
    token, expires = _database_token(shared_stack, "mlflow-tracking")
    _connect(shared_stack, "mlflow-tracking", token).close()
    return token, expires


@contextmanager
def held_down(stack: RunningStack, process: str) -> Iterator[None]:
    """The process is killed and stays away for the length of the block."""
    stack.supervisor.kill_process(process)

    def stopped() -> bool:
        # In between, supervisord may have started it again.
        stack.supervisor.stop_process(process)
        return stack.supervisor.states()[process] == "STOPPED"

    eventually(stopped, what=f"the stop of {process}")
    try:
        yield
    finally:
        stack.supervisor.start_process(process)


@pytest.mark.parametrize("process", [*DATA_PLANE, *SERVICES, "keeper"])
def test_a_killed_process_is_back_by_itself_and_no_acknowledged_metric_is_lost(
    stack: RunningStack, experiment: str, process: str
) -> None:
    before = stack.pid(process)
    with light_load(stack, experiment) as load:
        os.kill(before, signal.SIGKILL)
        eventually(lambda: stack.supervisor.pids().get(process, before) != before, what=f"{process}'s return")
        eventually(stack.healthy, what="health")
    assert load.lost() == set()
    if process in BESIDE_TRACKING:
        assert load.failed_reads + load.failed_writes == []
    if process.startswith("tracking"):
        assert load.failed_reads == [], "a request that can be repeated is repeated on the other replica"


def test_a_killed_supervisor_is_back_with_everything(stack: RunningStack, experiment: str) -> None:
    supervisor = int(stack.local.layout.supervisor_pid.read_text())
    before = stack.supervisor.pids()
    with light_load(stack, experiment) as load:
        os.kill(supervisor, signal.SIGKILL)
        # supervisord writes its file in two steps.
        written = stack.local.layout.supervisor_pid.read_text
        eventually(lambda: written().strip() not in ("", str(supervisor)), what="its return")
        eventually(lambda: all(stack.pid(name) != pid for name, pid in before.items()), what="a new set of processes")
        eventually(stack.healthy, what="health")
    assert load.lost() == set()


def test_without_registry_artifacts_and_blobs_all_tracking_calls_succeed(stack: RunningStack, experiment: str) -> None:
    with light_load(stack, experiment) as load, ExitStack() as away:
        for process in ("registry", "artifacts", "blobs"):
            away.enter_context(held_down(stack, process))
        load.await_rounds(AWAY_ROUNDS)
    assert load.failed_reads + load.failed_writes == []


def test_while_one_tracking_replica_is_away_nothing_that_can_be_retried_fails(
    stack: RunningStack, experiment: str
) -> None:
    with light_load(stack, experiment) as load, held_down(stack, "tracking-2"):
        load.await_rounds(AWAY_ROUNDS)
        settled = len(load.failed_writes)
        load.await_rounds(AWAY_ROUNDS)
        assert len(load.failed_writes) == settled, "after the gateway noticed, writes go to the living replica"
    assert load.failed_reads == []
    assert load.lost() == set()


def test_postgres_killed_while_runs_are_logged(stack: RunningStack, experiment: str) -> None:
    services = {name: stack.pid(name) for name in SERVICES}
    readiness: list[int] = []
    with light_load(stack, experiment) as load:
        with held_down(stack, "postgres"):
            deadline = time.monotonic() + 12
            while time.monotonic() < deadline and readiness[-1:] != [503]:
                readiness.append(stack.ask("/ready", port=stack.port("tracking")).status)
                time.sleep(0.2)
        eventually(stack.healthy, what="health")
        reached = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > reached, what="writes after the recovery")
    assert readiness[-1] == 503
    assert load.lost() == set()
    assert {name: stack.pid(name) for name in SERVICES} == services, "no service was restarted"


def test_with_the_blob_store_down_artifact_calls_get_a_clear_error_and_tracking_works(stack: RunningStack) -> None:
    with held_down(stack, "blobs"):
        started = time.monotonic()
        answer = stack.ask(f"{ARTIFACT}/x.txt", method="PUT", data=b"x", timeout=60)
        assert answer.status == 503
        assert "artifact store does not answer" in answer.body["message"]
        assert time.monotonic() - started < 45, "it fails within the client's patience"
        stack.call("experiments/search", {"max_results": 1})
        eventually(
            lambda: stack.ask("/ready", port=stack.port("artifacts")).status == 503, what="artifacts' unreadiness"
        )
    eventually(lambda: stack.ask(f"{ARTIFACT}/x.txt", method="PUT", data=b"x").status == 200, what="an upload")
    assert stack.ask(f"{ARTIFACT}/x.txt").content == b"x"


def test_a_hanging_replica_is_replaced(stack: RunningStack) -> None:
    # A process that never answered is given its start-up time, so the keeper must have seen this one answer.
    eventually(lambda: time.time() > _answers_since(stack, "tracking-2") + PROBE_SECONDS, what="the keeper's look")
    before = stack.pid("tracking-2")
    os.kill(before, signal.SIGSTOP)
    eventually(lambda: stack.supervisor.pids().get("tracking-2", before) != before, 120, "tracking-2's replacement")


def test_an_expired_database_token_is_refused_and_new_connections_get_a_new_one(
    stack: RunningStack, early_token: tuple[str, float]
) -> None:
    token, expires = early_token
    time.sleep(max(0.0, expires - time.time()) + 1)
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        _connect(stack, "mlflow-tracking", token)
    _end_connections(stack, "mlflow-tracking")
    for _ in range(20):
        stack.call("experiments/search", {"max_results": 1})
    fresh, _ = _database_token(stack, "mlflow-tracking")
    assert fresh != token
    _connect(stack, "mlflow-tracking", fresh).close()


def _answers_since(stack: RunningStack, process: str) -> float:
    """When the process that runs now opened its port, in seconds since 1970, by its log."""
    said = "Uvicorn running"
    opened = (entry["time"] for entry in stack.log_entries(process, said) if said in entry["message"])
    return datetime.fromisoformat(max(opened)).timestamp()


def _database_token(stack: RunningStack, identity: str) -> tuple[str, float]:
    """A token for the database, asked for as the identity's own process would."""
    header = (stack.local.layout.data / "identity-headers" / identity).read_text().strip()
    resource = "https%3A%2F%2Fossrdbms-aad.database.windows.net"
    query = f"api-version=2019-08-01&resource={resource}&client_id={client_id('local', identity)}"
    answer = stack.ask(f"/msi/token?{query}", port=stack.port("azure"), headers={"X-IDENTITY-HEADER": header}).body
    return answer["access_token"], float(answer["expires_on"])


def _connect(stack: RunningStack, role: str, password: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(
        host="127.0.0.1", port=stack.port("postgres"), user=role, password=password, dbname="tracking"
    )


def _end_connections(stack: RunningStack, role: str) -> None:
    """End the role's open connections, as the database's superuser over its private socket."""
    sockets = str(stack.local.layout.sockets / "postgres")
    connection = psycopg2.connect(host=sockets, port=stack.port("postgres"), user="postgres", dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,))
    connection.close()
