"""Each gate lets a good release pass, stops a bad one with what to do, and stops what nobody could look at."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from components.mlflow import runtime_contract
from delivery.preview.text import plain
from delivery.promote import gates, history
from delivery.promote.gates import Change, Facts, State, Unknown, judge
from delivery.promote.release import REVISION_LABEL, Release
from mlflow_runtime.schema import history as schemas
from mlflow_runtime.schema.comparison import compare
from tests.delivery.promote import promoting
from tests.delivery.promote.promoting import NOW, SCHEMAS, update

RELEASE = Release(digest=f"sha256:{'a' * 64}", commit="c" * 40, mlflow="3.17.2", schema=SCHEMAS["3.17.2"], contract=1)
OTHER = replace(RELEASE, digest=f"sha256:{'b' * 64}")
NOBODY = Unknown("nobody looked")
GOOD = Facts(
    change=Change.PROMOTION,
    source="dev",
    target="staging",
    release=RELEASE,
    previous=None,
    now=NOW,
    soak=timedelta(hours=24),
    problems=(),
    refusals=(),
    updates=[update(RELEASE)],
    pending=(),
    smoke=True,
    alerts=(),
    drift={"dev": (), "staging": ()},
    labels=promoting.labels(RELEASE),
    ancestry=(),
    builds=2,
    in_registry=True,
    schema=None,
)


def compared(old: str, new: str) -> Any:
    known = schemas.known()
    return compare(known, known.head_of(old), known.head_of(new))


# By gate: facts that stop it, and what it says of them.
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("applied", {"updates": []}, "dev was never updated"),
    ("applied", {"updates": [update(OTHER)]}, "dev runs release bbbbbbbbbbbb, its file names aaaaaaaaaaaa"),
    (
        "applied",
        {"updates": [update(RELEASE, result="failed"), update(RELEASE)]},
        "the last update of dev ended as failed",
    ),
    ("applied", {"updates": [update(RELEASE, kind="destroy")]}, "the last destroy of dev ended as succeeded"),
    ("applied", {"updates": [update(RELEASE, values={})]}, "dev runs no image"),
    ("clean", {"updates": [update(RELEASE, clean=False)]}, "from files that differ from their commit"),
    ("clean", {"updates": [update(RELEASE, commit="")]}, "from files of no commit"),
    ("clean", {"updates": []}, "never updated"),
    ("pending", {"pending": ["app"]}, "unfinished operations: app | mlflow-platform recover dev"),
    ("smoke", {"smoke": False}, "the smoke test of dev failed"),
    ("soak", {"updates": [update(RELEASE, hours=23.5)]}, "runs in dev for 23 h 30 min of 24 h | wait until 20"),
    ("soak", {"updates": [update(RELEASE, hours=1), update(OTHER, hours=50)]}, "for 1 h of 24 h"),
    ("soak", {"updates": [update(RELEASE, hours=1), update(OTHER, hours=2), update(RELEASE)]}, "for 1 h of 24 h"),
    ("soak", {"updates": [update(OTHER)]}, "dev does not run the release"),
    ("alerts", {"alerts": ["5xx"]}, "1 alert fired in dev: 5xx"),
    ("drift", {"drift": {"dev": (), "staging": ["minTls"]}}, "staging differs on Azure: minTls"),
    ("drift", {"drift": {"dev": NOBODY, "staging": ["minTls"]}}, "staging differs on Azure: minTls"),
    ("label", {"labels": {**GOOD.labels, REVISION_LABEL: "d"}}, f"{REVISION_LABEL} is d not cccc"),  # type: ignore[dict-item]
    (
        "label",
        {"release": replace(RELEASE, schema="b7e2c1a4d9f3")},
        "MLflow 3.17.2 needs schema dc11669786a5, not b7e2",
    ),
    ("label", {"release": replace(RELEASE, mlflow="99.0.0")}, "schema of MLflow 99.0.0 is not known"),
    ("label", {"labels": {}}, f"{runtime_contract.LABEL} is  not 1"),
    ("ancestry", {"ancestry": ["commit cccc is not on the main line"]}, "not on the main line"),
    ("provenance", {"builds": 0}, "another build of the commit has another digest"),
    ("registry", {"in_registry": False}, "the registry that the images of staging come from does not have the digest"),
    ("schema", {"schema": compared("3.17.2", "3.16.1")}, "needs an older schema than the target has"),
    ("schema", {"schema": compared("3.16.1", "3.17.2")}, "no way back by digest: b7e2c1a4d9f3 does not run on"),
    ("guardrails", {"problems": ["a: 1 is not allowed", "b"]}, "a: 1 is not allowed; b"),
    ("preview", {"refusals": ["too many connections"]}, "too many connections"),
]
UNKNOWN = {
    "applied": "updates",
    "clean": "updates",
    "soak": "updates",
    "pending": "pending",
    "smoke": "smoke",
    "alerts": "alerts",
    "label": "labels",
    "ancestry": "ancestry",
    "provenance": "builds",
    "registry": "in_registry",
    "schema": "schema",
}


def outcome(gate: str, facts: Facts, **how: Any) -> gates.Outcome:
    return next(one for one in judge(facts, **how) if one.gate == gate)


def test_a_good_release_passes_every_gate() -> None:
    assert [one.gate for one in judge(GOOD) if one.state is not State.PASSED] == []


def test_every_gate_is_tried() -> None:
    assert {gate for gate, _, _ in BAD} == {gate.id for gate in gates.GATES}
    assert {*UNKNOWN, "drift", "guardrails", "preview"} == {gate.id for gate in gates.GATES}


@pytest.mark.parametrize(("gate", "facts", "said"), BAD)
def test_a_bad_release_is_stopped_with_what_to_do(gate: str, facts: dict[str, Any], said: str) -> None:
    found = outcome(gate, replace(GOOD, **facts))
    assert (found.state, found.stops) == (State.STOPPED, True)
    assert said in f"{plain(found.found)} | {plain(found.remedy)}"
    assert found.remedy
    assert outcome(gate, replace(GOOD, **facts), accepted=[gate]).stops


@pytest.mark.parametrize(("gate", "fact"), [*sorted(UNKNOWN.items()), ("drift", "drift")])
def test_what_nobody_looked_at_stops_until_somebody_takes_it_on(gate: str, fact: str) -> None:
    missing: dict[str, Any] = {fact: {"dev": (), "staging": NOBODY} if fact == "drift" else NOBODY}
    facts = replace(GOOD, **missing)
    found = outcome(gate, facts)
    assert (found.state, found.stops) == (State.UNKNOWN, True)
    assert "nobody looked" in plain(found.found)
    assert f"--accepts {gate}" in plain(found.remedy)
    assert gate in gates.acceptable()
    accepted = outcome(gate, facts, accepted=[gate])
    assert (accepted.state, accepted.stops, accepted.word) == (State.ACCEPTED, False, gate)


def test_a_schema_without_a_way_back_is_taken_on_by_its_own_word() -> None:
    facts = replace(GOOD, schema=compared("3.16.1", "3.17.2"))
    assert "docs/upgrades.md#back-to-the-restore-point" in plain(outcome("schema", facts).remedy)
    assert outcome("schema", facts, accepted=["schema"]).stops
    assert outcome("schema", facts, accepted=["no-way-back"]).word == "no-way-back"
    assert outcome("schema", replace(GOOD, schema=compared("3.17.0", "3.17.2"))).state is State.PASSED


def test_what_is_always_known_cannot_be_taken_on() -> None:
    assert {"guardrails", "preview"}.isdisjoint(gates.acceptable())


def test_an_emergency_goes_past_three_gates_only() -> None:
    bad: dict[str, Any] = {}
    for _, facts, _ in BAD:
        bad |= facts
    bad["updates"] = [update(RELEASE, hours=0, result="failed", clean=False)]
    states = {one.gate: one.state for one in judge(replace(GOOD, **bad), emergency=True)}
    assert {gate for gate, state in states.items() if state is State.SKIPPED} == {"smoke", "soak", "alerts"}
    assert {gate for gate, state in states.items() if state is State.PASSED} == set()


def test_a_rollback_looks_at_what_a_way_back_needs() -> None:
    facts = replace(GOOD, change=Change.ROLLBACK, source="", schema=compared("3.17.2", "3.16.1"))
    assert [one.gate for one in judge(facts)] == ["pending", "registry", "schema", "guardrails", "preview"]
    found = outcome("schema", facts, accepted=["schema", "no-way-back"])
    assert found.state is State.STOPPED
    assert "restore point with from_revision b7e2c1a4d9f3, docs/upgrades.md#back-to" in plain(found.remedy)
    assert outcome("schema", replace(facts, schema=compared("3.17.2", "3.17.0"))).state is State.PASSED


def test_the_time_of_a_release_begins_with_its_first_update_that_succeeded() -> None:
    updates = [
        update(RELEASE, hours=1),
        update(RELEASE, hours=2, result="failed"),
        update(RELEASE, hours=3),
        update(RELEASE, hours=4, result="failed"),
        update(OTHER, hours=5),
        update(RELEASE, hours=6),
    ]
    assert history.running_since(updates, RELEASE) == NOW - timedelta(hours=3)
    assert history.running_since(updates[3:], RELEASE) is None
    assert history.running_since([], RELEASE) is None
