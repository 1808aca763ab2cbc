"""Processes of a bench: measured with their children, and ended with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from delivery.bench import processes
from delivery.outcome import CommandError
from tests.support.waiting import until

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
deadline = time.process_time() + 0.2
while time.process_time() < deadline: pass
time.sleep(600)
"""


def test_a_process_is_measured_and_ended_with_a_child_of_another_session(tmp_path: Path) -> None:
    with processes.running(tmp_path / "logs") as started:
        pid = started.start("parent", [sys.executable, "-c", PARENT], dict(os.environ), tmp_path)
        log = tmp_path / "logs" / "parent.log"
        child = until(lambda: log.read_text().endswith("\n") and int(log.read_text()), "the child started", 30)
        until(lambda: processes.use([pid]).cpu_seconds >= 0.2, "it has worked", 30)
        assert processes.use([pid]).memory_mib > processes.use([child]).memory_mib > 0
    assert not psutil.pid_exists(pid)
    assert not psutil.pid_exists(child)


def test_processes_that_have_ended_use_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert processes.use([ended.pid]) == processes.Use(cpu_seconds=0, memory_mib=0)


def test_a_service_that_ends_instead_of_answering_is_shown_with_its_log(tmp_path: Path) -> None:
    with processes.running(tmp_path / "logs") as started:
        port = started.free_ports()
        started.start("broken", [sys.executable, "-c", "raise SystemExit('no database')"], {}, tmp_path)
        with pytest.raises(CommandError, match=r"broken did not start on 127\.0\.0\.1:(?s:.*)no database"):
            started.await_ready("broken", port, "/health")


def test_no_port_is_given_out_twice(tmp_path: Path) -> None:
    with processes.running(tmp_path / "logs") as started:
        first, second = started.free_ports(3), started.free_ports()
        assert second >= first + 3
