"""What Container Apps could not run is refused before anything is made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.compute.container_apps import rendering
from components.compute.contract import Ingress, Probe, Probes, Scale
from components.compute.image import Image
from tests.components.compute.container_apps.specs import DIGEST, IMAGE, service

LIVE = Probe(path="/live")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cpu": 0.3}, r"tracking.cpu: 0.3 .* steps of 0.25; set tracking.cpu to 0.5"),
        ({"cpu": 4.25, "memory_mib": 8704}, r"0.25 to 4 cores"),
        ({"memory_mib": 2048}, r"tracking.memoryMib: 2048 .* 1024 MiB; set tracking.memoryMib to 1024 or .* to 1"),
        ({"spool_mib": 2049}, r"tracking.spoolMib: 2049 .* at most 2048 MiB"),
        ({"grace_seconds": 601}, r"601 s; allowed: at most 600"),
        ({"scale": Scale(minimum=0, maximum=1001)}, r"maxReplicas: 1001; allowed: at most 1000"),
        ({"scale": Scale(minimum=0, maximum=1), "ingress": Ingress.NONE}, r"minReplicas: 0 without ingress"),
        ({"probes": Probes(startup=Probe(path="/live", period=60, failures=60), live=LIVE, ready=LIVE)}, r"360 s"),
        ({"probes": Probes(startup=Probe(path="/live", timeout=241), live=LIVE, ready=LIVE)}, r"timeout of 241 s"),
    ],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rendering.template(service(**changes), IMAGE, {})


@given(st.integers(1, 16))
def test_every_step_of_the_consumption_profile_is_accepted(steps: int) -> None:
    rendered = rendering.resources("tracking", steps * 0.25, steps * 512)
    assert rendered.memory == f"{steps / 2:g}Gi"


@given(period=st.integers(1, 30), failures=st.integers(1, 60))
def test_a_probe_is_as_patient_as_its_spec_says(period: int, failures: int) -> None:
    probes = Probes(startup=Probe(path="/live", period=period, failures=failures), live=LIVE, ready=LIVE)
    container: Any = rendering.template(service(probes=probes), IMAGE, {}).containers
    startup = container[0].probes[0]
    assert startup.failure_threshold <= 10
    assert 0 <= startup.period_seconds * startup.failure_threshold - period * failures < startup.failure_threshold


@pytest.mark.parametrize("digest", ["latest", "sha256:abc", "", DIGEST + "0"])
def test_an_image_by_tag_is_refused(digest: str) -> None:
    with pytest.raises(ValueError, match=r"is no digest; .* no tag"):
        Image(server="registry.azurecr.io", repository="mlflow", digest=digest)


@pytest.mark.parametrize("repository", ["mlflow:1.0", "Mlflow", "/mlflow", "mlflow@sha256"])
def test_a_repository_with_a_tag_is_refused(repository: str) -> None:
    with pytest.raises(ValueError, match="is no repository"):
        Image(server="registry.azurecr.io", repository=repository, digest=DIGEST)
