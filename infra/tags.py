"""The tags that every resource carries which takes tags."""

from __future__ import annotations

from infra.settings import Settings


def tags(settings: Settings) -> dict[str, str]:
    """Who made it, for which environment, by which stack."""
    return {"managed-by": "pulumi", "application": "mlflow", "environment": settings.profile, "stack": settings.stack}
