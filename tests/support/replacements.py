"""What the real provider replaces a resource for, from the table beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2].parent / "shared" / "azure-native" / "replacements.json"

needs_table = pytest.mark.skipif(
    not FILE.is_file(), reason="skipped: ../shared/azure-native is not beside this checkout"
)


def replacing(resource: str) -> set[str]:
    """The inputs, such as `location`, whose change makes another resource of a type such as `keyvault:Vault`."""
    rows = json.loads(FILE.read_text())
    return set(rows.get("types", rows)[resource]["replace"])
