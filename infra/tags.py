"""The tags that every resource carries which takes tags."""

from __future__ import annotations

from infra.settings.azure import TagSettings
from infra.settings.model import Settings


def tags(settings: Settings) -> dict[str, str]:
    """Who made it, for which environment, by which stack; on Azure also whose it is and what it may hold."""
    return written(settings.stack, settings.profile.value, settings.azure.tags if settings.azure else None)


def written(stack: str, environment: str, given: TagSettings | None) -> dict[str, str]:
    """The tags of a stack in an environment; `given` has what its file says."""
    made = {"managed-by": "pulumi", "application": "mlflow", "environment": environment, "stack": stack}
    if given is None:
        return made
    return {
        **given.extra,
        **made,
        "owner": given.owner,
        "cost-center": given.cost_center,
        "data-classification": given.data_classification.value,
    }
