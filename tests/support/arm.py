"""Checks the recorded inputs of a resource against the strict ARM schemas beside the checkout.

    from tests.azure import arm

    @arm.needs_schemas
    def test_bodies(...):
        assert arm.violations("azure-native:storage:StorageAccount", graph.inputs("store-account")) == []

Inputs are the recorder's: camelCase, Outputs and unknowns anywhere (they are skipped at their place). Version parts
of a token (`azure-native:storage/v20240101:StorageAccount`) are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from delivery.offline_azure import bodies

needs_schemas = pytest.mark.skipif(
    not bodies.AVAILABLE, reason="skipped: ../shared/arm-schemas is not beside this checkout"
)


def violations(type_token: str, inputs: Mapping[str, Any]) -> list[str]:
    """What ARM would refuse, one line `path: reason` each; empty when the body is valid.

    Raises KeyError for a type without a schema, so that an unchecked type is noticed: see `has_schema`.
    """
    return bodies.violations(_plain(type_token), inputs)


def has_schema(type_token: str) -> bool:
    """Whether the schemas know this type."""
    return _plain(type_token) in bodies.table()


def _plain(type_token: str) -> str:
    package, module, name = type_token.split(":")
    return f"{package}:{module.split('/')[0]}:{name}"
