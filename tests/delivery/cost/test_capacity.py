"""What concurrent runs need, from what one request was measured to take; and the tables of docs/capacity.md."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from components.mlflow.roles import SERVICES, Role
from delivery.cost import prices
from delivery.cost.capacity import (
    SIZES,
    USUAL,
    Measured,
    Work,
    capacity,
    carried,
    cores,
    database,
    month,
    most_requests,
    runs_in_memory,
    table,
    thresholds,
)
from delivery.reference import capacity as page
from infra.settings.profiles import PROFILES, ProfileName

PROD = PROFILES[ProfileName.PROD]
SIZES_OF_PROD = PROD.sizes
ONE = Measured(tracking_ms=1.0, gateway_ms=0.25, database_ms=0.5, bytes=500)
FACTS = {"cores": "2", "processor": "one", "mlflow": "3", "commit": "abc", "load average before": "0.1 0.1 0.1"}


def results(rate: float = 1000.0, **changes: Any) -> dict[str, Any]:
    """The results of a bench in which tracking took 0.8 of a processor, the gateway 0.2 and the database 0.5."""
    one = {"scenario": "logging", "clients": 16, "rate": rate, "cpu": 1.0, "gateway_cpu": 0.2, "database_cpu": 0.5}
    more = {"growth": 4_000_000, "calls": {"create": {"count": 2000}, "update": {"count": 2000}}}
    setups = ("stock-postgres", "ours-2", "ours-2-cold")
    grown = {"bytes": 2**20, "metrics": 1000, "vacuum_seconds": 0.5}
    return {
        "facts": FACTS,
        "grown": grown,
        "summaries": [{**one, **more, "setup": setup, **changes} for setup in setups],
    }


def needed(runs: int, measured: Measured = ONE, **changes: float) -> Any:
    return capacity(Work(runs=runs, **changes), measured, SIZES_OF_PROD, PROD.database_pool)


def test_what_a_request_takes_is_read_from_a_bench() -> None:
    found = Measured.read(results(), "ours-2")
    assert found == Measured(tracking_ms=0.8, gateway_ms=0.2, database_ms=0.5, bytes=1000)
    # The database grew by what was accepted before and after the time that counts as well.
    assert Measured.read(results(outside=4000), "ours-2").bytes == 500


@pytest.mark.parametrize("changes", [{"scenario": "reads"}, {"clients": 1}, {"rate": 0}, {"setup": "ours-1"}])
def test_results_without_the_measured_load_are_refused_with_the_command_that_makes_them(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match=r"got no logging of ours-2 .*Run: mlflow-platform bench --output"):
        Measured.read(results(**changes), "ours-2")


def test_few_runs_need_the_fewest_replicas_of_the_profile() -> None:
    found = needed(10)
    assert (found.tracking, found.gateway) == (3, 3)


def test_replicas_and_database_are_as_busy_as_they_may_be_and_no_busier() -> None:
    # One processor for each replica, and 0.6 of it may be busy: 600 requests a second of a millisecond each.
    assert [needed(runs).tracking for runs in (1800, 1801, 6000, 6001)] == [3, 4, 10, 11]
    # Half a processor of a gateway: 1,200 requests a second of a quarter of a millisecond.
    assert [needed(runs).gateway for runs in (3600, 3601)] == [3, 4]
    assert needed(100, requests_per_second=60) == replace(needed(6000), work=Work(runs=100, requests_per_second=60))


def test_the_database_has_processors_and_connections() -> None:
    assert database(100, 30) == "Standard_B1ms"
    assert database(121, 30) == "Standard_B2s"  # B1ms may use 0.2 of a processor for long, of which 0.6
    assert database(100, 36) == "Standard_B2s"  # B1ms has 50 connections less the reserved 15
    assert database(241, 30) == "Standard_D2ds_v5"
    assert database(1201, 30) == "Standard_D4ds_v5"
    with pytest.raises(ValueError, match=r"got 40\.0 processors of work and 30 connections.*Divide the work"):
        database(40_000, 30)
    with pytest.raises(ValueError, match="9,000 connections"):
        database(1, 9_000)


def test_each_size_carries_more_than_the_one_before() -> None:
    carried = [cores(size) for size in SIZES]
    assert carried == sorted(carried)
    assert cores("D2ds_v5") == 2
    assert cores("D64ds_v5") == 64


def test_a_database_carries_what_its_processors_do_busy_as_they_may_be() -> None:
    assert [most_requests(size, ONE) for size in ("B1ms", "B2s", "D2ds_v5")] == pytest.approx([240, 480, 2400])


def test_more_runs_never_need_less() -> None:
    found = table(ONE, [1, 100, 1_000, 2_000, 5_000, 10_000], SIZES_OF_PROD, PROD.database_pool)
    for before, after in pairwise(found):
        assert before.tracking <= after.tracking
        assert before.connections <= after.connections <= after.connections_available
        assert before.usd <= after.usd
        assert before.gib_per_hour < after.gib_per_hour


def test_the_table_ends_with_what_a_database_carries() -> None:
    assert [one.work.runs for one in table(ONE, [100, 1_000_000], SIZES_OF_PROD, PROD.database_pool)] == [100]


def test_a_month_is_every_replica_at_work_and_the_database() -> None:
    before = month(SIZES_OF_PROD, "Standard_D2ds_v5")
    scale = SIZES_OF_PROD[Role.TRACKING].scale
    one_more = replace(SIZES_OF_PROD[Role.TRACKING], scale=replace(scale, maximum=scale.maximum + 1))
    after = month({**SIZES_OF_PROD, Role.TRACKING: one_more}, "Standard_D4ds_v5")
    replica = 730 * 3600 * (prices.ACTIVE_VCPU.usd + 2 * prices.APP_MEMORY.usd)
    assert after - before == pytest.approx(replica + 2 * 730 * prices.DATABASE_VCORE.usd)


def test_a_smaller_replica_carries_fewer_requests() -> None:
    # 0.6 of a processor, of which a request takes a millisecond; one worker uses no more than one.
    assert [carried(1.0, cpu) for cpu in (0.25, 1, 4)] == pytest.approx([150, 600, 600])


def test_a_larger_database_has_room_for_more_runs_in_its_memory() -> None:
    assert runs_in_memory("B2s", ONE) == pytest.approx(4 * 2**30 / (500 * 28))
    assert runs_in_memory("D2ds_v5", ONE) == pytest.approx(2 * runs_in_memory("B2s", ONE))


def test_thresholds_are_of_the_dearest_usual_request_of_each_service() -> None:
    document = results()
    ours = document["summaries"][1]
    document["summaries"] += [
        {**ours, "scenario": "registry", "clients": 4, "rate": 100.0},
        {**ours, "scenario": "reads", "clients": 4, "rate": 50.0},
        {**ours, "scenario": "artifacts", "clients": 8, "rate": 0},
        {**ours, "scenario": "large", "clients": 1, "rate": 1.0},
        {**ours, "scenario": "reads", "clients": 4, "rate": 1.0, "setup": "stock-postgres"},
    ]
    assert thresholds(document) == pytest.approx({Role.GATEWAY: 4.0, Role.TRACKING: 16.0, Role.REGISTRY: 8.0})


@pytest.mark.parametrize("name", [ProfileName.DEV, ProfileName.STAGING, ProfileName.PROD])
def test_every_usual_load_alone_starts_another_replica_by_the_published_run(name: ProfileName) -> None:
    document = json.loads(page.RESULTS.read_text())
    assert thresholds(document).keys() == set(SERVICES)
    ours = [one for one in document["summaries"] if one["setup"].startswith("ours-2") and one["rate"]]
    assert {one["scenario"] for one in ours} <= {*USUAL, "large"}
    for one in (each for each in ours if each["scenario"] in USUAL):
        used = {Role.GATEWAY: one["gateway_cpu"], USUAL[one["scenario"]]: one["cpu"] - one["gateway_cpu"]}
        for role, processors in used.items():
            size = PROFILES[name].services[role]
            most = min(1.0, size.cpu) * one["rate"] / processors
            assert size.concurrency < most, f"{role}: a replica ends at {most:.0f}/s of {one['scenario']}"
    for role, milliseconds in thresholds(document).items():
        size = PROFILES[name].services[role]
        share = size.concurrency / carried(milliseconds, size.cpu)
        assert 0.6 <= share <= 1.1, f"{role}: {size.concurrency} is {share:.2f} of what a replica carries"


@pytest.mark.parametrize(("runs", "rate"), [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_no_work_is_refused(runs: int, rate: float) -> None:
    with pytest.raises(ValueError, match="expected at least one run"):
        Work(runs=runs, requests_per_second=rate)


def test_the_page_has_a_row_for_each_number_of_runs_and_is_up_to_date() -> None:
    text = page.inserted(page.DOCUMENT.read_text(), results())
    # 1,000 runs: 0.8 ms each, so more than one replica of 600 ms a second, but never fewer than three.
    row = next(line for line in text.splitlines() if line.startswith("| 1,000 |"))
    assert row.startswith("| 1,000 | 3 | 3 | Standard_D2ds_v5 | ")
    assert "abc" in text
    assert page.inserted(text, results()) == text
    assert page.DOCUMENT.read_text() == page.render()
