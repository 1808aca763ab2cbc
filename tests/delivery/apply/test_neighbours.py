"""What `up` takes from the check of drift, and what a promotion takes from its record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from delivery.apply.record import Record
from delivery.drift import check
from delivery.drift.lines import Drift, Line
from delivery.preview.plan import Op, Step
from delivery.promote import evidence
from delivery.promote.gates import Unknown
from delivery.promote.history import read
from delivery.pulumi.engine import Engine, EngineError, Result

RECORD = Record(stack="dev", plan="p", commit="c", image="sha256:1", engine="3.274.1", who="a@b")
UPDATE = {"kind": "update", "result": "succeeded", "message": RECORD.message(), "startTime": "ten", "endTime": None}


def line(name: str, *dangers: str) -> Line:
    step = Step(op=Op.UPDATE, urn=f"urn::{name}", type="azure-native:a:B", before=None, after=None)
    return Line(step=step, differences=[], dangers=dangers, usd=0)


def test_only_drift_of_data_and_security_stops_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Drift(stack="dev", lines=[line("store", "open to the internet", "shared keys"), line("tags")])
    monkeypatch.setattr(check, "check", lambda *_: found)
    assert check.blocking(Engine(folder=Path(), environment={}), "dev") == ["store: open to the internet; shared keys"]


@pytest.mark.parametrize(
    ("history", "smoke", "said"),
    [
        ([UPDATE], {"started": "ten", "result": "passed"}, True),
        ([UPDATE], {"started": "ten", "result": "failed", "reason": "runs"}, False),
        ([UPDATE], {"started": "ten", "result": "not run", "reason": "no way"}, "was not run: no way"),
        ([UPDATE], {"started": "nine", "result": "passed"}, "no record of a smoke test of dev"),
        ([{**UPDATE, "message": "by hand"}, UPDATE], {"started": "ten", "result": "passed"}, "no record"),
        ([], {}, "`pulumi stack` failed"),
    ],
)
def test_a_promotion_reads_the_smoke_run_of_the_newest_update(
    history: list[Mapping[str, Any]], smoke: Mapping[str, str], said: bool | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def must(_: Engine, *arguments: str) -> Result:
        if not history:
            raise EngineError("`pulumi stack` failed\nfor a reason")
        tags = {"mlflow-platform:smoke": json.dumps(smoke)}
        text = json.dumps(history if arguments[1] == "history" else tags)
        return Result(code=0, out=text, text=text)

    monkeypatch.setattr(Engine, "must", must)
    engine = Engine(folder=Path(), environment={})
    newest = read(history or [UPDATE], "p")[0]
    found = evidence._smoke(engine, "dev", newest)
    assert said in found.why if isinstance(found, Unknown) and isinstance(said, str) else found is said
