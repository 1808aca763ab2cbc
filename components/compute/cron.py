"""Cron schedules: five fields in UTC, read the same by every backend. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import product

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 6))
# Between two leap days around a year like 2100.
_LONGEST_WAIT_DAYS = 8 * 366
# Any time: whether a schedule ever comes does not depend on where the search begins.
_SOME_DAY = datetime(2024, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a job runs. Make one with `Schedule.parse`; Sunday is day 0 of the week."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def parse(cls, expression: str) -> Schedule:
        """Return the schedule of an expression such as `30 2 * * *`.

        A field is `*`, a number, a range `1-5`, any of them with a step `/2`, or a list of these. Raise ValueError for
        anything else, for both kinds of day at once, which platforms read differently, and for a time that never comes.
        """
        fields = expression.split()
        if len(fields) != len(_FIELDS):
            raise ValueError(f"{expression!r} has {len(fields)} fields; expected 5, as in '30 2 * * *'")
        if fields[2] != "*" and fields[4] != "*":
            raise ValueError(f"{expression!r} limits the day of the month and of the week; expected * for one of them")
        minutes, hours, days, months, weekdays = (
            _values(field, *limits) for field, limits in zip(fields, _FIELDS, strict=True)
        )
        schedule = cls(minutes=minutes, hours=hours, days=days, months=months, weekdays=weekdays)
        if schedule._next(_SOME_DAY) is None:
            raise ValueError(f"{expression!r} never comes; expected a day that its month has")
        return schedule

    def after(self, moment: datetime) -> datetime:
        """Return the first time after `moment`, which is in UTC, at a whole minute."""
        found = self._next(moment)
        assert found is not None  # noqa: S101 - `parse` refuses a schedule that never comes
        return found

    def _next(self, moment: datetime) -> datetime | None:
        today = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        times = [time(hour, minute) for hour, minute in product(sorted(self.hours), sorted(self.minutes))]
        for day in (today + timedelta(days=number) for number in range(_LONGEST_WAIT_DAYS)):
            if day.day in self.days and day.month in self.months and day.isoweekday() % 7 in self.weekdays:
                for at in times:
                    found = day.replace(hour=at.hour, minute=at.minute)
                    if found > moment:
                        return found
        return None


def _values(field: str, name: str, lowest: int, highest: int) -> frozenset[int]:
    return frozenset(value for part in field.split(",") for value in _part(part, name, lowest, highest))


def _part(part: str, name: str, lowest: int, highest: int) -> range:
    span, stepped, step = part.partition("/")
    first, ranged, last = span.partition("-")
    try:
        start, end = (lowest, highest) if span == "*" else (int(first), int(last if ranged else first))
        every = int(step) if stepped else 1
        valid = lowest <= start <= end <= highest and every > 0 and (span == "*" or bool(ranged) or not stepped)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"{name}: got {part!r}; expected *, or numbers from {lowest} to {highest}, as in 1,5 or 0-4/2")
    return range(start, end + 1, every)
