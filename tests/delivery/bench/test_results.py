"""Figures of measurements: percentiles, medians of rounds, ratios within a round, and the tables made of them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from delivery.bench import plan, report, running
from delivery.bench.clock import Clock, minutes
from delivery.bench.plan import OURS, STOCK_POSTGRES, Load, Plan
from delivery.bench.results import Measurement, latency, percentile, ratio, summaries
from delivery.bench.running import line, rounds, turn
from delivery.bench.scaling import Carried
from delivery.outcome import CommandError
from tests.delivery.bench.measured import ONE, STEP, outcome

FAST = replace(ONE, setup=OURS[2], milliseconds={"create": [5.0], "log-metric": [0.5] * 31})


@pytest.mark.parametrize(
    ("values", "hundredth", "expected"),
    [
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([1.0, 2.0], 50, 1.0),
        ([float(value) for value in range(1, 101)], 95, 95.0),
        ([float(value) for value in range(1, 101)], 99, 99.0),
        ([7.0], 99, 7.0),
        ([1.0, 2.0, 3.0], 100, 3.0),
    ],
)
def test_a_percentile_is_the_value_of_its_rank(values: list[float], hundredth: float, expected: float) -> None:
    assert percentile(values, hundredth) == expected


def test_of_no_answers_there_is_no_percentile() -> None:
    found = latency([])
    assert math.isnan(found.p50)
    assert found.count == 0


def test_a_rate_is_of_accepted_answers_and_a_summary_has_the_median_round() -> None:
    slow = replace(ONE, round=1, seconds=4, milliseconds={"create": [40.0], "log-metric": [4.0]}, errors=3, lost=2)
    fast = replace(ONE, round=2, milliseconds={"create": [1.0] * 20, "log-metric": []})
    (found,) = summaries([ONE, slow, fast])
    assert (found.slowest_rate, found.rate, found.fastest_rate) == (0.5, 2.0, 10.0)
    assert (found.errors, found.lost, found.acknowledged, found.rounds) == (3, 2, 12, 3)
    assert found.calls["create"].count == 22
    assert found.calls["create"].p99 == 40.0
    assert found.latency.count == 26


def test_setups_are_compared_within_a_round_alone() -> None:
    # The machine was ten times slower in the second round, for both.
    slow = [replace(one, round=1, seconds=20) for one in (ONE, FAST)]
    assert ratio([ONE, FAST, *slow], "logging", 16, OURS[2], STOCK_POSTGRES) == 8.0
    assert ratio([ONE, replace(FAST, round=1)], "logging", 16, OURS[2], STOCK_POSTGRES) is None
    assert ratio([ONE, FAST], "logging", 64, OURS[2], STOCK_POSTGRES) is None
    assert ratio([replace(ONE, milliseconds={}), FAST], "logging", 16, OURS[2], STOCK_POSTGRES) is None


def test_the_tables_have_a_row_for_each_setup_and_show_what_was_lost() -> None:
    text = report.markdown(outcome(ONE, replace(FAST, errors=1, lost=7)))
    rows = {row.split(" | ")[0].strip("| "): row.strip("| ").split(" | ") for row in text.splitlines() if "|" in row}
    assert rows["stock, PostgreSQL, 4 workers"][1:7] == ["2.00", "2.00 to 2.00", "1.00", "2.00", "10.0", "10.0"]
    assert rows["ours, 2 replicas"][1:4] == ["16.0", "16.0 to 16.0", "8.00"]
    assert rows["ours, 2 replicas"][7:10] == ["1", "4", "**7 or 0**"]
    assert rows["create"] == ["create", "10.0, 10.0", "5.00, 5.00"]
    assert "## logging, 16 clients" in text


def test_every_picture_of_the_tables_is_written_and_is_well_formed(tmp_path: Path) -> None:
    carried = [Carried(setup="", replicas=number, hot_path=True, steps=[STEP]) for number in (2, 1)]
    written = report.write(report.files(replace(outcome(ONE, FAST), carried=carried)), tmp_path / "figures")
    assert {file.name for file in written} == {"tables.md", "results.json", "logging-16.svg", "limited-replicas.svg"}
    shown = re.findall(r"!\[.*\]\((.*)\)", (tmp_path / "figures" / "tables.md").read_text())
    assert shown == ["logging-16.svg", "limited-replicas.svg"]
    texts = [ElementTree.parse(tmp_path / "figures" / name).findall(".//{*}text") for name in shown]  # noqa: S314
    assert [text.text for text in texts[0]][:3] == [
        "logging, 16 clients: requests/s",
        "stock, PostgreSQL, 4 workers",
        "2 /s",
    ]
    assert "concurrent runs" in [text.text for text in texts[1]]


def test_a_load_without_a_measurement_has_neither_table_nor_picture() -> None:
    assert "## logging" not in report.markdown(outcome())
    assert report.pictures(outcome()) == {}


def test_the_document_is_json_without_the_single_answers() -> None:
    found = report.document(outcome(ONE, replace(FAST, milliseconds={"create": []})))
    assert [one["rate"] for one in found["measurements"]] == [2.0, 0.0]
    assert [one["latency"]["p50"] for one in found["summaries"]] == [2.0, None]
    assert "milliseconds" not in found["measurements"][0]


def test_a_line_while_it_goes_on_names_errors_and_losses() -> None:
    assert line(ONE) == "  logging, 16 clients, stock-postgres, round 1: 2 requests/s"
    assert line(replace(ONE, kinds={"503": 2, "unanswered": 1}, lost=4)).endswith(
        ": 2 requests/s; 2 503; 1 unanswered; 4 LOST"
    )


@pytest.mark.parametrize("wrong", ["lost", "altered", "twice"])
def test_what_any_part_of_a_run_got_wrong_counts(wrong: str) -> None:
    changed: dict[str, Any] = {wrong: 2}
    step = replace(STEP, **changed)
    carried = [Carried(setup="", replicas=1, hot_path=True, steps=[STEP, step])]
    assert not step.within
    assert getattr(outcome(ONE), wrong) == 0
    assert getattr(replace(outcome(ONE, replace(ONE, **changed)), carried=carried), wrong) == 4


def test_each_round_begins_with_another_setup() -> None:
    load = Load(scenario="logging", clients=1, setups=("a", "b", "c"), seconds=1)
    assert [turn(load, number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


@pytest.mark.parametrize("chosen", [plan.quick(), plan.whole()], ids=["quick", "whole"])
def test_a_plan_measures_every_scenario_on_known_setups_each_load_once(chosen: Plan) -> None:
    # What access control takes needs more rounds than a quick run has.
    left_out = {"access"} if chosen == plan.quick() else set()
    assert {load.scenario for load in chosen.loads} == plan.SCENARIOS.keys() - left_out
    assert {setup for load in chosen.loads for setup in load.setups} <= plan.LABELS.keys()
    pairs = {load: plan.GATE if load.scenario == "access" else plan.PAIR for load in chosen.loads}
    assert all(set(pair) <= set(load.setups) for load, pair in pairs.items())
    headings = [load.heading for load in chosen.loads]
    assert len(set(headings)) == len(headings)
    assert all(load.warm == 0 or load.turns == 0 for load in chosen.loads)


def test_what_a_lack_of_time_leaves_out_are_last_rounds() -> None:
    chosen = plan.quick()
    order = [(load.heading, number) for load, number in rounds(chosen)]
    assert len(order) == sum(load.rounds for load in chosen.loads) == len(set(order))
    assert [number for _, number in order] == sorted(number for _, number in order)
    text = report.markdown(replace(outcome(ONE), left_out=["logging, 16 clients, round 2, as there was no time"]))
    assert "Not measured: logging, 16 clients, round 2, as there was no time." in text


def test_a_measurement_that_fails_is_named_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*arguments: Any, **_: Any) -> Measurement:
        _, setup, _, load, number = arguments
        if (setup, number) == (STOCK_POSTGRES, 0):
            raise CommandError("bench: stock-postgres did not answer")
        return replace(ONE, setup=setup, clients=load.clients, round=number)

    monkeypatch.setattr(running, "measure", measure)
    monkeypatch.setattr(running, "PAUSE_SECONDS", 0)
    ready: Any = {setup: setup for setup in plan.PAIR}
    chosen = plan.only(plan.quick(), ["batch"])
    chosen = replace(chosen, loads=[replace(load, rounds=2) for load in chosen.loads])
    tool, prepared, said = cast(Any, None), cast(Any, ready), list[str]()
    measured, left_out = running._measured(tool, chosen, ready, prepared, Clock(limit=60), said.append)
    assert [(one.setup, one.round) for one in measured] == [(OURS[2], 0), (OURS[2], 1), (STOCK_POSTGRES, 1)]
    assert left_out == ["batch, 4 clients, stock-postgres, round 1 (bench: stock-postgres did not answer)"]
    assert said[:2] == ["batch, 4 clients, round 1 of 2: at most 1 minute left", f"  failed: {left_out[0]}"]
    measured, left_out = running._measured(tool, chosen, ready, prepared, Clock(limit=running.END_SECONDS), said.append)
    assert measured == []
    assert left_out == [f"batch, 4 clients, round {number}, as there was no time" for number in (1, 2)]


@pytest.mark.parametrize(
    ("chosen", "limit", "start"), [(plan.quick(), 4, 75), (plan.whole(), 22, 240)], ids=["quick", "whole"]
)
def test_a_plan_has_time_to_start_everything(chosen: Plan, limit: int, start: int) -> None:
    assert chosen.limit_seconds <= limit * 60
    assert start + chosen.load_seconds + running.END_SECONDS <= chosen.limit_seconds


def test_minutes_are_rounded_up() -> None:
    assert [minutes(seconds) for seconds in (0, 60, 61)] == ["1 minute", "1 minute", "2 minutes"]


def test_only_some_scenarios_keep_everything_else_of_a_plan() -> None:
    found = plan.only(plan.whole(), ["reads"])
    assert [load.scenario for load in found.loads] == ["reads"]
    assert (found.runs, found.rounds) == (plan.whole().runs, plan.whole().rounds)
    with pytest.raises(ValueError, match=r"got writes; expected some of logging, .*traces"):
        plan.only(plan.whole(), ["reads", "writes"])
