"""What a rule of combinations is."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Problem = tuple[str, str]
"""Azure's error code, and the message."""
Rule = Callable[[Mapping[str, Any]], Iterator[Problem]]


def ip_range(value: Any) -> ipaddress.IPv4Network | None:
    """Return an IPv4 address or range, None if the value is neither."""
    try:
        return ipaddress.IPv4Network(str(value))
    except ValueError:
        return None
