"""The names of what a stack consists of, from its settings alone."""

from __future__ import annotations

from components.compute.contract import Role
from components.mlflow.topology import identity_name

# Azure: 3 to 63 lower-case letters, digits and single hyphens
# (https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata).
ARTIFACT_CONTAINER = "mlflow"

ROLES_WITH_IDENTITY = (Role.GATEWAY, Role.TRACKING, Role.REGISTRY, Role.ARTIFACTS, Role.PREPARE)


def identity_names() -> dict[Role, str]:
    """One managed identity per role; its name is its database role's too."""
    return {role: identity_name(role) for role in ROLES_WITH_IDENTITY}
