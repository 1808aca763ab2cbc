"""The size of a cluster's node pools, checked before anything is made. Pure.

Sources, Microsoft Learn: "Use ephemeral OS disks with AKS" (the disk fits the size's temporary storage), "Dadsv5
series" (sizes and temporary storage), "Create node pools for a cluster in AKS" (names), "Use system node
pools in AKS" (system pools: at least two cores, no B series).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
MOST_NODES = 100


@dataclass(frozen=True, kw_only=True)
class _Size:
    """Cores, memory, and temporary storage, on which the OS disk is."""

    cores: int
    memory_gib: int
    temporary_gib: int


# Of B series the processor's credits run out under load.
_SIZES: Mapping[str, _Size] = {
    "Standard_D2ads_v5": _Size(cores=2, memory_gib=8, temporary_gib=75),
    "Standard_D4ads_v5": _Size(cores=4, memory_gib=16, temporary_gib=150),
    "Standard_D8ads_v5": _Size(cores=8, memory_gib=32, temporary_gib=300),
    "Standard_D16ads_v5": _Size(cores=16, memory_gib=64, temporary_gib=600),
}
# What the kubelet, the system and the pods that are on every node leave: Microsoft Learn, "Node resource reservations
# in AKS", and a gigabyte for those pods.
_LEFT_OF_MEMORY = 0.6
# Images and emptyDir share the OS disk: as large as AKS makes one by itself, where that fits.
_WANTED_GIB = 128
_LEFT_GIB = 11


@dataclass(frozen=True, kw_only=True)
class NodePool:
    """Between `minimum` and `maximum` nodes of one size; the cluster's autoscaler chooses. All of it is plain.

    `name`: 1 to 12 lower-case letters and digits. `zones` spread the nodes, none where the region has no zones. A pool
    that is there gets other limits in place, and neither another `vm_size` nor other zones. Raises ValueError.
    """

    name: str
    vm_size: str = "Standard_D2ads_v5"
    minimum: int = 2
    maximum: int = 3
    zones: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"NodePool.name: got {self.name!r}; expected 1 to 12 lower-case letters and digits, a letter first. "
                "Choose another."
            )
        if self.vm_size not in _SIZES:
            raise ValueError(
                f"NodePool.vm_size: got {self.vm_size!r}; expected one of {', '.join(_SIZES)}, which hold "
                "their OS disk themselves. Choose one of them."
            )
        if not 1 <= self.minimum <= self.maximum <= MOST_NODES:
            raise ValueError(
                f"NodePool.minimum, maximum: got {self.minimum} and {self.maximum}; expected 1 to {MOST_NODES}, the "
                "minimum no larger than the maximum. Correct them."
            )

    @property
    def os_disk_gib(self) -> int:
        """The size of the OS disk, which is on the node itself and goes with it."""
        return min(_WANTED_GIB, _SIZES[self.vm_size].temporary_gib - _LEFT_GIB)

    def check_pod(self, *, cpu: float, memory_mib: int) -> None:
        """Refuse a pod that no node of the pool ever has room for. Raises ValueError."""
        size = _SIZES[self.vm_size]
        memory = int(size.memory_gib * 1024 * _LEFT_OF_MEMORY)
        if cpu > size.cores or memory_mib > memory:
            raise ValueError(
                f"expected at most {size.cores} cores and {memory} MiB, which a {self.vm_size} has room for"
            )


def node_sizes() -> Sequence[str]:
    """Return the sizes that a node may have, the smallest first."""
    return tuple(_SIZES)
