"""What a run shows of each aim, and PostgreSQL's own ceiling."""

from __future__ import annotations

from dataclasses import replace

import pytest

from delivery.bench import data, plan, report
from delivery.bench.aims import HOT, aims
from delivery.bench.plan import OURS, OURS_DIRECT, STOCK_POSTGRES
from delivery.bench.postgres_ceiling import PostgresCeiling, parsed, script
from delivery.bench.results import Measurement
from delivery.bench.scaling import Carried
from delivery.outcome import CommandError
from mlflow_runtime.hotpath.statements import LOG_METRICS
from tests.delivery.bench.measured import ONE, STEP, outcome

CALLS = (*HOT, "create", "update")
READS = [f"search-{number}" for number in range(4)]


def measured(setup: str, scenario: str, clients: int, milliseconds: float, **changes: object) -> Measurement:
    """A round of 10 answers to each call, all in this time: twice as fast, twice as many a second."""
    calls = READS if scenario == "reads" else CALLS
    times = {call: [milliseconds] * 10 for call in calls}
    fields = {"setup": setup, "scenario": scenario, "clients": clients, "seconds": milliseconds, "milliseconds": times}
    return replace(ONE, **{**fields, **changes})  # type: ignore[arg-type]


def both(scenario: str, clients: int, stock: float, ours: float, **changes: object) -> list[Measurement]:
    return [
        measured(STOCK_POSTGRES, scenario, clients, stock),
        measured(OURS[2], scenario, clients, ours, **changes),
    ]


def gate(clients: int, off: float, on: float) -> list[Measurement]:
    """The same load without access control and with it."""
    return [
        replace(
            measured(setup, "access", clients, time, gateway_cpu=0.0),
            milliseconds={"get-run": [time], "log-metric": [time]},
        )
        for setup, time in ((plan.OURS[2], off), (plan.OURS_ACCESS, on))
    ]


def carried(most: int, replicas: int) -> Carried:
    step = replace(STEP, clients=most)
    return Carried(setup="", replicas=replicas, hot_path=True, steps=[step])


def test_a_run_in_which_every_aim_is_reached() -> None:
    found = aims(
        [
            *both("logging", 1, 9, 1.5),
            *both("logging", 16, 80, 10),
            *both("logging", 64, 80, 10),
            *both("logging", 256, 80, 10),
            *both("reads", 8, 30, 10),
            measured(OURS_DIRECT, "logging", 1, 1.0),
            measured(OURS[1], "logging", 1, 1.1),
            *gate(1, 2.0, 2.08),
            *gate(16, 2.0, 1.95),
        ],
        [carried(10, 1), carried(35, 4)],
        0.5,
        2,
    )
    assert len(found) == 19
    assert [one.aim for one in found if not one.reached] == []


@pytest.mark.parametrize(
    ("measurements", "aim", "figure"),
    [
        (both("logging", 16, 79, 10), "at least 8 times", "7.90 times"),
        (both("logging", 16, 80, 10, memory_mib=101), "at most its memory", "101 against 100 MiB"),
        (both("logging", 16, 39, 10), "p95 of create", "0.26 of it (10.00 against 39.0 ms)"),
        (both("logging", 1, 90, 1.6), "p50 of log-metric", "1.60 against 90.0 ms, 0.02 of it"),
        (both("logging", 1, 8, 1.5), "p50 of log-batch", "1.50 against 8.0 ms, 0.19 of it"),
        (both("logging", 64, 9, 9, errors=1), "64 clients: nothing fails", "1 failed, 0 lost of 4, 0 altered"),
        (both("logging", 256, 9, 9, lost=2), "256 clients: nothing fails", "0 failed, 2 lost of 4"),
        (both("logging", 256, 9, 9, altered=3), "256 clients: nothing fails", "0 lost of 4, 3 altered"),
        (both("reads", 8, 29, 10), "reads: p95", "search-0 2.90"),
        (
            [measured(OURS_DIRECT, "logging", 1, 1.0), measured(OURS[1], "logging", 1, 1.2)],
            "the gateway adds",
            "log-metric +20 %",
        ),
        (gate(1, 2.0, 2.2), "1 client: p50 of get-run", "+10.0 % (2.20 against 2.00 ms)"),
        (gate(16, 2.0, 1.0), "16 clients: requests/s within 5 %", "+100.0 %; -250.00 ms of a processor"),
    ],
)
def test_an_aim_that_is_not_reached_stays_with_its_figure(
    measurements: list[Measurement], aim: str, figure: str
) -> None:
    (found,) = [one for one in aims(measurements, [], None, 2) if aim in one.aim]
    assert not found.reached
    assert figure in found.figure


def test_replicas_and_the_database_that_do_not_reach_their_aim() -> None:
    found = aims([], [carried(10, 1), carried(34, 4)], 0.49, 2)
    assert [one.reached for one in found] == [False, False]
    assert found[0].figure == "0.49 of it"
    assert found[1].figure == (
        "3.40 times; 1.60 of 2 processors busy, of which replicas 0.80 of 1.00 that they may use, gateway 0.30, "
        "PostgreSQL 0.30, load tool 0.10, others 0.10: neither is used up on average"
    )


def test_there_is_no_aim_without_figures() -> None:
    assert aims([measured(OURS[2], "logging", 16, 1)], [carried(10, 1)], None, 2) == []
    unanswered = [replace(one, milliseconds={}) for one in both("logging", 1, 1, 1)]
    assert aims(unanswered, [], None, 2) == []


def test_the_tables_have_the_aims_and_the_part_of_what_postgres_does() -> None:
    measurements = both("logging", 16, 79, 10)
    itself = [
        PostgresCeiling(connections=1, rate=20, milliseconds=0.3),
        PostgresCeiling(connections=16, rate=10, milliseconds=1.5),
    ]
    made = replace(outcome(*measurements), postgres=itself)
    text = report.markdown(made)
    assert report.share(made) == 0.5
    assert (
        "| logging, 16 clients: at least 8 times the requests/s of stock on PostgreSQL | 7.90 times | **no** |" in text
    )
    assert "| 16 | 10.0 | 1.50 |" in text
    assert "had 1 MiB with 100 metrics. `VACUUM ANALYZE` of all of it took 0.5 s." in text
    assert [one["reached"] for one in report.document(made)["aims"]].count(False) == 1


def test_pgbench_sends_the_statement_with_a_run_and_a_step_by_chance() -> None:
    first, _, statement = script(LOG_METRICS.sql, 7).splitlines()
    assert first == "\\set run random(0, 199)"
    assert f"run_uuid = ('{data.prefix(7)}' || ({data.FIRST} + :run))" in statement
    assert "workspace = 'default'" in statement
    assert (
        "unnest(ARRAY['ceiling']::text[], ARRAY[0.5]::float8[], ARRAY[:step]::bigint[], ARRAY[:step]::bigint[], "
        "ARRAY[false]::boolean[], ARRAY[true]::boolean[]) AS metric"
    ) in statement
    assert "$" not in statement


def test_the_report_of_pgbench_is_read() -> None:
    text = (
        "number of clients: 16\nlatency average = 1.482 ms\ninitial connection time = 9 ms\ntps = 10796.1 (without)\n"
    )
    assert parsed(text, 16) == PostgresCeiling(connections=16, rate=10796.1, milliseconds=1.482)
    with pytest.raises(CommandError, match="pgbench reported no rate: pgbench: error"):
        parsed("pgbench: error", 16)
