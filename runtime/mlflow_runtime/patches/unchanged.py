"""Whether something of MLflow is still what a patch was written for. A patch of what has changed stays off."""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
from typing import Any

_log = logging.getLogger(__name__)


def is_unchanged(target: Any, digest: str) -> bool:
    """Return whether a function's or class's source has this digest; log that its patch stays off if not."""
    found = digest_of(target)
    if found == digest:
        return True
    _log.warning(
        "MLflow's %s.%s is not the one that its patch was written for (%s, not %s); it stays as it is",
        target.__module__,
        target.__qualname__,
        found,
        digest,
    )
    return False


@functools.cache
def digest_of(target: Any) -> str:
    """Return the first 16 digits of the SHA-256 of its source."""
    return hashlib.sha256(inspect.getsource(target).encode()).hexdigest()[:16]
