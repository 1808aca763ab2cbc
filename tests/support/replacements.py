"""What the real provider recreates a resource for, from the table beside the checkout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

FILE = Path(__file__).resolve().parents[2].parent / "shared" / "azure-native" / "replacements.json"

needs_table = pytest.mark.skipif(
    not FILE.is_file(), reason="skipped: ../shared/azure-native is not beside this checkout"
)

# Types that have moved to another module, or have another name, since the table was made.
_NAMES_IN_TABLE: Final[Mapping[str, str]] = {
    "privatedns:PrivateZone": "network:PrivateZone",
    "privatedns:PrivateRecordSet": "network:PrivateRecordSet",
    "monitor:ActionGroup": "insights:ActionGroup",
    "monitor:DiagnosticSetting": "insights:DiagnosticSetting",
    "monitor:MetricAlert": "insights:MetricAlert",
    "monitor:ScheduledQueryRule": "insights:ScheduledQueryRule",
    "applicationinsights:Workbook": "insights:Workbook",
    "applicationinsights:Component": "insights:Component",
    "dbforpostgresql:AdministratorsMicrosoftEntra": "dbforpostgresql:Administrator",
}


def replacing(resource: str) -> set[str]:
    """Return the inputs, such as `location`, whose change recreates a resource of a type such as `keyvault:Vault`.

    Raises KeyError for a type without a row.
    """
    rows = json.loads(FILE.read_text())
    return set(rows[_NAMES_IN_TABLE.get(resource, resource)]["replace"])
