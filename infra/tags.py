"""The tags that every resource carries which takes tags."""

from __future__ import annotations

from infra.settings.model import Settings

REQUIRED = ("owner", "cost-center", "data-classification", "environment", "managed-by")
"""The tags without which no Azure resource is made."""


def tags(settings: Settings) -> dict[str, str]:
    """Who made it, for which environment, by which stack; on Azure also whose it is and what it may hold."""
    made = {
        "managed-by": "pulumi",
        "application": "mlflow",
        "environment": settings.profile.value,
        "stack": settings.stack,
    }
    if settings.azure is None:
        return made
    given = settings.azure.tags
    return {
        **given.extra,
        **made,
        "owner": given.owner,
        "cost-center": given.cost_center,
        "data-classification": given.data_classification.value,
    }
