"""What Azure answers to a budget: its start, its version, its notifications.

Sources: REST reference, "Budgets - Create Or Update" (start, notifications, eTag); Azure/bicep issue 7149 ("Start date
of budgets cannot be updated"); MicrosoftDocs/azure-docs issue 34023 (an update without the version that is there).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from delivery.azure_types.type_tokens import BUDGET
from delivery.offline_azure import computed_outputs
from delivery.offline_azure.errors import RefusedError

_MOST_NOTIFICATIONS: Final = 5
_MONTHS_AHEAD: Final = 12
_YEARS: Final = 10
_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)(T00:00:00Z)?\Z")


def refusal(
    type_token: str, inputs: Mapping[str, Any], old: Mapping[str, Any] | None, now: datetime
) -> RefusedError | None:
    """Return why Azure refuses a budget; `old` is the resource that is there, None at its creation."""
    if type_token != BUDGET:
        return None
    if len(inputs.get("notifications") or {}) > _MOST_NOTIFICATIONS:
        return _bad(f"A budget has at most {_MOST_NOTIFICATIONS} notifications.")
    for name, notification in (inputs.get("notifications") or {}).items():
        if not notification.get("contactEmails") and not notification.get("contactGroups"):
            return _bad(f"The notification '{name}' has neither a contact email nor a contact group.")
    if old is None:
        return _start(inputs, now)
    if _period(inputs)[0] != _period(old["inputs"])[0]:
        return _bad("Start date of budgets cannot be updated. Please delete and create a new budget.")
    if inputs.get("eTag") != old["inputs"]["eTag"]:
        return _bad(
            "There are changes made to Budget. Please get the latest budget to avoid overwrite: "
            f"got eTag {inputs.get('eTag')!r}."
        )
    return None


def written_back(type_token: str, identifier: str, inputs: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Return the inputs as Azure answers with them: whole times, an end, the version of the budget."""
    if type_token != BUDGET:
        return dict(inputs)
    start, end = _period(inputs)
    return {
        **inputs,
        "timePeriod": {"startDate": start, "endDate": end},
        "eTag": f'"{computed_outputs.guid(identifier, str(version))[:16]}"',
    }


def _start(inputs: Mapping[str, Any], now: datetime) -> RefusedError | None:
    given = str((inputs.get("timePeriod") or {}).get("startDate"))
    found = _DATE.match(given)
    if found is None or found[3] != "01":
        return _bad(f"The start date '{given}' must be the first of a month.")
    months = (int(found[1]) - now.year) * _MONTHS_AHEAD + int(found[2]) - now.month
    if months < 0:
        return _bad(f"The start date '{given}' is in the past, outside of the current time grain period.")
    if months > _MONTHS_AHEAD:
        return _bad(f"The start date '{given}' is more than twelve months in the future.")
    return None


def _period(inputs: Mapping[str, Any]) -> tuple[str, str]:
    period = inputs.get("timePeriod") or {}
    start = str(period.get("startDate"))[:10]
    year, rest = int(start[:4]) + _YEARS, start[4:]
    return f"{start}T00:00:00Z", f"{str(period.get('endDate') or f'{year}{rest}')[:10]}T00:00:00Z"


def _bad(message: str) -> RefusedError:
    return RefusedError(400, "400", message)


def utc_now() -> datetime:
    return datetime.now(UTC)
