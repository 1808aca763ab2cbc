"""The retries of the azure-native client, so that the engine sees only errors that last.

It is the retry policy of azcore, with one more error to retry: pulumi-azure-native,
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
    """Return the result of a call; retry it after a passing error, four times in all. Raises RefusedError."""
    for tried in range(1, MOST_TRIES):
        try:
            return ask()
        except RefusedError as refused:
            if refused.status not in _STATUSES and refused.code not in _CONFLICTS:
                raise
        sleep(_WAIT_SECONDS * tried)
    return ask()
