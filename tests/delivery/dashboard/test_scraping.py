"""What is remembered of processes that come, count, start again and go."""

from __future__ import annotations

from delivery.dashboard import scraping
from delivery.dashboard.scraping import History, Target, parse
from mlflow_runtime.metrics.snapshot import Totals

TRACKING = Target(service="tracking", replica="tracking", port=1)


def shown(count: int, started: int = 1) -> Totals:
    return parse(
        "# TYPE mlflow_http_requests_total counter\n"
        f'mlflow_http_requests_total{{method="GET",route="/a",status="200"}} {count}\n'
        "# TYPE process_start_time_seconds gauge\n"
        f"process_start_time_seconds {started}\n"
    )


def reported(history: History) -> list[float]:
    return [float(row["n"]) for reading in history.readings() for row in reading.rows["mlflow_http_requests_total"]]


def test_what_a_process_did_before_it_was_seen_is_not_of_now() -> None:
    history = History()
    for number, count in enumerate((1000, 1010, 1010)):
        history.add(number, {TRACKING: shown(count)})
    assert reported(history) == [0, 10, 0]


def test_a_process_that_started_again_counts_from_nothing() -> None:
    history = History()
    for number, (count, started) in enumerate([(1000, 1), (1005, 1), (7, 2), (2000, 3)]):
        history.add(number, {TRACKING: shown(count, started)})
    assert reported(history) == [0, 5, 7, 2000]


def test_one_that_did_not_answer_goes_on_where_it_was() -> None:
    history = History()
    for number, found in enumerate([{TRACKING: shown(10)}, {}, {TRACKING: shown(25)}]):
        history.add(number, found)
    assert reported(history) == [0, 15]


def test_the_last_half_hour_is_kept() -> None:
    history = History()
    for number in range(400):
        history.add(number * scraping.EVERY_SECONDS, {TRACKING: shown(number)})
    times = [reading.at for reading in history.readings()]
    assert times[-1] - times[0] == scraping.KEPT_SECONDS


def test_nobody_who_does_not_answer_stops_the_others() -> None:
    assert scraping.scrape([TRACKING]) == {}
    assert scraping.scrape([]) == {}
