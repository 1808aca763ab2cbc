"""Who reaches a stack."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING

from infra.settings.access import AccessMode
from infra.settings.azure import AzureSettings, Exposure
from infra.settings.problems import Problems

if TYPE_CHECKING:
    from infra.settings.model import Settings

# Those of a /12. Hardly an organization has more of its own, and half of the internet can be said in 127 ranges.
_MOST_OF_THE_INTERNET = 2**20
# RFC 1918 and RFC 6598: addresses that no packet from the internet has.
_PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))


def public_needs_access_control(problems: Problems, settings: Settings) -> None:
    """Refuse a gateway on the internet that lets everybody in."""
    azure = settings.azure
    if azure is not None and azure.exposure is Exposure.PUBLIC and settings.access.mode is AccessMode.NONE:
        problems.note(
            "ingress",
            str(azure.exposure),
            "internal as long as there is no access control (access.mode none), since anybody on the internet could "
            "read and write all data",
            problems.set("ingress", Exposure.INTERNAL),
        )


def public_clients_reach_no_blob(problems: Problems, azure: AzureSettings) -> None:
    """Refuse uploads to an account that the clients cannot reach."""
    if azure.exposure is Exposure.PUBLIC and azure.storage.clients_reach_blob:
        field = "storage.clientsReachBlob"
        problems.note(
            field,
            "true",
            "false with a public gateway, whose clients do not reach the account's private endpoint",
            f"set ingress to internal, or run `{problems.set(field, 'false')}`",
        )


def clients_are_few(problems: Problems, azure: AzureSettings) -> None:
    """Refuse ranges with much of the internet in them, all together, since two halves are everything too."""
    network = azure.network
    for field, given in {
        "network.clientRanges": network.client_ranges,
        "network.callerRanges": network.caller_ranges,
    }.items():
        internet = _of_internet(given)
        if internet > _MOST_OF_THE_INTERNET:
            allowed = f"at most {_MOST_OF_THE_INTERNET:,}, as in a /12, in all ranges together"
            problems.note(field, f"{internet:,} addresses of the internet", allowed, problems.remove(field))


def _of_internet(ranges: Sequence[str]) -> int:
    """Return how many addresses of the internet are in ranges."""
    joined = [*ipaddress.collapse_addresses(map(ipaddress.IPv4Network, ranges))]
    private = sum(
        min(each.num_addresses, own.num_addresses) for each in joined for own in _PRIVATE if each.overlaps(own)
    )
    return sum(each.num_addresses for each in joined) - private


def has_a_private_registry(problems: Problems, azure: AzureSettings) -> None:
    """Refuse a registry that the internet reaches."""
    if not azure.private_registry:
        problems.note("privateRegistry", "false", "true in prod", problems.remove("privateRegistry"))


def reaches_no_internet(problems: Problems, azure: AzureSettings) -> None:
    """Refuse services that may call any host."""
    if azure.network.internet_outbound:
        field = "network.internetOutbound"
        problems.note(field, "true", "false in prod", problems.remove(field))
