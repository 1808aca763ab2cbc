"""Specs refuse what no backend could run, before anything is created."""

from __future__ import annotations

import re
from typing import Any

import pytest

from components.compute.contract import Ingress, JobSpec, Probe, Probes, Scale, ServiceSpec, WorkloadIdentity

IDENTITY = WorkloadIdentity(name="mlflow-tracking", client_id="c", principal_id="p")
PROBE = Probe(path="/live")


def spec(**changes: Any) -> ServiceSpec:
    values: dict[str, Any] = {
        "name": "tracking",
        "role": "tracking",
        "identity": IDENTITY,
        "port": 5000,
        "env": {},
        "cpu": 0.5,
        "memory_mib": 512,
        "spool_mib": 0,
        "scale": Scale(minimum=1, maximum=2),
        "probes": Probes(startup=PROBE, live=PROBE, ready=PROBE),
        "ingress": Ingress.INTERNAL,
        "grace_seconds": 30,
    }
    return ServiceSpec(**(values | changes))


def job(**changes: Any) -> JobSpec:
    values: dict[str, Any] = {"name": "prepare", "role": "prepare", "identity": IDENTITY, "env": {}}
    return JobSpec(**(values | changes))


def test_two_services_of_one_role_have_two_names() -> None:
    blue, green = spec(name="tracking-blue"), spec(name="tracking-green")
    assert blue.role == green.role
    assert blue != green


@pytest.mark.parametrize("field", ["name", "role"])
@pytest.mark.parametrize("name", ["", "x", "Tracking", "a_b", "a--b", "a-", "1a", "tracking-2", "a" * 33])
def test_a_name_that_no_platform_takes_is_refused(name: str, field: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"ServiceSpec.{field}: got {name!r}; expected")):
        spec(**{field: name})
    with pytest.raises(ValueError, match=re.escape(f"JobSpec.{field}: got {name!r}; expected")):
        job(**{field: name})


def test_a_job_has_a_schedule_or_none() -> None:
    assert job().schedule is None
    assert job(schedule="30 2 * * *").schedule == "30 2 * * *"
    with pytest.raises(ValueError, match=r"JobSpec\.schedule: 'daily' has 1 fields; expected 5"):
        job(schedule="daily")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port": 0}, "ServiceSpec.port: 0"),
        ({"port": 65536}, "ServiceSpec.port: 65536"),
        ({"cpu": 0}, "ServiceSpec.cpu: 0"),
        ({"memory_mib": 63}, "memory_mib: 63"),
        ({"spool_mib": -1}, "spool_mib: -1"),
        ({"extra_ports": [8081, 0]}, "ServiceSpec.port: 0"),
        ({"grace_seconds": -1}, "grace_seconds: -1"),
        ({"drain_seconds": -1}, "drain_seconds: -1"),
        ({"drain_seconds": 31}, "grace_seconds: 30 is below the least allowed, 31"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec(**changes)


def test_a_minimum_above_the_maximum_is_refused() -> None:
    with pytest.raises(ValueError, match="minimum: 3 is above maximum 2"):
        Scale(minimum=3, maximum=2)


def test_a_probe_needs_a_path() -> None:
    with pytest.raises(ValueError, match="must start with"):
        Probe(path="live")
