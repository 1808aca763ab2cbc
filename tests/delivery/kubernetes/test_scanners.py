"""What scanners of manifests say of each stack in a cluster: only what docs/adr/0017 has decided on."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.kubernetes.manifests import objects, text
from tests.delivery.kubernetes.test_manifests import settings
from tools.kubernetes import programs

pytestmark = [pytest.mark.kubernetes, pytest.mark.core]

STACKS = ("dev", "staging", "prod")
RECORD = Path(__file__).parents[3] / "docs" / "adr" / "0017-what-policy-scanners-find.md"
MINOR = "v" + ".".join(programs.version().split(".")[:2])
GOOD = 10
# By kube-score's name of the check: the stacks in which it finds something that stays.
STAYS = {
    "container-image-pull-policy": STACKS,
    "deployment-targeted-by-hpa-does-not-have-replicas-configured": STACKS,
    "deployment-has-host-podantiaffinity": ("staging", "prod"),
    "deployment-replicas": ("dev",),
    "horizontalpodautoscaler-replicas": ("dev",),
}


def scored(manifests: str) -> set[str]:
    """The checks of kube-score that find something."""
    if programs.SCANNER in programs.missing():
        pytest.fail("kube-score: not built yet. Run: make test-aks", pytrace=False)
    scanner = programs.cached().kube_score / programs.SCANNER
    done = subprocess.run(
        [scanner, "score", f"--kubernetes-version={MINOR}", "--output-format=json", "-"],
        input=manifests,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert found, done.stderr
    checks = [check for made in found for check in made["checks"] if not check["skipped"]]
    return {check["check"]["id"] for check in checks if check["grade"] < GOOD}


def test_kube_score_finds_what_was_decided_on_and_nothing_else() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for stack in STACKS:
        for check in scored(text(*settings(stack))):
            found[check].append(stack)
    assert {check: tuple(stacks) for check, stacks in found.items()} == STAYS


def test_the_record_names_every_finding() -> None:
    record = RECORD.read_text()
    assert [check for check in STAYS if f"`{check}`" not in record] == []


def test_a_finding_that_nobody_decided_on_is_noticed() -> None:
    made = [dict(each) for each in objects(*settings("prod"))]
    without = [each for each in made if each["kind"] != "NetworkPolicy"]
    assert "pod-networkpolicy" in scored(yaml.safe_dump_all(without))
