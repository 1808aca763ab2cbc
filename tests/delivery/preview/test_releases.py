"""What a report says of a change of the release: MLflow, schema, way back, and the gates of the promotion."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from delivery.outcome import ExitCode
from delivery.preview import releases
from delivery.preview.document import document
from delivery.preview.markdown import markdown
from delivery.preview.plan import read
from delivery.preview.reasons import Subject, Verdict
from delivery.preview.releases import Releases
from delivery.preview.report import Report, Source, report
from delivery.preview.saved import load, save
from delivery.promote import command
from delivery.promote.command import Way
from delivery.promote.gates import GATES, Change
from delivery.promote.promotion import Request
from delivery.promote.release import Release
from tests.delivery.preview.test_forms import printed
from tests.delivery.promote import promoting
from tests.delivery.promote.promoting import a_release, evidence, git, set_release
from tests.support.previews import preview, same, step

OLD = Release(digest=f"sha256:{'a' * 64}", commit="1" * 40, mlflow="3.16.1", schema="b7e2c1a4d9f3", contract=1)
NEW = Release(digest=f"sha256:{'b' * 64}", commit="2" * 40, mlflow="3.17.2", schema="dc11669786a5", contract=1)
APP = "app:ContainerApp"


def an_app(release: Release) -> dict[str, Any]:
    return {"template": {"containers": [{"image": f"cr.azurecr.io/mlflow-platform@{release.digest}"}]}}


def moved(before: Release | None, after: Release | None, **more: Any) -> Report:
    plan = read(preview(step("update", APP, "tracking", an_app(OLD), an_app(NEW))))
    return report(plan, releases=Releases(before=before, after=after, **more))


def test_a_migration_without_a_way_back_is_a_decision() -> None:
    text = markdown(moved(OLD, NEW))
    assert "### `prod` · restarted replicas stay unready, no way back by digest" in text
    assert "> 1. **During the rolling update** a replica of MLflow `3.16.1` that restarts stays unready" in text
    assert "`spans`" in text
    assert "> 2. **No way back by digest.** MLflow `3.16.1` does not run on the new schema." in text
    assert "| MLflow | `3.16.1` | `3.17.2` |" in text
    assert "| built from | `111111111111` | `222222222222` |" in text
    assert "| schema | `b7e2c1a4d9f3` | `dc11669786a5`, 2 revisions |" in text


def test_the_way_back_over_such_a_migration_is_refused() -> None:
    found = moved(NEW, OLD)
    assert (found.verdict, found.reasons[0].subject) == (Verdict.REFUSED, Subject.REFUSAL)
    assert "**Prepare will fail.** MLflow `3.16.1` does not run on the schema `dc11669786a5`" in markdown(found)


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        (OLD, replace(NEW, mlflow=OLD.mlflow, schema=OLD.schema), ["built from", "image"]),
        (OLD, replace(NEW, schema="0" * 12), ["MLflow", "built from", "image", "schema"]),
        (None, NEW, ["image"]),
        (OLD, None, ["image"]),
        (OLD, OLD, ["image"]),
    ],
)
def test_what_is_not_known_is_no_reason(before: Release | None, after: Release | None, rows: list[str]) -> None:
    found = moved(before, after)
    assert found.verdict is Verdict.ROUTINE
    assert sorted(str(row.what) for row in found.rows) == rows


def test_the_gates_of_a_promotion_are_in_every_form() -> None:
    gates = {gate.id: "passed" for gate in GATES if Change.PROMOTION in gate.changes}
    found = moved(OLD, NEW, gates={**gates, "soak": "skipped", "smoke": "skipped", "schema": "accepted"}, commit="abc")
    words = f"{len(gates) - 3} passed, **skipped:** `smoke`, `soak`, **accepted:** `schema`, as commit `abc` says"
    assert f"**Gates:** {words}." in markdown(found)
    assert document(found)["gates"] == words.replace("*", "").replace("`", "")
    assert "gates      11 passed, skipped: smoke, soak, accepted: schema" in printed(found)
    assert "Gates" not in markdown(moved(OLD, OLD, gates=gates, commit="abc")), "the release that runs already"


def test_an_image_that_no_promotion_brings_is_said_to_have_passed_no_gate() -> None:
    assert "**Gates:** **not asked:** no commit of `promote` brings this image." in markdown(moved(OLD, NEW))
    assert "Gates" not in markdown(moved(None, NEW))


def test_a_promotion_is_read_from_the_repository(tmp_path: Path) -> None:
    checkout = promoting.written(tmp_path)
    old = a_release(checkout, "a", "3.16.1")
    set_release(checkout, "staging", old)
    set_release(checkout, "dev", new := a_release(checkout, "b"))
    accepted = Request(source="dev", target="staging", accepts=["no-way-back"])
    assert command.run(accepted, [], Way(folder=checkout), evidence(new)) == ExitCode.DONE
    # As a workflow has a pull request: merged, by a commit that says nothing of it.
    git(checkout, "fetch", "--quiet", "origin", "promote/staging/bbbbbbbbbbbb")
    promotion = git(checkout, "rev-parse", "FETCH_HEAD")
    promoting.committed(checkout, "Something else on main")
    git(checkout, "merge", "--quiet", "--no-ff", "--message=Merge", "FETCH_HEAD")
    found = releases.looked(checkout, "staging", [old.digest])
    assert found is not None
    assert (found["before"], found["after"], found["commit"]) == (asdict(old), asdict(new), promotion[:12])
    assert (found["gates"]["soak"], found["gates"]["schema"]) == ("passed", "accepted")
    plan = read(preview(step("update", APP, "tracking", an_app(old), an_app(new))))
    text = markdown(report(plan, releases=releases.read(found)))
    assert f"**Gates:** 13 passed, **accepted:** `schema`, as commit `{promotion[:12]}` says." in text
    # Another release by hand is no promotion any more.
    set_release(checkout, "staging", third := a_release(checkout, "c"))
    by_hand = releases.looked(checkout, "staging", [new.digest])
    assert by_hand is not None
    assert (by_hand["after"], by_hand["gates"], by_hand["commit"]) == (asdict(third), {}, "")
    assert releases.looked(tmp_path, "staging", [new.digest]) is None, "no repository"


HOSTILE = "@everyone <img src=x> | `x`"


def test_a_plan_hands_it_over_as_data(tmp_path: Path) -> None:
    file = tmp_path / "prod.json"
    printed = preview(step("update", APP, "tracking", an_app(OLD), an_app(NEW)))
    moves = {
        "before": {**asdict(OLD), "mlflow": HOSTILE},
        "after": asdict(NEW),
        "gates": {"soak": "passed", "schema": HOSTILE, HOSTILE: "passed", "smoke": 1},
        "commit": HOSTILE * 100,
    }
    save(file, "prod", printed, "", Source(), moves=moves)
    text = markdown(report(*load(file)))
    assert "**Gates:** 1 passed, as commit `@everyone <i` says." in text
    assert "| MLflow | `` @everyone <img src=x> \\| `x` `` | `3.17.2` |" in text
    wrongs: list[Any] = [None, [], "x", {"before": [], "after": {"digest": "x"}, "gates": []}]
    for wrong in wrongs:
        save(file, "prod", printed, "", Source(), moves=wrong)
        assert markdown(report(*load(file))) == markdown(report(read(printed)))


def _said(passed: str) -> dict[str, Any]:
    found = preview(same(APP, "tracking"))
    found["diagnostics"] = [{"severity": "info", "message": passed, "urn": ""}]
    return found


def test_the_programs_own_count_of_the_guardrails_is_in_the_report() -> None:
    found = report(read(_said("info: guardrails: 49 passed, 0 waived\n")))
    assert "Guardrails 49 passed, 0 waived." in markdown(found)
    waived = _said("guardrails: 48 passed, 1 waived\n")
    waived["config"] = {"mlflow-platform:waivers": '{"shared-keys": {"owner": "a", "reason": "b", "expires": "c"}}'}
    text = markdown(report(read(waived)))
    assert "| guardrails |  | 48 passed, 1 waived |" in text
    assert "| guardrail shared-keys | waived until `c` | `a`: `b` |" in text
    assert "uardrail" not in markdown(report(read(_said("the guardrails: 49 passed, 0 waived"))))
