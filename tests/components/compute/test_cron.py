"""Schedules of five fields, in UTC: when they come next, and which are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.compute.cron import Schedule


def after(expression: str, moment: str) -> str:
    found = Schedule.parse(expression).after(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert found.tzinfo is UTC
    return found.replace(tzinfo=None).isoformat(sep=" ", timespec="minutes")


@pytest.mark.parametrize(
    ("expression", "moment", "expected"),
    [
        ("* * * * *", "2026-03-01 10:15:59", "2026-03-01 10:16"),
        ("30 2 * * *", "2026-03-01 02:29:00", "2026-03-01 02:30"),
        ("30 2 * * *", "2026-03-01 02:30:00", "2026-03-02 02:30"),
        ("*/20 * * * *", "2026-03-01 10:40:00", "2026-03-01 11:00"),
        ("5,35 8-17/3 * * *", "2026-03-01 11:35:00", "2026-03-01 14:05"),
        ("0 0 1 * *", "2026-12-02 00:00:00", "2027-01-01 00:00"),
        ("0 0 29 2 *", "2026-03-01 00:00:00", "2028-02-29 00:00"),
        ("0 0 29 2 *", "2096-03-01 00:00:00", "2104-02-29 00:00"),
        ("0 6 * * 1-5", "2026-03-06 06:00:00", "2026-03-09 06:00"),  # from a Friday to Monday
        ("0 6 * * 0", "2026-03-02 00:00:00", "2026-03-08 06:00"),
    ],
)
def test_the_next_time(expression: str, moment: str, expected: str) -> None:
    assert after(expression, moment) == expected


@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
)
def test_a_daily_schedule_comes_within_a_day_and_no_minute_earlier_would_do(
    minute: int, hour: int, moment: datetime
) -> None:
    found = Schedule.parse(f"{minute} {hour} * * *").after(moment)
    assert timedelta(0) < found - moment <= timedelta(days=1)
    assert (found.hour, found.minute, found.second, found.microsecond) == (hour, minute, 0, 0)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "has 0 fields"),
        ("0 0 0 * * *", "has 6 fields"),
        ("@daily", "has 1 fields"),
        ("60 * * * *", "minute: got '60'; expected .* 0 to 59"),
        ("* 24 * * *", "hour: got '24'"),
        ("* * 0 * *", "day of the month: got '0'"),
        ("* * * 13 *", "month: got '13'"),
        ("* * * * 7", "day of the week: got '7'"),
        ("* * * * MON", "day of the week: got 'MON'"),
        ("5-1 * * * *", "minute: got '5-1'"),
        ("*/0 * * * *", "minute: got '\\*/0'"),
        ("5/2 * * * *", "minute: got '5/2'"),
        ("1, * * * *", "minute: got ''"),
        ("-1 * * * *", "minute: got '-1'"),
        ("0 0 1 * 1", "of the month and of the week"),
        ("0 0 30 2 *", "never comes"),
    ],
)
def test_refused(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule.parse(expression)
