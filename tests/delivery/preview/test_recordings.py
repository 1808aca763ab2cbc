"""Reports of what the engine itself printed for ten changes of the three stacks, byte for byte.

The recordings are beside the repository and no part of it; where they are absent these tests are skipped. After a
change that is meant, `python -m tests.delivery.preview.test_recordings` writes the expected reports again.
"""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from delivery.preview.fingerprint import fingerprint
from delivery.preview.markdown import markdown
from delivery.preview.plan import read
from delivery.preview.report import report

RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "delivery-reports" / "recordings"
EXPECTED = Path(__file__).parent / "reports"
# Drift is no plan; the last recording has a stack of its own beside it.
NAMES = sorted(
    (
        "a-first-deployment",
        "a-first-with-image",
        "b-no-change",
        "c-new-digest",
        "d-clients-reach-blob",
        "d-ranges-and-right",
        "e-sku-and-standby.staging",
        "f-cidr",
        "f-location-ignore-protect",
        "f-location-protected",
        "f-name-generation",
        "f-zones.staging",
        "g-replicas-and-pool",
        "i-guardrails",
        "j-owner-tag",
        "k-protect-off",
        "l-location-with-pending-delete-and-steps",
        "l-pending-delete",
        "m-renamed-without-alias",
    )
)

recorded = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not beside this repository")


def recording(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gzip.decompress((RECORDINGS / f"{name}.json.gz").read_bytes()))
    # Some were recorded without what stays.
    document["changeSummary"]["same"] = sum(step["op"] == "same" for step in document["steps"])
    return document


@recorded
@pytest.mark.parametrize("name", NAMES)
def test_the_report_is_the_expected_one(name: str) -> None:
    assert markdown(report(read(recording(name)))) == (EXPECTED / f"{name}.markdown").read_text()


@recorded
@pytest.mark.parametrize("name", NAMES)
def test_another_order_and_another_time_make_the_same_report(name: str) -> None:
    document = recording(name)
    expected = read(document)
    random.Random(name).shuffle(document["steps"])
    for step in document["steps"]:
        for state in (step.get("oldState") or {}, step.get("newState") or {}):
            state["created"] = state["modified"] = "2027-01-01T00:00:00Z"
            (state.get("dependencies") or []).reverse()
    found = read(document)
    assert fingerprint(found) == fingerprint(expected)
    assert markdown(report(found)) == markdown(report(expected))


@recorded
def test_plans_that_differ_have_fingerprints_that_differ() -> None:
    plans = [name for name in NAMES if name not in ("f-location-protected", "i-guardrails")]
    assert len({fingerprint(read(recording(name))) for name in plans}) == len(plans)


if __name__ == "__main__":
    EXPECTED.mkdir(exist_ok=True)
    for one in NAMES:
        (EXPECTED / f"{one}.markdown").write_text(markdown(report(read(recording(one)))))
