"""The alerts that Azure Monitor fired in a stack's resource group.

Source: Azure REST API, Alerts Management, "Alerts - Get All" of 2019-05-05-preview: alerts are kept for 30 days, and
one that was resolved meanwhile is listed too. Reading them takes a reader's right on the group.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from components.azure.arm import Arm, ArmError

API_VERSION: Final = "2019-05-05-preview"
PATIENCE_SECONDS: Final = 20.0

_KEPT: Final = timedelta(days=30)
_PAGE: Final = 250
_MOST_PAGES: Final = 40


def fired(arm: Arm, subscription: str, group: str, since: datetime, now: datetime) -> list[str]:
    """Return a line for each alert that fired in a resource group since a time, at most 30 days ago.

    Raises ArmError, also where there are more than can be read.
    """
    start = max(since, now - _KEPT)
    query = {
        "api-version": API_VERSION,
        "customTimeRange": f"{start.isoformat(timespec='seconds')}/{now.isoformat(timespec='seconds')}",
        "pageCount": str(_PAGE),
    }
    scope = f"/subscriptions/{subscription}/resourceGroups/{group}"
    found: list[str] = []
    pages = arm.pages(f"{scope}/providers/Microsoft.AlertsManagement/alerts?{urlencode(query)}")
    for number, page in enumerate(pages):
        if number == _MOST_PAGES:
            raise ArmError(f"more than {len(found)} alerts fired; the list was not read to its end")
        if not isinstance(page.get("value"), list):
            raise ArmError("the answer to the list of alerts has no `value`")
        found += [_line(one) for one in page["value"]]
    return found


def _line(alert: Any) -> str:
    essentials = alert["properties"]["essentials"]
    severity = str(essentials.get("severity", "")).replace("Sev", "severity ")
    return f"{alert['name']}, {severity}, {essentials['startDateTime'][:16]}"
