"""What recreates a resource: the product's own table, against the provider's published one where that is present."""

from __future__ import annotations

from delivery.azure_types import type_tokens
from delivery.offline_azure import addresses, immutable
from tests.support.replacements import needs_table, replacing
from tests.support.stacks import STACKS, graph

# The published table's type of this name is the link of a DNS resolver's forwarding rule set.
DEPARTURES = {"azure-native:privatedns:VirtualNetworkLink"}


def types() -> set[str]:
    """The types of every stack."""
    graphs = [graph(stack) for stack in STACKS]
    tokens = {recorded.type(name) for recorded in graphs for name in recorded.names}
    return {type_tokens.versionless(token) for token in tokens if token.startswith(type_tokens.PACKAGE)}


def difference(type_token: str, own: frozenset[str]) -> set[str]:
    """The inputs, beside names and scope, in one of both tables only."""
    in_address = {*addresses.names(type_token), *addresses.SCOPES}
    return set(own ^ replacing(type_tokens.short(type_token))) - in_address


@needs_table
def test_the_own_table_is_the_published_one() -> None:
    compared = types() - DEPARTURES
    assert len(compared) > 25
    found = {token: difference(token, immutable.replacing(token)) for token in compared}
    assert {token: fields for token, fields in found.items() if fields} == {}


@needs_table
def test_an_input_too_many_or_too_few_is_noticed() -> None:
    token = "azure-native:storage:StorageAccount"
    own = immutable.replacing(token)
    assert difference(token, own | {"kind"}) == {"kind"}
    assert difference(token, own - {"isHnsEnabled"}) == {"isHnsEnabled"}
