"""Who reaches a stack."""

from __future__ import annotations

import ipaddress

from infra.settings.azure import AccessControl, AzureSettings, Exposure
from infra.settings.problems import Problems

# That of 10.0.0.0/8, the widest private range. In a wider one there are addresses of the internet.
_WIDEST_PREFIX = 8


def public_needs_access_control(problems: Problems, azure: AzureSettings) -> None:
    """Refuse a gateway on the internet that lets everybody in."""
    if azure.exposure is Exposure.PUBLIC and azure.access is AccessControl.NONE:
        problems.note(
            "ingress",
            str(azure.exposure),
            "internal as long as there is no access control (access: none), since anybody on the internet could read "
            "and write all data",
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
    """Refuse ranges with addresses of the internet; together, since two halves are everything too."""
    ranges = azure.network.client_ranges
    joined = ipaddress.collapse_addresses(ipaddress.IPv4Network(each) for each in ranges)
    if wide := [str(each) for each in joined if each.prefixlen < _WIDEST_PREFIX]:
        field = "network.clientRanges"
        allowed = f"ranges of the network and its peers, none wider than /{_WIDEST_PREFIX}, also together"
        problems.note(field, ", ".join(wide), allowed, problems.remove(field))


def has_a_private_registry(problems: Problems, azure: AzureSettings) -> None:
    """Refuse a registry that the internet reaches."""
    if not azure.private_registry:
        problems.note("privateRegistry", "false", "true in prod", problems.remove("privateRegistry"))


def reaches_no_internet(problems: Problems, azure: AzureSettings) -> None:
    """Refuse services that may call any host."""
    if azure.network.internet_outbound:
        field = "network.internetOutbound"
        problems.note(field, "true", "false in prod", problems.remove(field))
