"""How large and how safe a PostgreSQL server is, and what follows from its compute size. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

STORAGE_GIB = (32, 64, 128, 256, 512, 1024, 2048, 4095, 4096, 8192, 16384, 32767)
"""Sizes of a Premium SSD that a server can have. It grows, and never shrinks."""
BACKUP_DAYS = range(7, 36)
"""How many days back Azure can restore a server."""

RESERVED_CONNECTIONS = 15
"""Connections that the service keeps for itself, out of `max_connections`."""

_MOST = 5000
_BY_MEMORY_GIB = ((2, 50), (4, 429), (8, 859), (16, 1718), (32, 3437))
_BURSTABLE_GIB = {"B1ms": 2, "B2s": 4, "B2ms": 8, "B4ms": 16, "B8ms": 32, "B12ms": 48, "B16ms": 64, "B20ms": 80}
_GIB_PER_CORE = {"D": 4, "E": 8}
_CORES = {"D": (2, 4, 8, 16, 32, 48, 64), "E": (2, 4, 8, 16, 20, 32, 48, 64)}
_MORE_CORES = {"s_v3": (), "ds_v4": (), "ds_v5": (96,), "ads_v5": (96,)}
"""By series, in both families: what it has beside the others."""


class Tier(enum.Enum):
    """The families of compute sizes, by the letter in a size's name."""

    BURSTABLE = "B"
    GENERAL_PURPOSE = "D"
    MEMORY_OPTIMIZED = "E"


class HighAvailability(enum.StrEnum):
    """Whether a standby takes over, and from where. Azure goes from one kind of standby to the other only over NONE."""

    NONE = "none"
    SAME_ZONE = "same-zone"
    ZONE_REDUNDANT = "zone-redundant"


@dataclass(frozen=True, kw_only=True)
class ServerSize:
    """The size and the safety of a server.

    `sku` is a compute size such as Standard_B1ms or Standard_D2ds_v5. `storage_gib` is the size at the start.
    `backup_days` is how far back the server can be restored. `geo_backup` keeps copies in the paired region; Azure
    fixes it when the server is created. Raises ValueError with every problem at once.
    """

    sku: str = "Standard_B1ms"
    storage_gib: int = 32
    backup_days: int = 7
    high_availability: HighAvailability = HighAvailability.NONE
    geo_backup: bool = False

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ValueError("\n".join(f"ServerSize.{problem}" for problem in problems))

    @property
    def tier(self) -> Tier:
        """The tier that the sku belongs to; Azure refuses any other beside it."""
        return Tier(self.sku.removeprefix("Standard_")[0])

    def _problems(self) -> Iterator[str]:
        if self.sku not in _MEMORY_GIB:
            yield _no_size(self.sku)
        elif self.high_availability is not HighAvailability.NONE and self.tier is Tier.BURSTABLE:
            yield (
                f"high_availability: {self.high_availability.value!r} with the burstable {self.sku}; Azure has no "
                "standby for burstable sizes. Choose a Standard_D… or Standard_E… sku, or 'none'."
            )
        if self.storage_gib not in STORAGE_GIB:
            yield (
                f"storage_gib: {self.storage_gib}; Azure has the sizes {', '.join(map(str, STORAGE_GIB))}. Choose one."
            )
        if self.backup_days not in BACKUP_DAYS:
            yield (
                f"backup_days: {self.backup_days}; Azure keeps backups for {BACKUP_DAYS[0]} to {BACKUP_DAYS[-1]} days. "
                "Choose in between."
            )


def memory_gib(sku: str) -> int:
    """Return the memory of a compute size. Raises ValueError for an unknown one."""
    if sku not in _MEMORY_GIB:
        raise ValueError(_no_size(sku))
    return _MEMORY_GIB[sku]


def max_connections(sku: str) -> int:
    """How many connections a server of this size takes, the reserved ones among them.

    Azure sets it by the size's memory; a parameter could raise it, at the cost of the memory for queries, and is not
    used here. Raises ValueError for no size of a server.
    """
    memory = memory_gib(sku)
    return next((most for gib, most in _BY_MEMORY_GIB if memory <= gib), _MOST)


def _no_size(sku: str) -> str:
    return (
        f"sku: {sku!r} is no size of a server; there are Standard_B1ms, B2s, B2ms, B4ms to B20ms, and the "
        f"series {', '.join(_MORE_CORES)} of the families D and E. Choose one, such as Standard_D2ds_v5."
    )


def _sizes() -> Iterator[tuple[str, int]]:
    yield from ((f"Standard_{size}", gib) for size, gib in _BURSTABLE_GIB.items())
    for family, cores in _CORES.items():
        for series, more in _MORE_CORES.items():
            for number in (*cores, *more):
                yield f"Standard_{family}{number}{series}", _GIB_PER_CORE[family] * number


_MEMORY_GIB = dict(_sizes())
"""GiB of memory by compute size. Source: Microsoft Learn, "Limits in Azure Database for PostgreSQL flexible server"."""
