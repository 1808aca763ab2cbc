"""How long something may take, and what of that is left."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Runs from its making on. `limit` in seconds."""

    limit: float
    began: float = field(default_factory=time.monotonic)

    @property
    def passed(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self.began

    def allows(self, seconds: float) -> bool:
        """Whether so many more seconds end before the limit."""
        return self.passed + seconds <= self.limit


def minutes(seconds: float) -> str:
    """Seconds as a reader takes them in, rounded up."""
    found = max(1, math.ceil(seconds / 60))
    return f"{found} minute{'s' if found > 1 else ''}"
