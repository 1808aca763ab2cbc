"""How an `up` with an approved plan ended, in each form."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from delivery.apply import report
from delivery.apply.applying import Ended, Refused
from delivery.apply.approval import Approval
from delivery.apply.difference import Difference
from delivery.apply.record import Record, Smoke, SmokeResult
from delivery.outcome import ExitCode
from delivery.preview.plan import read
from delivery.preview.report import report as preview_report
from delivery.preview.text import Code
from tests.support.previews import preview, step

NOW = preview_report(read(preview(step("create", "resources:ResourceGroup", "group", None, {}))))
RECORD = Record(stack="prod", plan=NOW.plan, commit="c" * 40, image="none", engine="3.274.1", who="a@b")
APPROVED = Approval(plan="0123456789abcdef", parts={"urn": "1", "other": "2"})
HOSTILE = "<b>@everyone|`x`\n# head"
CHANGED = Refused(
    now=NOW,
    reason=["the plan changed after its approval"],
    differences=[Difference(resource="r", what=["added: ", Code(f"{HOSTILE}{number}")]) for number in range(30)],
    cause=["commit ", Code(HOSTILE)],
)


def shown(found: Refused | Ended) -> str:
    stream = io.StringIO()
    report.show(APPROVED, found, stream)
    return stream.getvalue()


def ended(result: SmokeResult, reason: str = "", code: int = 0) -> Ended:
    return Ended(now=NOW, record=RECORD, code=code, smoke=Smoke(result=result, reason=reason))


def test_a_changed_plan_is_a_page_that_says_so_first() -> None:
    text = report.summary(APPROVED, CHANGED)
    lines = text.splitlines()
    assert lines[0] == "### `prod` · not applied: the plan changed after its approval"
    assert lines[2] == (
        f"Approved: `0123456789abcdef`, 2 changes. Now: `{NOW.plan}`, 1 change. **Nothing was changed on Azure.**"
    )
    assert lines[4:6] == ["| difference | cause |", "|---|---|"]
    assert sum(line.startswith("| added: ``<b>@everyone\\|`x` # head") for line in lines) == report.LISTED
    assert "| and 10 more |  |" in lines
    assert f"Run: `mlflow-platform preview prod`, then `mlflow-platform up prod --approved {NOW.plan}`" in text
    assert len(report.document(APPROVED, CHANGED)["differences"]) == 30
    assert "cause: commit <b>@everyone|`x` # head" in shown(CHANGED)


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        (ended(SmokeResult.PASSED), ExitCode.DONE, "prod: applied: smoke passed"),
        (ended(SmokeResult.NOT_RUN, "no way"), ExitCode.DONE, "prod: applied: smoke not run (no way)"),
        (ended(SmokeResult.FAILED, "no run"), ExitCode.FAILED, "prod: applied: smoke failed (no run)"),
        (ended(SmokeResult.NOT_RUN, code=255), ExitCode.FAILED, "prod: failed: `pulumi up` ended with exit code 255"),
        (CHANGED, ExitCode.FAILED, "prod: not applied: the plan changed after its approval"),
        (replace(CHANGED, differences=[], cause=[]), ExitCode.FAILED, "Nothing was changed on Azure."),
    ],
)
def test_each_end_has_its_code_and_its_words(found: Refused | Ended, code: ExitCode, said: str) -> None:
    assert report.exit_code(found) == code
    assert said in shown(found)
    document = report.document(APPROVED, found)
    assert json.loads(json.dumps(document)) == document
    assert document["stack"] == "prod"
    assert report.summary(APPROVED, found).startswith("### `prod` · ")


def test_what_a_server_says_is_shown_as_code() -> None:
    assert "smoke failed (``<b>@everyone|`x` # head``)" in report.summary(APPROVED, ended(SmokeResult.FAILED, HOSTILE))


def test_after_a_failure_one_sentence_has_what_was_not_reached() -> None:
    failed = replace(ended(SmokeResult.NOT_RUN, code=255), unreached=[f"later-{number}" for number in range(6)])
    text = report.summary(APPROVED, failed)
    assert (
        "It did not reach 6 resources, which are as they were: `later-0`, `later-1`, `later-2`, `later-3` and 2" in text
    )
    assert "Run: `mlflow-platform preview prod`" in text
    assert report.document(APPROVED, failed)["notReached"] == list(failed.unreached)
    killed = replace(failed, unreached=["later"], interrupted=True)
    assert "It did not reach 1 resource, which is as it was: later. Bring the stack back first." in shown(killed)
    assert "Run: mlflow-platform recover prod" in shown(killed)
    assert report.document(APPROVED, killed)["interrupted"] is True
