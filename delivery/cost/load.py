"""How busy a stack is in a month: what its resources alone do not say."""

from __future__ import annotations

import math
from dataclasses import dataclass

from delivery.cost.prices import HOURS_PER_MONTH


@dataclass(frozen=True, kw_only=True)
class Load:
    """One month.

    - `active_hours`: in which the services are at work, 0 to 730; in the others they are at their fewest replicas.
    - `scale`: how far between fewest and most replicas they are while at work, 0 to 1, and never below one replica.
    - `requests`: from outside, in millions.
    - `log_gb` into each Log Analytics workspace besides the lines of requests and metrics, `blob_gb` stored in each
      storage account, `private_gb` through each private endpoint, `outbound_gb` through each NAT gateway.
    - `vault_operations` on each Key Vault; `job_runs` of each job, of `job_minutes` each.

    A number outside its range is a ValueError.
    """

    active_hours: float = 0
    scale: float = 0
    requests: float = 0
    log_gb: float = 0
    blob_gb: float = 0
    private_gb: float = 0
    outbound_gb: float = 0
    vault_operations: float = 0
    job_runs: float = 0
    job_minutes: float = 2

    def __post_init__(self) -> None:
        highest = {"active_hours": HOURS_PER_MONTH, "scale": 1}
        for name, value in vars(self).items():
            if not (math.isfinite(value) and 0 <= value <= highest.get(name, value)):
                allowed = f"0 to {highest[name]:g}" if name in highest else "0 or more"
                raise ValueError(f"{name}: {value:g}; allowed: {allowed}. Give a number in that range.")


# Nobody is there: what the stack costs for being there, with the little that Azure's own services log.
IDLE = Load(log_gb=1)

# A small team on working days, eight hours on 22 of them.
WORKING = Load(
    active_hours=176,
    scale=0.25,
    requests=1,
    log_gb=5,
    blob_gb=100,
    private_gb=100,
    outbound_gb=5,
    vault_operations=10_000,
    job_runs=20,
)
