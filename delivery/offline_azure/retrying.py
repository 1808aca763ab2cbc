"""The repeating that the azure-native client does by itself, so that only what goes on reaches the engine.

It is the retry policy of azcore, with one more answer to repeat after: pulumi-azure-native,
provider/pkg/azure/client_azcore.go. There the waits begin at 20 s and Retry-After goes before them; nobody waits here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from delivery.offline_azure.errors import RefusedError

MOST_TRIES: Final = 4
_STATUSES: Final = (408, 429, 500, 502, 503, 504)
_CONFLICTS: Final = ("AnotherOperationInProgress",)
_WAIT_SECONDS: Final = 0.05

T = TypeVar("T")


def repeated(ask: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """What the call gives; after an answer that may pass it is made again, four times in all. Raises RefusedError."""
    for tried in range(1, MOST_TRIES):
        try:
            return ask()
        except RefusedError as refused:
            if refused.status not in _STATUSES and refused.code not in _CONFLICTS:
                raise
        sleep(_WAIT_SECONDS * tried)
    return ask()
