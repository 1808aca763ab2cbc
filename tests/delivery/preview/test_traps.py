"""What the engine's JSON hides, says twice or leaves out, each shown on what the real engine printed.

The recordings are those of test_recordings.py. Four traps have no preview: a secret in the configuration is refused by
the settings (row 109 of test_misconfigurations.py), a preview beside a running update by the lease of `up`
(tests/delivery/apply), the order of steps is shuffled in test_recordings.py, and what the history says of an update,
which no output does, is read of the real engine in tests/delivery/promote/test_real_engine.py.
"""

from __future__ import annotations

from pulumi.runtime.rpc import UNKNOWN

from delivery.preview.causes import causes
from delivery.preview.command import computed
from delivery.preview.differences import of as differences
from delivery.preview.markdown import Form, markdown
from delivery.preview.plan import Op, is_unknown, read
from delivery.preview.reasons import Subject, Verdict
from delivery.preview.report import Report, report
from delivery.preview.text import plain
from delivery.pulumi.engine import Result
from tests.delivery.preview.test_recordings import NAMES, recorded, recording


def of(name: str) -> Report:
    return report(read(recording(name)))


def said(found: Report, subject: Subject) -> str:
    return " ".join(plain(reason.phrase) for reason in found.reasons if reason.subject is subject)


@recorded
def test_one_replacement_has_a_reason_and_the_others_a_cause() -> None:
    plan = read(recording("f-location-ignore-protect"))
    assert sum(bool(step.because) for step in plan.of(Op.REPLACE)) == 1
    (cause,) = causes(plan)
    assert (cause.step.name, len(cause.followers)) == ("group", 114)
    assert "group.location westeurope → northeurope replaces 115 of 116 resources" in said(report(plan), Subject.DATA)


@recorded
def test_a_preview_that_stops_at_a_protected_resource_shows_no_paths_and_the_whole_one_says_what_not_to_do() -> None:
    text = markdown(of("f-location-protected"), Form.SUMMARY)
    assert "Traceback" not in text
    assert "/site-packages/" not in text
    whole = of("f-location-ignore-protect")
    assert "10 protected resources in the way" in plain(whole.title)
    assert "Do not take the protection away for this" in said(whole, Subject.DATA)


@recorded
def test_a_deletion_that_an_earlier_update_left_is_no_silence() -> None:
    document = recording("l-pending-delete")
    assert {step["op"] for step in document["steps"]} == {"same", "delete-replaced"}
    found = of("l-pending-delete")
    assert found.verdict is Verdict.REFUSED
    assert "which an earlier update left, while the lock store-lock exists" in said(found, Subject.REFUSAL)


@recorded
def test_a_changed_role_is_words_and_said_to_fail_under_its_lock() -> None:
    found = of("d-ranges-and-right")
    assert "tracking may read, write and delete blobs on container mlflow" in said(found, Subject.RIGHTS)
    assert "Azure will refuse to delete identity-tracking-artifacts" in said(found, Subject.REFUSAL)


@recorded
def test_a_dynamic_resource_without_a_diff_says_what_it_does() -> None:
    plan = read(recording("c-new-digest"))
    assert all(not step.paths for step in plan.changes if step.name == "prepare")
    changes = {name: plain(one.what) for one in report(plan).changes for name in one.names}
    assert changes["prepare"] == "runs once"
    assert changes["tracking-ready"] == "waits for the new revision"


@recorded
def test_one_changed_rule_is_not_the_whole_list() -> None:
    plan = read(recording("d-ranges-and-right"))
    (rules,) = (step for step in plan.changes if step.name == "network-container-apps-rules")
    assert {one.path.partition("]")[0] for one in differences(rules)} == {"securityRules[clients-inbound"}


@recorded
def test_drift_is_read_from_a_refresh_since_a_preview_with_refresh_takes_a_deletion_for_a_creation() -> None:
    mixed, alone = (read(recording(f"h-drift-{name}")) for name in ("preview-refresh", "refresh-only"))
    (gone,) = alone.of(Op.DELETE)
    assert gone.name in {step.name for step in mixed.of(Op.CREATE)}
    assert len(alone.of(Op.UPDATE)) == 5


@recorded
def test_protection_that_ends_is_found_in_steps_that_stay() -> None:
    plan = read(recording("k-protect-off"))
    assert {step.op for step in plan.steps if step.loses_protection} == {Op.SAME}
    assert "Protection from deletion ends for" in said(report(plan), Subject.PROTECTION)


@recorded
def test_an_update_that_azure_refuses_is_said_to_fail() -> None:
    for name, refused in (("f-cidr", "network-container-apps"), ("f-zones.staging", "network-outbound-address")):
        assert f"Azure will refuse the change of {refused}" in said(of(name), Subject.REFUSAL)


@recorded
def test_a_value_that_is_not_known_yet_is_never_printed() -> None:
    plan = read(recording("f-name-generation"))
    inside = [step for step in plan.changes if UNKNOWN in str(step.new) and f'"{UNKNOWN}"' not in str(step.new)]
    assert inside
    assert all(is_unknown(step.new) for step in inside)
    assert report(plan).unknowns > len(inside) / 2
    for name in NAMES:
        assert UNKNOWN not in markdown(of(name), Form.SUMMARY)


@recorded
def test_guardrails_speak_by_diagnostics() -> None:
    found = of("i-guardrails")
    assert (found.verdict, len(found.reasons)) == (Verdict.REFUSED, 2)


def test_an_error_without_json_is_no_verdict_of_ours() -> None:
    for words in ("error: the stack is currently locked by 1 lock(s)", "error: incorrect passphrase"):
        found = report(computed(Result(code=1, out="", text=words), "prod"))
        assert (found.verdict, found.stack) == (Verdict.NOT_COMPUTED, "prod")
        assert words.removeprefix("error: ") in plain(found.reasons[0].phrase)


@recorded
def test_verdict_worst_reason_and_next_step_are_within_25_lines() -> None:
    for name in NAMES:
        found = of(name)
        lines = markdown(found).splitlines()[:25]
        assert lines[1].startswith("### ")
        numbered = [line for line in lines if line.startswith("> ") and line[2].isdigit()]
        assert len(numbered) == len(found.reasons)
        assert not found.reasons or f"**Next:** {found.next}" in lines
