"""What is well formed as a host, as a host with its port and as an https URL, and which hosts are this machine."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)


def is_host(text: str) -> bool:
    """A host name, or an IP address: without brackets and without the scope of an IPv6 one."""
    return _ip(text) is not None or (len(text) <= 253 and _HOST_NAME.fullmatch(text) is not None)


def is_host_and_port(text: str) -> bool:
    """`HOST:PORT`, an IPv6 address in brackets."""
    host, separator, port = text.rpartition(":")
    return bool(separator) and _is_bracketed_host(host) and _is_port(port)


def is_host_header(text: str) -> bool:
    """A value of the header Host: a host, an IPv6 address in brackets, with or without a port."""
    return _is_bracketed_host(text) or is_host_and_port(text)


def is_loopback(host: str) -> bool:
    """Whether a host, an IPv6 address without brackets, is this machine by its name or its address alone."""
    address = _ip(host)
    return host == "localhost" if address is None else address.is_loopback


def split_https(text: str) -> SplitResult | None:
    """The parts of an https URL with a well-formed host, or None; one with credentials, query or fragment is None."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    plain = parts.scheme == "https" and is_host_header(parts.netloc) and not parts.query and not parts.fragment
    return parts if plain else None


def _is_bracketed_host(text: str) -> bool:
    if text.startswith("[") and text.endswith("]"):
        return ":" in text and _ip(text[1:-1]) is not None
    return ":" not in text and is_host(text)


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 1 <= int(text) <= 65535


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None
