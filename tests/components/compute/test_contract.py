"""Specs refuse what no backend could run, before anything is created."""

from __future__ import annotations

from typing import Any

import pytest

from components.compute.contract import Identity, Ingress, Probe, Probes, Role, Scale, ServiceSpec

IDENTITY = Identity(name="mlflow-tracking", client_id="c", principal_id="p")
PROBE = Probe(path="/live")


def spec(**changes: Any) -> ServiceSpec:
    values: dict[str, Any] = {
        "role": Role.TRACKING,
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


def test_a_service_is_named_by_its_role() -> None:
    assert spec().name == "tracking"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port": 0}, "ServiceSpec.port: 0"),
        ({"port": 65536}, "ServiceSpec.port: 65536"),
        ({"cpu": 0}, "ServiceSpec.cpu: 0"),
        ({"memory_mib": 63}, "memory_mib: 63"),
        ({"spool_mib": -1}, "spool_mib: -1"),
        ({"grace_seconds": -1}, "grace_seconds: -1"),
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
