"""Stores that go away and come back, and a disk that is full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from tests.runtime.service.test_service import new_run, new_trace
from tests.support import warm
from tests.support.answer import Answer
from tests.support.services import Platform, Service, eventually, paused


@contextmanager
def without_postgres(platform: Platform) -> Iterator[None]:
    platform.kill_postgres()
    try:
        yield
    finally:
        platform.restart_postgres()


@contextmanager
def without_blobs(platform: Platform) -> Iterator[None]:
    platform.blobs.kill()
    try:
        yield
    finally:
        platform.restart_blobs()


def becomes(service: Service, status: int) -> Answer:
    """The first answer of `/ready` with that status; a report is kept for two seconds."""
    answers = [service.ready()]

    def is_there() -> bool:
        answers.append(service.ready())
        return answers[-1].status == status

    eventually(is_there, f"/ready of {service.role}: {status}")
    return answers[-1]


def temporarily(answer: Answer) -> bool:
    return answer.status == 503 and answer.body["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_services_outlive_a_killed_database(shared: Platform, services: dict[str, Service]) -> None:
    tracking, registry, artifacts = (services[role] for role in ("tracking", "registry", "artifacts"))
    run_id, path = new_run(tracking, "outlive")
    metric = {"run_id": run_id, "key": "m", "value": 1.0, "timestamp": 1}
    with without_postgres(shared):
        assert temporarily(tracking.ask("/api/2.0/mlflow/runs/log-metric", metric))
        assert temporarily(registry.ask("/api/2.0/mlflow/registered-models/search"))
        checks = becomes(tracking, 503).body["checks"]
        assert "refused" in checks["tracking_database"]["detail"]
        assert becomes(registry, 503).body["checks"]["registry_database"]["ok"] is False
        assert tracking.ask("/live").status == 200
        stored = artifacts.ask(f"/api/2.0/mlflow-artifacts/artifacts/{path}/a.txt", b"x", method="PUT")
        assert stored.status == 200
    becomes(tracking, 200)
    becomes(registry, 200)
    assert tracking.ask("/api/2.0/mlflow/runs/log-metric", metric).status == 200


def test_a_service_starts_without_its_database_and_opens_it_later(shared: Platform) -> None:
    shared.kill_postgres()
    try:
        service = shared.start("tracking", ready=False)
        eventually(lambda: service.ask("/live").status == 200, "live")
        assert service.ready().status == 503
        # Not a hang: MLflow by itself tries for a hundred seconds inside the request.
        assert temporarily(service.ask("/api/2.0/mlflow/experiments/search?max_results=1"))
    finally:
        shared.restart_postgres()
    becomes(service, 200)
    assert service.ask("/api/2.0/mlflow/experiments/search?max_results=1").status == 200


def test_tracking_is_ready_without_the_registrys_database(shared: Platform, services: dict[str, Service]) -> None:
    tracking, registry = services["tracking"], services["registry"]
    with shared.plane.superuser() as cursor:
        cursor.execute("alter database registry with allow_connections false")
        cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'registry'")
    try:
        becomes(registry, 503)
        eventually(lambda: tracking.ready().body["status"] == "degraded", "tracking degraded")
        degraded = tracking.ready()
        assert degraded.status == 200
        assert degraded.body["checks"]["registry_database"]["ok"] is False
        assert tracking.ask("/api/2.0/mlflow/experiments/search?max_results=1").status == 200
    finally:
        with shared.plane.superuser() as cursor:
            cursor.execute("alter database registry with allow_connections true")
    becomes(registry, 200)


def set_revision(platform: Platform, revision: str | None) -> str | None:
    """Write the schema revision of database tracking, or none; gives the one that was there."""
    connection = psycopg2.connect(
        user="postgres", dbname="tracking", host=str(platform.plane.sockets), port=platform.plane.postgres_port
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("delete from alembic_version returning version_num")
        row = cursor.fetchone()
        if revision is not None:
            cursor.execute("insert into alembic_version values (%s)", (revision,))
    connection.close()
    return None if row is None else str(row[0])


def test_a_schema_that_is_behind_is_not_ready_and_one_that_moved_on_is(shared: Platform, tracking: Service) -> None:
    becomes(tracking, 200)
    head = set_revision(shared, "451aebb31d03")  # MLflow's first
    try:
        detail = becomes(tracking, 503).body["checks"]["tracking_database"]["detail"]
        assert "451aebb31d03" in detail
        assert head is not None
        assert head in detail
        set_revision(shared, None)
        eventually(
            lambda: "no schema revision" in tracking.ready().body["checks"]["tracking_database"].get("detail", ""),
            "the missing revision is named",
        )
        assert tracking.ready().status == 503
        set_revision(shared, "fffffffffff0")  # of a newer MLflow, whose prepare ran while this replica serves
        assert "moved on" in becomes(tracking, 200).body["checks"]["tracking_database"]["detail"]
        late = shared.start("tracking", ready=False, **warm.COLD)
        eventually(lambda: late.ask("/live").status == 200, "live")
        assert "newer image" in becomes(late, 503).body["checks"]["tracking_database"]["detail"]
        late.program.kill()
    finally:
        set_revision(shared, head)
    becomes(tracking, 200)


def test_a_store_that_is_down_is_a_clear_error_and_tracking_works_on(
    shared: Platform, services: dict[str, Service]
) -> None:
    tracking, artifacts = services["tracking"], services["artifacts"]
    run_id, path = new_run(tracking, "store down")
    with without_blobs(shared):
        upload = artifacts.ask(f"/api/2.0/mlflow-artifacts/artifacts/{path}/a.txt", b"x", method="PUT")
        assert temporarily(upload)
        assert "artifact store does not answer" in upload.body["message"]
        assert temporarily(artifacts.ask(f"/api/2.0/mlflow-artifacts/artifacts/{path}/a.txt"))
        assert temporarily(artifacts.ask(f"/api/2.0/mlflow-artifacts/artifacts?path={path}"))
        assert temporarily(tracking.ask(f"/api/2.0/mlflow/artifacts/list?run_id={run_id}"))
        becomes(artifacts, 503)
        assert tracking.ready().status == 200
        metric = {"run_id": run_id, "key": "m", "value": 1.0, "timestamp": 1}
        assert tracking.ask("/api/2.0/mlflow/runs/log-metric", metric).status == 200
    becomes(artifacts, 200)


def test_a_store_that_hangs_makes_unready_and_holds_up_nobody(shared: Platform, services: dict[str, Service]) -> None:
    artifacts, tracking = services["artifacts"], services["tracking"]
    with paused(shared.blobs.process.pid):
        becomes(artifacts, 503)
        assert artifacts.ask("/live").status == 200
        assert tracking.ready().status == 200
    becomes(artifacts, 200)


def test_a_container_that_is_gone_is_not_ready(shared: Platform, artifacts: Service) -> None:
    container = shared.blob_container()
    container.delete_container()
    try:
        assert "no such container" in becomes(artifacts, 503).body["checks"]["blob"]["detail"]
    finally:
        eventually(lambda: shared.blob_container().create_container(), "container made")
    becomes(artifacts, 200)


SMALL = 2 * 1024 * 1024
TRACE = "/ajax-api/2.0/mlflow/get-trace-artifact?request_id="


@pytest.fixture
def small_disk(shared: Platform) -> Iterator[tuple[Path, Callable[[str], Service]]]:
    """A folder on a disk of 2 MB, in a namespace of its own, and how to start a role that spools there."""
    folder = shared.plane.folder / "spool"
    folder.mkdir(exist_ok=True)
    unshare = ["unshare", "--map-root-user", "--mount"]
    mount = f'mount -t tmpfs -o size={SMALL} tmpfs "{folder}"'
    if sys.platform != "linux" or subprocess.run([*unshare, "sh", "-c", mount], check=False).returncode != 0:
        pytest.skip("this system lets nobody mount a small disk")
    prefix = (*unshare, "sh", "-c", f'{mount} && exec "$@"', "sh")
    yield folder, lambda role: shared.start(role, prefix=prefix, TMPDIR=str(folder))
    shutil.rmtree(folder)


def test_a_full_spool_is_507_and_is_emptied(
    shared: Platform, services: dict[str, Service], small_disk: tuple[Path, Callable[[str], Service]]
) -> None:
    _, start = small_disk
    tracking, artifacts = start("tracking"), start("artifacts")
    large, store = os.urandom(2 * SMALL), shared.blob_container()
    trace, spans = new_trace(services["tracking"])
    store.upload_blob(spans, large)
    attached = "11111111-1111-4111-8111-111111111111"
    store.upload_blob(f"{spans.rpartition('/')[0]}/attachments/{attached}", large)
    for asked in (f"{TRACE}{trace}", f"{TRACE}{trace}&path={attached}"):
        answer = tracking.ask(asked)
        assert answer.status == 507, answer
        assert "spool disk" in answer.body["message"]
    store.upload_blob(spans, large[: SMALL // 2], overwrite=True)
    assert tracking.ask(f"{TRACE}{trace}").content == large[: SMALL // 2]
    run_id, path = new_run(services["tracking"], "spool")
    target = f"/api/2.0/mlflow-artifacts/artifacts/{path}/large.bin"
    assert services["artifacts"].ask(target, large, method="PUT").status == 200
    assert tracking.ask(f"/get-artifact?run_id={run_id}&path=large.bin").content == large
    # What passes through memory does not know that the disk is small.
    assert artifacts.ask(target, large, method="PUT").status == 200
    assert artifacts.ask(target).content == large
    for service in (tracking, artifacts):
        service.program.kill()
