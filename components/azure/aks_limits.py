"""What a cluster may have as its version and as ranges that reach it. Pure."""

from __future__ import annotations

import ipaddress
import re

# osSKU Ubuntu is 24.04 from this minor on ("Use Ubuntu in AKS"); the earlier image is near its end.
_OLDEST_MINOR = 35
_VERSION = re.compile(r"1\.([0-9]{2})")


def check_version(version: str) -> None:
    """Refuse what is no minor of Kubernetes, or one before the oldest that is used here. Raises ValueError."""
    minor = _VERSION.fullmatch(version)
    if minor is None or int(minor[1]) < _OLDEST_MINOR:
        raise ValueError(
            f"kubernetes_version: got {version!r}; expected a minor without a patch, 1.{_OLDEST_MINOR} or later. List "
            "them with `az aks get-versions --location LOCATION`."
        )


def check_range(given: str) -> None:
    """Refuse what is no IPv4 range, or the whole internet, as an authorized range. Raises ValueError."""
    try:
        network = ipaddress.IPv4Network(given)
    except ValueError as error:
        raise ValueError(f"authorized_ranges: {given!r} is no IPv4 range ({error}); write it as 1.2.3.4/32.") from error
    if network.prefixlen == 0:
        raise ValueError(f"authorized_ranges: {given} is the whole internet; name the addresses of who deploys.")
