"""A private endpoint and its name."""

from __future__ import annotations

import pytest

from components.azure.private_endpoint import PrivateEndpoint, PrivateEndpointArgs, PrivateLinkGroup
from tests.support.recorder import SUBSCRIPTION_ID, Graph, record

GROUP = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg/providers"
SUBNET = f"{GROUP}/Microsoft.Network/virtualNetworks/v/subnets/private-endpoints"
TARGET = f"{GROUP}/Microsoft.Storage/storageAccounts/a"
ZONE = f"{GROUP}/Microsoft.Network/privateDnsZones/privatelink.blob.core.windows.net"


def build(group: PrivateLinkGroup, preview: bool) -> Graph:
    args = PrivateEndpointArgs(
        location="westeurope",
        resource_group_name="rg",
        tags={"environment": "test"},
        endpoint_name="pe-store",
        subnet_id=SUBNET,
        target_id=TARGET,
        group=group,
        zone_id=ZONE,
    )
    return record(lambda: PrivateEndpoint("store", args), preview=preview)


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("group", PrivateLinkGroup)
def test_it_reaches_the_group_of_the_target_and_names_it(group: PrivateLinkGroup, preview: bool) -> None:
    graph = build(group, preview)
    endpoint = graph.inputs("store-endpoint")
    assert endpoint["subnet"]["id"] == SUBNET
    assert endpoint["privateLinkServiceConnections"] == [
        {"name": group.value, "privateLinkServiceId": TARGET, "groupIds": [group.value]}
    ]
    assert "manualPrivateLinkServiceConnections" not in endpoint
    assert graph.inputs("store-names")["privateDnsZoneConfigs"] == [{"name": group.value, "privateDnsZoneId": ZONE}]
    assert graph.dependencies("store-names") == {"store-endpoint"}
