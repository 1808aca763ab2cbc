"""The tags that every resource carries which takes tags."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from infra.settings.azure import TagSettings
from infra.settings.model import Settings

REQUIRED = ("owner", "cost-center", "data-classification", "environment", "managed-by")
"""The tags without which no Azure resource is made."""


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


def require() -> None:
    """From now on refuse every Azure resource that takes tags and lacks a required one, before it is registered."""

    def refuse(args: pulumi.ResourceTransformationArgs) -> None:
        # A resource class sets every property that its type has, if only to None. One that is looked up is not made.
        if not args.type_.startswith("azure-native:") or "tags" not in args.props or args.opts.id is not None:
            return
        given = args.props["tags"]
        if missing := [tag for tag in REQUIRED if not (isinstance(given, Mapping) and given.get(tag))]:
            raise pulumi.RunError(
                f"{args.name} ({args.type_}): the tags {', '.join(missing)} are missing; every Azure resource carries "
                f"{', '.join(REQUIRED)}; hand it the tags of infra/tags.py."
            )

    pulumi.runtime.register_stack_transformation(refuse)
