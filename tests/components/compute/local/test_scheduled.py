"""A job under a schedule: it waits for its time, runs, outlives a failure, and ends when the supervisor says so."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from components.compute.cron import Schedule
from components.compute.local import processes
from components.compute.local.jobs import Job
from components.compute.local.processes import NO_PORT, ProcessError, ProcessGroup
from components.compute.local.scheduled import LOOK_SECONDS, run_next, wait_until
from components.compute.local.supervisor import Supervisor
from tests.support.waiting import until

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        root=str(tmp_path / "state"),
        name="nightly-run",
        command=[sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'a').write('x')"],
        env={},
        image="sha256:0",
        timeout_seconds=30,
    )


@pytest.fixture
def group(job: Job) -> Iterator[ProcessGroup]:
    described = ProcessGroup(
        root=job.root,
        name="nightly",
        command=[sys.executable, "-m", "components.compute.local.scheduled", "0 0 1 1 *"],
        env={"JOB": json.dumps(asdict(job))},
        ports=[NO_PORT],
        priority=200,
        image="sha256:0",
        start_seconds=60,
        stop_seconds=15,
    )
    yield described
    Supervisor(described.layout).shutdown()
    shutil.rmtree(described.layout.sockets)


def test_it_waits_by_the_wall_clock_in_short_steps() -> None:
    clock, slept = [NOON], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += timedelta(seconds=seconds)

    wait_until(NOON + timedelta(seconds=2 * LOOK_SECONDS + 5), lambda: clock[0], sleep)
    assert slept == [LOOK_SECONDS, LOOK_SECONDS, 5]
    wait_until(NOON, lambda: clock[0], sleep)  # a time that a sleeping machine missed
    assert len(slept) == 3


def test_it_runs_at_its_time_and_outlives_a_failure(job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    schedule, waited = Schedule.parse("30 2 * * *"), list[datetime]()
    with caplog.at_level(logging.INFO):
        run_next(schedule, job, lambda: NOON, waited.append)
        run_next(schedule, replace(job, command=[sys.executable, "-c", "exit(3)"]), lambda: NOON, waited.append)
    assert waited == [datetime(2026, 3, 2, 2, 30, tzinfo=UTC)] * 2
    assert (tmp_path / "ran").read_text() == "x"
    assert "nightly-run: ended well" in caplog.text
    assert "The job nightly-run ended with exit code 3" in caplog.text


def test_under_the_supervisor_it_is_ready_without_a_port_and_ends_with_its_run(group: ProcessGroup) -> None:
    processes.apply(group)
    assert processes.status(group) == {"nightly": "running"}
    assert processes.port_conflicts(group) == []
    log = group.layout.logs / "nightly.log"
    until(lambda: "nightly-run: next run at " in log.read_text(), "the schedule in its log")
    written = json.loads((group.layout.processes / "nightly.json").read_text())
    assert "PORT" not in written["env"]
    processes.remove(group)
    assert processes.status(group) == {"nightly": "stopped"}


def test_a_schedule_that_is_not_understood_is_never_ready(group: ProcessGroup) -> None:
    broken = replace(group, command=[*group.command[:-1], "daily"], start_seconds=20)
    with pytest.raises(ProcessError, match=r"nightly is not ready (.|\n)*'daily' has 1 fields"):
        processes.apply(broken)


def test_a_signal_ends_the_run_under_way(job: Job, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    waits = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(300)"
    running = replace(job, command=[sys.executable, "-c", waits])
    program = (
        "from datetime import *; from components.compute.local import scheduled\n"
        # The first time is now: nothing is waited for.
        "scheduled.wait_until = lambda *_: None\n"
        "scheduled.main('* * * * *')"
    )
    environment = {**os.environ, "JOB": json.dumps(asdict(running)), "READY_FILE": str(tmp_path / "ready")}
    child = subprocess.Popen([sys.executable, "-c", program], env=environment)
    try:
        until(lambda: pid_file.exists() and pid_file.read_text() != "", "the run's start")
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=30) == 0
        assert not psutil.pid_exists(int(pid_file.read_text()))
    finally:
        child.kill()
