"""Where a browser's request comes from, by the headers that a page cannot set (Fetch Metadata, W3C). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SITE: Final = "sec-fetch-site"
MODE: Final = "sec-fetch-mode"


def is_own_page(headers: Mapping[str, str]) -> bool:
    """Return whether a request was sent by a page of this very origin."""
    return headers.get(SITE) == "same-origin"


def opens_a_page(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a person opens an address, by a link of whatever site, a bookmark or the keyboard."""
    return method in ("GET", "HEAD") and headers.get(MODE) == "navigate"
