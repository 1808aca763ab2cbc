"""A database server as the platform makes it; with `older` also the databases that an earlier version made by ARM."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_azure_native import dbforpostgresql, managedidentity, network, operationalinsights, privatedns, resources

from components.azure.postgres import EntraAdministrator, Postgres, PostgresArgs

config = pulumi.Config()
protect = config.get_bool("protect") or False
placed: dict[str, Any] = {
    "resource_group_name": resources.ResourceGroup("group", resource_group_name="rg-server", location="westeurope").name
}
identity = managedidentity.UserAssignedIdentity(
    "identity", **placed, resource_name_="id-prepare", location="westeurope"
)
workspace = operationalinsights.Workspace("workspace", **placed, workspace_name="log-server", location="westeurope")
vnet = network.VirtualNetwork(
    "vnet",
    **placed,
    virtual_network_name="vnet",
    location="westeurope",
    address_space=network.AddressSpaceArgs(address_prefixes=["10.0.0.0/24"]),
)
subnet = network.Subnet(
    "subnet",
    **placed,
    virtual_network_name=vnet.name,
    subnet_name="postgres",
    address_prefix="10.0.0.0/28",
    delegations=[
        network.DelegationArgs(name="postgres", service_name="Microsoft.DBforPostgreSQL/flexibleServers"),
    ],
)
zone = privatedns.PrivateZone(
    "zone", **placed, private_zone_name="server.private.postgres.database.azure.com", location="global"
)
postgres = Postgres(
    "postgres",
    PostgresArgs(
        **placed,
        server_name="psql-server-7f3a",
        location="westeurope",
        tags={},
        tenant_id="11111111-1111-1111-1111-111111111111",
        subnet_id=subnet.id,
        private_dns_zone_id=zone.id,
        administrator=EntraAdministrator(name=identity.name, object_id=identity.principal_id),
        workspace_id=workspace.id,
        protect=protect,
    ),
)
if config.get_bool("older"):
    for database in ("tracking", "registry"):
        dbforpostgresql.Database(
            f"postgres-database-{database}",
            **placed,
            server_name=postgres.name,
            database_name=database,
            charset="UTF8",
            collation="en_US.utf8",
            opts=pulumi.ResourceOptions(parent=postgres, protect=protect),
        )
