"""Who changed what differs, from Azure Monitor's activity log.

Reader on the resource group, or Monitoring Reader, may read it. A change is in it some minutes later, and for 90 days.
Source: REST reference, "Activity Logs - List".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from components.azure.arm import Arm, ArmError
from delivery.drift.lines import Drift, LastChange, Line
from delivery.preview.text import Code, Phrase

API_VERSION: Final = "2015-04-01"
LOOKED_BACK: Final = timedelta(days=89)
"""Azure refuses a question about more than 90 days."""

MOST_LINES: Final = 50
"""Lines that are asked about, the dangerous ones first: each is a call."""

MOST_PAGES: Final = 5
_PATIENCE_SECONDS: Final = 20
_LONGEST: Final = 200
"""Characters of a caller or an operation."""
_CHANGES: Final = ("/write", "/delete", "/action")


def with_callers(drift: Drift, arm: Arm | None = None, now: datetime | None = None) -> Drift:
    """Return the drift with the last change of each resource. Where the log cannot be read, `unread` says why.

    `arm` is by default a client of this process's Azure, with the login of whoever runs it.
    """
    if not drift.lines:
        return drift
    until = now or datetime.now(UTC)
    try:
        client = arm or Arm(api_version=API_VERSION, patience=_PATIENCE_SECONDS)
        asked = [replace(line, last=_last(client, line, until)) for line in drift.lines[:MOST_LINES]]
    except ArmError as error:
        return replace(drift, unread=str(error).splitlines()[0])
    return replace(drift, lines=[*asked, *drift.lines[MOST_LINES:]])


def last_change(line: Line, unread: str) -> Phrase:
    """Return the words of a line's last change. Who and what are values of others."""
    if line.last is not None:
        return [Code(line.last.caller), f", {line.last.at:%Y-%m-%d %H:%M} UTC, ", Code(line.last.operation)]
    return ["not known"] if unread else [f"not in the activity log of {LOOKED_BACK.days} days"]


def _last(arm: Arm, line: Line, until: datetime) -> LastChange | None:
    identifier = line.step.state.id
    # An id is asked for between quotes.
    if not identifier.startswith("/subscriptions/") or "'" in identifier:
        return None
    found = (one for event in _events(arm, identifier, until) if (one := _change(event)) is not None)
    return max(found, key=lambda one: one.at, default=None)


def _events(arm: Arm, identifier: str, until: datetime) -> Iterator[Mapping[str, Any]]:
    since = until - LOOKED_BACK
    asked = (
        f"eventTimestamp ge '{_time(since)}' and eventTimestamp le '{_time(until)}' and resourceUri eq '{identifier}'"
    )
    subscription = identifier.split("/")[2]
    path = (
        f"/subscriptions/{subscription}/providers/Microsoft.Insights/eventtypes/management/values"
        f"?api-version={API_VERSION}&$filter={quote(asked)}"
    )
    for page in islice(arm.pages(path), MOST_PAGES):
        listed = page.get("value")
        yield from (event for event in (listed if isinstance(listed, list) else ()) if isinstance(event, Mapping))


def _change(event: Mapping[str, Any]) -> LastChange | None:
    """Return a change that was done, None for any other event, and for one that says too little."""
    operation, status = _value(event.get("operationName")), _value(event.get("status"))
    caller, at = event.get("caller"), event.get("eventTimestamp")
    if status != "Succeeded" or not operation.endswith(_CHANGES) or not (isinstance(caller, str) and caller):
        return None
    try:
        when = datetime.fromisoformat(str(at))
    except ValueError:
        return None
    if when.tzinfo is None:
        return None
    return LastChange(caller=caller[:_LONGEST], operation=operation[:_LONGEST], at=when.astimezone(UTC))


def _value(text: object) -> str:
    found = text.get("value") if isinstance(text, Mapping) else None
    return found if isinstance(found, str) else ""


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
