"""One table of defaults for each kind of environment. Stack files hold only what differs from it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from components.compute.contract import Role, Scale
from components.mlflow.topology import Size


class ComputeKind(enum.StrEnum):
    """The backends of components/compute/."""

    LOCAL = "local"
    CONTAINER_APPS = "container_apps"
    AKS = "aks"


class ProfileName(enum.StrEnum):
    """The rows of the table."""

    LOCAL = "local"
    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Where services run and how big each is, unless the stack's file says otherwise."""

    compute: ComputeKind
    sizes: Mapping[Role, Size]


def _size(cpu: float, memory_mib: int, spool_mib: int, minimum: int, maximum: int) -> Size:
    return Size(cpu=cpu, memory_mib=memory_mib, spool_mib=spool_mib, scale=Scale(minimum=minimum, maximum=maximum))


# cpu and memory come in the steps of Container Apps' consumption plan, 1 core to 2 GiB
# (https://learn.microsoft.com/azure/container-apps/containers#allocations). A service needs about 250 MiB idle.
PROFILES: Mapping[ProfileName, Profile] = {
    ProfileName.LOCAL: Profile(
        compute=ComputeKind.LOCAL,
        sizes={
            Role.GATEWAY: _size(0.25, 512, 0, 1, 1),
            Role.TRACKING: _size(0.5, 1024, 1024, 2, 2),
            Role.REGISTRY: _size(0.5, 1024, 1024, 1, 1),
            Role.ARTIFACTS: _size(0.5, 1024, 10240, 1, 1),
        },
    ),
    ProfileName.DEV: Profile(
        compute=ComputeKind.CONTAINER_APPS,
        sizes={
            Role.GATEWAY: _size(0.25, 512, 0, 0, 1),
            Role.TRACKING: _size(0.5, 1024, 1024, 0, 2),
            Role.REGISTRY: _size(0.5, 1024, 1024, 0, 1),
            Role.ARTIFACTS: _size(0.5, 1024, 2048, 0, 2),
        },
    ),
    ProfileName.STAGING: Profile(
        compute=ComputeKind.CONTAINER_APPS,
        sizes={
            Role.GATEWAY: _size(0.5, 1024, 0, 2, 4),
            Role.TRACKING: _size(1, 2048, 2048, 2, 6),
            Role.REGISTRY: _size(0.5, 1024, 1024, 2, 3),
            Role.ARTIFACTS: _size(1, 2048, 4096, 2, 4),
        },
    ),
    ProfileName.PROD: Profile(
        compute=ComputeKind.CONTAINER_APPS,
        sizes={
            Role.GATEWAY: _size(0.5, 1024, 0, 3, 10),
            Role.TRACKING: _size(1, 2048, 2048, 3, 20),
            Role.REGISTRY: _size(0.5, 1024, 1024, 2, 6),
            Role.ARTIFACTS: _size(1, 2048, 4096, 3, 10),
        },
    ),
}
