"""What would replace a resource that holds something is known, and a protected stack has the engine refuse it."""

from __future__ import annotations

import pytest

from tests.support.replacements import needs_table, replacing
from tests.support.stacks import graph, waived

# The inputs whose change makes the provider replace a resource, where its loss is a loss: of data, of what other people
# rely on, or of who has which rights.
REPLACED_FOR = {
    "containerregistry:Registry": {"location", "registryName"},
    "dbforpostgresql:Server": {
        "administratorLogin",
        "availabilityZone",
        "location",
        "network",
        "pointInTimeUTC",
        "serverName",
        "sourceServerResourceId",
    },
    "keyvault:Vault": {"vaultName"},
    "network:PublicIPAddress": {"location", "publicIPAddressVersion", "publicIPPrefix", "publicIpAddressName", "sku"},
    "storage:BlobContainer": {"accountName", "containerName"},
    "storage:StorageAccount": {"accountName", "isHnsEnabled", "location"},
}


@needs_table
@pytest.mark.parametrize("kind", REPLACED_FOR)
def test_what_replaces_it_is_known(kind: str) -> None:
    # A move to another resource group is a replacement of everything, the group itself included.
    assert replacing(kind) - {"resourceGroupName"} == REPLACED_FOR[kind]


@pytest.mark.parametrize("stack", ["staging", "prod"])
@pytest.mark.parametrize("kind", REPLACED_FOR)
def test_outside_dev_the_engine_refuses_to_replace_it(stack: str, kind: str) -> None:
    recorded = graph(stack)
    names = recorded.of_type(f"azure-native:{kind}")
    assert names
    assert [name for name in names if not recorded.options(name).protect] == []


def test_what_azure_moves_by_itself_replaces_no_server() -> None:
    recorded = graph("prod")
    ignored = recorded.options("postgres-server").ignore_changes
    # A failover swaps zones; a server grows by itself.
    assert {"availabilityZone", "highAvailability.standbyAvailabilityZone", "storage.storageSizeGB"} <= set(ignored)
    assert "network" not in ignored
    assert "location" not in ignored


def test_protection_is_taken_off_by_one_setting_alone() -> None:
    recorded = graph("prod", protect="false", waivers=waived("prod-protected"))
    assert [name for name in recorded.names if recorded.options(name).protect] == []
    assert recorded.of_type("azure-native:authorization:ManagementLockByScope") == []
    # Azure never takes this one back, so taking protection off leaves it alone.
    assert recorded.inputs("vault-vault")["properties"]["enablePurgeProtection"] is True


def test_what_azure_adds_to_a_network_by_itself_is_no_change() -> None:
    recorded = graph("prod")
    assert recorded.options("network-outbound-address").ignore_changes == ("natGateway",)
    assert recorded.inputs("network-postgres")["serviceEndpoints"] == [{"service": "Microsoft.Storage"}]
    assert recorded.inputs("endpoint-blob-endpoint")["customDnsConfigs"] == []


def test_another_place_recreates_the_environment_which_azure_does_not_move() -> None:
    options = graph("prod").options("apps-environment")
    assert options.replace_on_changes == ("vnetConfiguration",)
    # Its name is given: the other one takes it over.
    assert options.delete_before_replace
