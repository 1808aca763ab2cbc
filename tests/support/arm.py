"""Checks the inputs of a resource against the strict ARM schemas beside the checkout.

    from tests.support import arm

    @arm.needs_schemas
    def test_bodies(...):
        assert arm.violations("azure-native:storage:StorageAccount", graph.inputs("store-account")) == []

Inputs are the recorder's: camelCase, Outputs and unknowns anywhere (they are skipped at their place). Version parts
of a token (`azure-native:storage/v20240101:StorageAccount`) are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from delivery.azure_types.type_tokens import versionless
from delivery.offline_azure import sdk_types
from delivery.offline_azure.cloud import Check
from tests.support.arm_schemas import bodies

needs_schemas = pytest.mark.skipif(
    not bodies.AVAILABLE, reason="skipped: ../shared/arm-schemas is not beside this checkout"
)


def violations(type_token: str, inputs: Mapping[str, Any]) -> list[str]:
    """Return what ARM would refuse, one line `path: reason` each; empty for a valid body.

    Raises KeyError for a type without a schema, so that an unchecked type is noticed: see `has_schema`.
    """
    return bodies.violations(versionless(type_token), inputs)


def has_schema(type_token: str) -> bool:
    """Return whether the schemas know this type."""
    return versionless(type_token) in bodies.table()


def faults(type_token: str, inputs: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a body by the ARM schema, or else by the SDK's own types."""
    return _by_schema(type_token, inputs) or sdk_types.violations(versionless(type_token), inputs)


def _by_schema(type_token: str, inputs: Mapping[str, Any]) -> list[str]:
    return violations(type_token, inputs) if has_schema(type_token) else []


CHECKS: Final[tuple[Check, ...]] = (_by_schema,) if bodies.AVAILABLE else ()
"""Makes an offline Azure as strict as the schemas: `Azure(state, checks=arm.CHECKS)`. Empty without the schemas."""
