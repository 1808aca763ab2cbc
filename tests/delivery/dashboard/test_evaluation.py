"""What the dashboard makes of readings: rates, shares and quantiles against numbers worked out by hand."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.mlflow.observability import panels
from components.mlflow.observability.panels import PANELS, Panel
from delivery.dashboard import document
from delivery.dashboard.evaluation import Reading, charted, quantile, values
from mlflow_runtime.metrics.snapshot import Rows

BOUNDS = (0.0, 0.1, 0.5, 2.0)
START = 1_767_225_600.0


def reading(rows: Rows, *, at: float = START, service: str = "tracking", replica: str = "tracking") -> Reading:
    return Reading(at=at, service=service, replica=replica, rows=rows)


def test_a_rate_is_of_all_replicas_and_statuses_are_shown_by_class() -> None:
    reported = [
        reading({"mlflow_http_requests_total": [{"status": "200", "n": 30}, {"status": "204", "n": 30}]}),
        reading({"mlflow_http_requests_total": [{"status": "200", "n": 60}]}, replica="tracking-2"),
        reading({"mlflow_http_requests_total": [{"status": "503", "n": 6}]}, service="registry", replica="registry"),
    ]
    assert values(panels.REQUESTS, reported, 60) == {"tracking 2xx": 2, "registry 5xx": 0.1}


def test_a_rate_per_minute_counts_only_what_is_asked_for() -> None:
    rows: Rows = {
        "mlflow_blob_requests_total": [{"status": status, "n": 5} for status in ("200", "404", "403", "error")]
    }
    assert values(panels.BLOB_FAILURES, [reading(rows)], 300) == {"tracking 4xx": 1, "tracking error": 1}


def test_a_total_is_averaged_over_time_and_added_up_over_replicas() -> None:
    reported = [
        reading(
            {"mlflow_spool_bytes": [{"state": "used", "n": used}, {"state": "free", "n": 100 - used}]}, replica=name
        )
        for name, used in (("a", 10), ("a", 30), ("b", 50))
    ]
    assert values(panels.SPOOL, reported, 60) == {"tracking used": 70, "tracking free": 130}


def test_a_share_is_the_fullest_replicas() -> None:
    reported = [
        reading(
            {
                "mlflow_database_connections": [
                    {"database": "tracking", "state": "in_use", "n": used},
                    {"database": "tracking", "state": "idle", "n": 40},
                    {"database": "registry", "state": "in_use", "n": 1},
                ],
                "mlflow_database_connections_limit": [
                    {"database": "tracking", "n": 40},
                    {"database": "registry", "n": 0},
                ],
            },
            replica=replica,
        )
        for replica, used in (("a", 10), ("b", 30), ("b", 20))
    ]
    assert values(panels.CONNECTIONS_USED, reported, 60) == {"tracking tracking": 75}


def test_the_whole_of_a_spool_is_used_and_free_together() -> None:
    rows: Rows = {"mlflow_spool_bytes": [{"state": "used", "n": 30}, {"state": "free", "n": 10}]}
    assert values(panels.SPOOL_USED, [reading(rows)], 60) == {"tracking": 75}


def test_quantiles_are_of_all_replicas_together() -> None:
    reported = [
        reading({"mlflow_http_request_duration_seconds": [{"over": 0.1, "le": 0.5, "n": 10}]}),
        reading({"mlflow_http_request_duration_seconds": [{"over": 0.5, "le": 0.5, "n": 10}]}, replica="tracking-2"),
    ]
    found = values(panels.DURATION, reported, 60)
    assert found == {"tracking p50": 0.5, "tracking p95": 0.5}


@given(st.lists(st.floats(0.001, 3), min_size=1, max_size=80), st.sampled_from([0.05, 0.5, 0.95, 1]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(observed: list[float], at: float) -> None:
    buckets: dict[tuple[float, float], float] = {}
    for value in observed:
        over = max(bound for bound in BOUNDS if bound < value)
        le = min((bound for bound in BOUNDS if bound >= value), default=over)
        buckets[over, le] = buckets.get((over, le), 0) + 1
    true = sorted(observed)[max(1, math.ceil(at * len(observed))) - 1]
    found = quantile(buckets, at)
    over = max(bound for bound in BOUNDS if bound < true)
    assert over <= found <= min((bound for bound in BOUNDS if bound >= true), default=over)


def test_within_a_bucket_observations_count_as_spread_evenly() -> None:
    assert quantile({(0.1, 0.5): 4}, 0.5) == pytest.approx(statistics.mean([0.1, 0.5]))
    assert quantile({(0, 1): 1, (1, 3): 3}, 0.5) == pytest.approx(1 + 2 / 3)


def test_there_is_no_quantile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no bucket has an observation"):
        quantile({}, 0.5)


def test_a_chart_has_a_point_for_each_step_with_a_reading() -> None:
    reported = [reading({"mlflow_runtime_info": [{"n": 1}]}, at=START + second) for second in (0, 5, 14.9, 15, 61)]
    assert charted(panels.REPLICAS, reported, 15) == {"tracking": {START: 1, START + 15: 1, START + 60: 1}}


def test_the_pages_document_leaves_out_the_step_that_has_not_ended() -> None:
    reported = [
        reading({"mlflow_http_requests_total": [{"status": "200", "n": 15}]}, at=START + 5 * n) for n in range(10)
    ]
    found = document.chart(reported, now=START + 46, every=5, kept=1800)
    assert found["times"] == [START, START + 15, START + 30]
    assert found["replicas"] == ["tracking"]
    lines = {panel["name"]: panel["lines"] for panel in found["panels"]}
    assert list(lines) == [panel.name for panel in PANELS]
    assert lines["requests"] == {"tracking 2xx": [3, 3, 3]}
    assert lines["shed"] == {}


def test_of_a_stack_that_went_down_nothing_is_fresh() -> None:
    found = document.chart([reading({"mlflow_runtime_info": [{"n": 1}]})], now=START + 60, every=5, kept=1800)
    assert found["replicas"] == []
    assert [panel["lines"] for panel in found["panels"] if panel["name"] == "replicas"] == [
        {"tracking": [1, None, None, None]}
    ]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_of_nothing_there_is_nothing(panel: Panel) -> None:
    assert values(panel, [], 60) == {}
    assert values(panel, [reading({})], 60) == {}


def test_every_panel_is_shown() -> None:
    declared = [one.name for one in vars(panels).values() if isinstance(one, Panel)]
    assert sorted(declared) == sorted(panel.name for panel in PANELS)


def test_panels_and_alerts_have_names_of_their_own() -> None:
    assert len({panel.name for panel in PANELS}) == len(PANELS)
    assert len({panel.title for panel in PANELS}) == len(PANELS)
    alerts = [panel.alert.name for panel in PANELS if panel.alert]
    assert len(set(alerts)) == len(alerts) == 5
