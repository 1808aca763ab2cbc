"""One upgrade: data of an old version, our prepare beside its server while a client logs, then our services."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg2

from mlflow_runtime.schema import history
from mlflow_runtime.schema.comparison import Comparison, compare
from tests.end_to_end.upgrade.dumps import restore, save
from tests.end_to_end.upgrade.old_mlflow import OldMlflow
from tests.end_to_end.upgrade.reading import Services, read_all
from tests.support.plane import Plane, eventually
from tests.support.ports import first_of_free_ports
from tests.support.services import Platform

DATABASES = ("tracking", "registry")
_BEFORE, _AFTER = 4.0, 4.0  # seconds of logging on each side of the migration


@contextlib.contextmanager
def bare_platform(azurite: Path) -> Iterator[Platform]:
    """A data plane on which prepare never ran, with two empty databases."""
    folder = Path(tempfile.mkdtemp(prefix="upgrade-"))
    platform = Platform(Plane(folder, first_of_free_ports(4)), azurite)
    try:
        platform.postgres = platform.plane.start_postgres()
        platform.blobs = platform.plane.start_azurite(azurite)
        platform.start_azure()
        eventually(lambda: platform.blob_container().create_container(), "container made")
        with platform.plane.superuser() as cursor:
            for name in DATABASES:
                cursor.execute(f'CREATE DATABASE {name} OWNER "mlflow-prepare"')
        yield platform
    finally:
        platform.stop()
        shutil.rmtree(folder)


def upgrade(version: str, python: Path, azurite: Path) -> Iterator[str]:
    """Upgrade from `version`, then go back; a line of figures for each part.

    Raises AssertionError where something is lost, fails or cannot be read.
    """
    comparison = _comparison(version)
    with bare_platform(azurite) as platform:
        old = OldMlflow(version=version, python=python, platform=platform, port=first_of_free_ports(1))
        with old.serving(any_schema=True):
            made, before = _written(old, "before", "traces"), rows(platform)
            saved = {name: save(platform, name) for name in DATABASES}
            logged, seconds = _migrated_while_logging(platform, old, made["experiment"])
            yield f"MLflow {version}, {len(comparison.migrations)} revisions behind: prepare took {seconds:.1f} s"
            yield from _judged(logged, platform)
            moved = {one.change.table for one in comparison.obstacles if one.change.kind == "rows moved"}
            yield f"  rows before and after: {_growth(before, rows(platform), moved)}"
            late = _written(old, "after")

        started = [platform.start(role) for role in ("tracking", "registry", "artifacts")]
        services = Services(*started)
        yield f"  written before, read through our services: {read_all(services, made)}"
        yield f"  written by the old server after the migration, read: {read_all(services, late)}"
        for service in started:
            service.program.stop(signal.SIGTERM)

        for name, file in saved.items():
            restore(platform, name, file)
        with old.serving():
            assert rows(platform) == before
            yield f"  restored to the restore point, served by MLflow {version} again: {_read_back(old, made)} runs"


def _comparison(version: str) -> Comparison:
    known = history.known()
    return compare(known, known.head_of(version), known.migrations[-1].revision)


def _written(old: OldMlflow, name: str, *options: str) -> dict[str, Any]:
    client = old.client("write.py", name, *options)
    output, _ = client.communicate(timeout=180)
    logs = old.platform.plane.folder / "write.py.log", old.log(any_schema=True)
    assert client.returncode == 0, "\n".join(log.read_text()[-3000:] for log in logs)
    found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return found


def _read_back(old: OldMlflow, made: Mapping[str, Any]) -> int:
    for run in made["runs"]:
        with urllib.request.urlopen(f"{old.url}/api/2.0/mlflow/runs/get?run_id={run['run_id']}", timeout=30) as answer:
            assert json.load(answer)["run"]["info"]["run_id"] == run["run_id"]
    return len(made["runs"])


def _migrated_while_logging(platform: Platform, old: OldMlflow, experiment: str) -> tuple[list[dict[str, Any]], float]:
    logger = old.client("keep_logging.py", experiment)
    time.sleep(_BEFORE)
    start = time.monotonic()
    done: subprocess.CompletedProcess[str] = platform.run("prepare")
    seconds = time.monotonic() - start
    assert done.returncode == 0, done.stdout + done.stderr
    time.sleep(_AFTER)
    output, _ = logger.communicate("", timeout=120)
    found: list[dict[str, Any]] = json.loads(output.strip().splitlines()[-1])
    return found, seconds


def _judged(logged: list[dict[str, Any]], platform: Platform) -> Iterator[str]:
    """No request failed, and every acknowledged metric is a row."""
    failures = [failure for one in logged for failure in one["failures"]]
    acknowledged = sum(count for one in logged for count in one["runs"].values())
    runs = [run for one in logged for run in one["runs"]]
    with connected(platform, "tracking") as cursor:
        cursor.execute("SELECT count(*) FROM metrics WHERE key = 'm' AND run_uuid = ANY(%s)", (runs,))
        (kept,) = cursor.fetchone() or (0,)
    sent, longest = sum(one["sent"] for one in logged), max(one["longest"] for one in logged)
    yield f"  {len(logged)} clients logged on: {sent} requests, {len(failures)} failed, the longest {longest:.2f} s"
    yield f"  metrics acknowledged {acknowledged}, in the database {kept}"
    assert not failures, failures[:5]
    assert kept == acknowledged


@contextlib.contextmanager
def connected(platform: Platform, database: str) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor of the superuser in a database."""
    plane = platform.plane
    with contextlib.closing(
        psycopg2.connect(user="postgres", dbname=database, host=str(plane.sockets), port=plane.postgres_port)
    ) as connection:
        yield connection.cursor()


def rows(platform: Platform) -> dict[str, int]:
    """Rows of each table of MLflow, by database and table."""
    found = {}
    for database in DATABASES:
        with connected(platform, database) as cursor:
            cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
            for (table,) in cursor.fetchall():
                cursor.execute(f'SELECT count(*) FROM "{table}"')  # noqa: S608 - a name from the catalog
                (found[f"{database}.{table}"],) = cursor.fetchone() or (0,)
    return found


def _growth(before: Mapping[str, int], after: Mapping[str, int], moved: Collection[str]) -> str:
    """Tables that held something; fails if one lost rows that the migration does not move to columns."""
    changed = {name: (count, after.get(name, 0)) for name, count in before.items() if count}
    lost = {name: counts for name, counts in changed.items() if counts[1] < counts[0]}
    assert not {name for name in lost if name.partition(".")[2] not in moved}, lost
    return ", ".join(f"{name} {counts[0]} {counts[1]}" for name, counts in sorted(changed.items()))
