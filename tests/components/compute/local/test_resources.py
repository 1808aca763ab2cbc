"""What the local stack's resources tell the engine: when a job runs again, and what of a process is a difference."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from components.compute.local.containers import Limits
from components.compute.local.jobs import Job
from components.compute.local.processes import ProcessGroup, port_conflicts
from components.compute.local.resources import JobProvider, ProcessGroupProvider

JOB = Job(root="/stack", name="prepare", command=["run", "prepare"], env={"A": "1"}, image="one", timeout_seconds=60)
CHANGES: dict[str, Any] = {
    "root": "/other",
    "name": "other",
    "command": ["run", "other"],
    "env": {"A": "2"},
    "image": "two",
    "timeout_seconds": 61,
    "identity_header": "/header",
    "limits": Limits(cpu=1, memory_mib=512),
}


@pytest.fixture
def group(tmp_path: Path, free_ports: Callable[[int], int]) -> ProcessGroup:
    """A group that was never started."""
    base = free_ports(2)
    return ProcessGroup(
        root=str(tmp_path),
        name="web",
        command=["web"],
        env={},
        ports=[base],
        extra_ports=[base + 1],
        priority=1,
        image="",
    )


def test_a_job_does_not_run_again_while_nothing_changes() -> None:
    assert JobProvider().diff("prepare", asdict(JOB), {**asdict(JOB), "__provider": "pickled"}).changes is False


@pytest.mark.parametrize("field", sorted(asdict(JOB)))
def test_a_job_runs_again_when_an_input_changes(field: str) -> None:
    changed = replace(JOB, **{field: CHANGES[field]})
    assert JobProvider().diff("prepare", asdict(JOB), asdict(changed)).changes is True


def test_a_stopped_process_is_a_difference_whatever_the_state_says(group: ProcessGroup) -> None:
    recorded = {**asdict(group), "status": {"web": "running"}}
    found = ProcessGroupProvider().read("web", recorded).outs
    assert found is not None
    assert found["status"] == {"web": "stopped"}
    assert ProcessGroupProvider().diff("web", recorded, recorded).changes is True


@pytest.mark.parametrize("offset", [0, 1], ids=["the port", "another port of the process"])
def test_each_port_that_somebody_else_holds_is_refused(group: ProcessGroup, offset: int) -> None:
    assert port_conflicts(group) == []
    port = group.ports[0] + offset
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        (failure,) = ProcessGroupProvider().check({}, asdict(group)).failures
    assert f"port {port} on 127.0.0.1 is taken by" in failure.reason
