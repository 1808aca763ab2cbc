"""The alerts that Azure Monitor has fired, as the management API lists them.

Sources: azure-rest-api-specs, Microsoft.AlertsManagement, Alerts_GetAll of 2019-05-05-preview (scope, filters, pages of
at most 250 and a `nextLink`; a time range of its own lies within 30 days, and excludes a named one). The code of a
refusal is of this module's own.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from delivery.azure_types import type_tokens
from delivery.offline_azure.errors import RefusedError

PATH: Final = "/providers/microsoft.alertsmanagement/alerts"
"""What follows a scope, in lower case."""

_VERSIONS: Final = ("2019-03-01-preview", "2019-05-05-preview")
_RULES: Final = (type_tokens.METRIC_ALERT, type_tokens.QUERY_RULE)
_NAMED_RANGES: Final = {"1h": 1, "1d": 24, "7d": 168, "30d": 720}
_KEPT: Final = timedelta(days=30)
_PAGE: Final = 25
_LARGEST_PAGE: Final = 250
_SEVERITY: Final = re.compile(r"Sev[0-4]")

Query = Mapping[str, str]


def fired(rule: Mapping[str, Any], at: datetime, severity: str) -> dict[str, Any]:
    """Return the alert of a rule, as Azure lists it. Raises ValueError for what fires no alert."""
    if rule["type"] not in _RULES or not _SEVERITY.fullmatch(severity):
        raise ValueError(f"{rule['id']}, {severity}: expected a rule of Azure Monitor, and Sev0 to Sev4")
    scope, group = "/".join(rule["id"].split("/")[:5]), rule["id"].split("/")[4]
    target = next(iter(rule["inputs"].get("scopes") or ()), scope)
    essentials = {
        "severity": severity,
        "signalType": "Metric" if rule["type"] == type_tokens.METRIC_ALERT else "Log",
        "alertState": "New",
        "monitorCondition": "Resolved",
        "targetResource": target,
        "targetResourceGroup": group,
        "alertRule": rule["id"],
        "startDateTime": at.isoformat(),
    }
    name = rule["id"].rsplit("/", 1)[-1]
    identifier = f"{scope}/providers/Microsoft.AlertsManagement/alerts/{uuid.uuid4()}"
    kind = "Microsoft.AlertsManagement/alerts"
    return {"id": identifier, "type": kind, "name": name, "properties": {"essentials": essentials}}


def listed(every: Sequence[Mapping[str, Any]], scope: str, query: Query, now: datetime) -> tuple[list[Any], int | None]:
    """Return a page of a scope's alerts, the newest first, and where the next one begins. Raises RefusedError."""
    since, until = _range(query, now)
    size = _number(query, "pageCount", _PAGE)
    if not 1 <= size <= _LARGEST_PAGE:
        raise _bad(f"pageCount {size}; expected 1 to {_LARGEST_PAGE}")
    found = [one for one in every if one["id"].lower().startswith(f"{scope.lower()}/")]
    found = [one for one in found if since <= _start(one) <= until]
    found.sort(key=_start, reverse=True)
    begin = _number(query, "$skiptoken", 0)
    rest = begin + size
    return found[begin:rest], rest if rest < len(found) else None


def _range(query: Query, now: datetime) -> tuple[datetime, datetime]:
    if query.get("api-version") not in _VERSIONS:
        raise _bad(f"api-version {query.get('api-version')}; expected one of {', '.join(_VERSIONS)}")
    named, own = query.get("timeRange"), query.get("customTimeRange")
    if named and own:
        raise _bad("timeRange and customTimeRange; expected one of them")
    if own is None:
        hours = _NAMED_RANGES.get(named or "1d")
        if hours is None:
            raise _bad(f"timeRange {named}; expected one of {', '.join(_NAMED_RANGES)}")
        return now - timedelta(hours=hours), now
    try:
        since, until = (datetime.fromisoformat(text) for text in own.split("/"))
        within = now - _KEPT - timedelta(minutes=1) <= since < until
    except (ValueError, TypeError):
        within = False
    if not within:
        raise _bad(f"customTimeRange {own}; expected START/END within 30 days")
    return since, until


def _start(alert: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(alert["properties"]["essentials"]["startDateTime"])


def _number(query: Query, name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise _bad(f"{name} {text}; expected a whole number")
    return int(text)


def _bad(what: str) -> RefusedError:
    return RefusedError(400, "BadRequest", f"The request is invalid: got {what}.")
