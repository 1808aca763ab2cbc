"""Azure Monitor's activity log of a resource, answered from the offline Azure's own log of calls.

Sources: REST reference, "Activity Logs - List" (the filter's patterns, EventData); Microsoft Learn, "Azure activity
log": events are kept for 90 days, and a question that begins earlier is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from delivery.offline_azure.addresses import arm_type
from delivery.offline_azure.errors import RefusedError

PATH: Final = re.compile(
    r"/subscriptions/[^/]+/providers/microsoft\.insights/eventtypes/management/values", re.IGNORECASE
)
API_VERSION: Final = "2015-04-01"
KEPT: Final = timedelta(days=90)

# Of the patterns that Azure takes, the one for a resource.
_FILTER: Final = re.compile(
    r"eventTimestamp ge '(?P<since>[^']+)' and eventTimestamp le '(?P<until>[^']+)' and resourceUri eq '(?P<of>[^']+)'"
)
_VERBS: Final = {"create": "write", "update": "write", "change": "write", "delete": "delete"}


def answer(calls: Sequence[Mapping[str, Any]], query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Return the events of a resource, the newest first. Raises RefusedError."""
    if query["api-version"] != API_VERSION:
        message = f"The api-version '{query['api-version']}' is invalid; supported: '{API_VERSION}'."
        raise RefusedError(400, "InvalidApiVersionParameter", message)
    asked = _FILTER.fullmatch(query.get("$filter", ""))
    if asked is None:
        raise _bad(f"The filter {query.get('$filter')!r} is not one of the supported patterns.")
    since, until = _time(asked["since"]), _time(asked["until"])
    if since >= until or since < now - KEPT:
        raise _bad(f"The start time must be before the end time, and at most {KEPT.days} days ago.")
    events = [
        event
        for call in calls
        if call["id"].lower() == asked["of"].lower() and since <= _time(call["at"]) <= until
        for event in _events(call)
    ]
    return {"value": events[::-1]}


def _events(call: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the start and the end of a call that changes something."""
    if call["operation"] not in _VERBS:
        return
    operation = f"{arm_type(call['id'])}/{_VERBS[call['operation']]}"
    for status in ("Started", "Failed" if "refused" in call else "Succeeded"):
        yield {
            "caller": call["caller"],
            "eventTimestamp": call["at"],
            "operationName": {"value": operation, "localizedValue": operation},
            "resourceId": call["id"],
            "status": {"value": status, "localizedValue": status},
            "category": {"value": "Administrative", "localizedValue": "Administrative"},
        }


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _bad(f"{text!r} is no time.") from None
    if found.tzinfo is None:
        raise _bad(f"{text!r} has no time zone.")
    return found


def _bad(message: str) -> RefusedError:
    return RefusedError(400, "BadRequest", message)
