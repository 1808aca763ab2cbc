"""Spares the program the SDK's work on aliases that no engine of today asks for."""

from __future__ import annotations

from pulumi import resource


def spare_alias_urns() -> None:
    """Work out no URNs of aliases from here on: half of the program's time. Call it before resources are made.

    azure-native gives each resource an alias for each of its API versions, up to 30, and `pulumi.Resource` works out
    the URN of each. Only an engine that takes no alias specifications reads them; Pulumi.yaml requires a later one,
    which gets the specifications as before.
    """
    resource.collapse_alias_to_urn = _no_urn  # type: ignore[assignment, attr-defined]


def _no_urn(*_: object) -> None:
    """Stand in for `collapse_alias_to_urn` of the SDK."""
