"""The roles of MLflow's services and jobs, which all run from one image."""

from __future__ import annotations

import enum


class Role(enum.StrEnum):
    """What a container of the image does: the argument of `mlflow-runtime ROLE`. Each role has a managed identity."""

    GATEWAY = "gateway"
    TRACKING = "tracking"
    REGISTRY = "registry"
    ARTIFACTS = "artifacts"
    PREPARE = "prepare"


BACKENDS = (Role.TRACKING, Role.REGISTRY, Role.ARTIFACTS)
"""The services that answer clients' calls, in the order in which they are brought up. The gateway comes after them."""

SERVICES = (Role.GATEWAY, *BACKENDS)
"""The roles that listen on a port and keep running. All others run to their end."""

WITH_DATABASES = (Role.TRACKING, Role.REGISTRY)
"""The services that open both of MLflow's databases, and read secrets from the Key Vault."""
