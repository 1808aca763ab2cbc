"""PostgreSQL: a flexible server with Entra sign-in only, inside the virtual network."""

from __future__ import annotations

import re

import pulumi
from pulumi_azure_native import authorization, dbforpostgresql

from components.azure import diagnostics
from components.azure.arm_databases import OlderDatabases
from components.azure.lock import lock
from components.azure.postgres_args import (
    PARAMETERS,
    EntraAdministrator,
    MaintenanceWindow,
    PostgresArgs,
    Weekday,
)
from components.azure.postgres_size import STORAGE_GIB, HighAvailability, ServerSize
from components.azure.retry import retry_on

__all__ = [
    "PARAMETERS",
    "STORAGE_GIB",
    "EntraAdministrator",
    "HighAvailability",
    "MaintenanceWindow",
    "Postgres",
    "PostgresArgs",
    "ServerSize",
    "Weekday",
]

_MODES = {
    HighAvailability.NONE: dbforpostgresql.PostgreSqlFlexibleServerHighAvailabilityMode.DISABLED,
    HighAvailability.SAME_ZONE: dbforpostgresql.PostgreSqlFlexibleServerHighAvailabilityMode.SAME_ZONE,
    HighAvailability.ZONE_REDUNDANT: dbforpostgresql.PostgreSqlFlexibleServerHighAvailabilityMode.ZONE_REDUNDANT,
}
_ENABLED = {True: "Enabled", False: "Disabled"}
# What a server answers in its first minutes, though it is made and "Ready" (Azure/azure-postgresql issue 127).
_NOT_ACCESSIBLE = "AadAuthOperationCannotBePerformedWhenServerIsNotAccessible"


class Postgres(pulumi.ComponentResource):
    """A PostgreSQL server that takes Entra tokens and no password, and has no public address.

    The Entra administrator (the identity of the prepare job), server parameters with their reasons in `PARAMETERS`,
    backups, and a standby where asked for. It refuses passwords, public access and firewall rules. It makes no
    database, no role and no schema, prepare does: a database that ARM makes on such a server belongs to a role as which
    nobody can act. A database that an earlier version made so is kept (`OlderDatabases`).

    PgBouncer is refused. Microsoft documents Entra sign-in through it, yet sign-ins were seen to fail for tokens that
    are longer than its packets (pgbouncer issue 874), and whether it holds can only be shown on Azure. It would also
    ignore or refuse the `options` in which sessions of probes and of the hot path bring their statement_timeout, and
    pooling by transaction breaks the session-level advisory lock that keeps two migrations apart. Burstable sizes have
    none, so dev would differ from prod. The services pool by themselves: replicas x pool has to stay below the SKU's
    max_connections less 15.

    Changing the name, the location, the network or the zone makes another server, without the data: `protect` has the
    engine refuse that. A deleted server's name stays taken for a while: use names with a suffix of the stack.

        postgres = Postgres("database", PostgresArgs(
            server_name="psql-shop-prod-x7k2", resource_group_name=group.name, location="westeurope", tags=tags,
            tenant_id=tenant_id, subnet_id=subnet.id, private_dns_zone_id=zone.id, protect=True, after=[zone_link],
            administrator=EntraAdministrator(name="id-shop-admin", object_id=admin.principal_id),
            size=ServerSize(
                sku="Standard_D2ds_v5", high_availability=HighAvailability.ZONE_REDUNDANT, backup_days=35
            ),
            workspace_id=monitoring.workspace_id,
        ))

    Sources: Microsoft Learn, Azure Database for PostgreSQL: "High availability", "Backup and restore", "Premium SSD",
    "Compute options", "PgBouncer", "Limits", "Networking with private access", "Server parameters".
    """

    id: pulumi.Output[str]
    host: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        older = OlderDatabases()
        reading = pulumi.ResourceOptions(state_migrations=[older.read])
        super().__init__("mlflow:azure:Postgres", name, {}, pulumi.ResourceOptions.merge(opts, reading))
        older.retain(self)
        server = self._server(name, args)
        last = self._contents(name, args, server)
        logs = diagnostics.send(f"{name}-logs", target_id=server.id, workspace_id=args.workspace_id, parent=self)
        if args.protect:
            lock(f"{name}-lock", scope=server.id, parent=self, over=[*last, logs])
        self.id = server.id
        self.host = server.fully_qualified_domain_name
        self.name = server.name
        self.register_outputs({"id": self.id, "host": self.host, "name": self.name})

    def _server(self, name: str, args: PostgresArgs) -> dbforpostgresql.Server:
        return dbforpostgresql.Server(
            f"{name}-server",
            server_name=args.server_name,
            resource_group_name=args.resource_group_name,
            location=args.location,
            tags=args.tags,
            version=args.version,
            sku=dbforpostgresql.SkuArgs(name=args.size.sku, tier=args.tier),
            auth_config=dbforpostgresql.AuthConfigArgs(
                active_directory_auth=dbforpostgresql.MicrosoftEntraAuth.ENABLED,
                password_auth=dbforpostgresql.PasswordBasedAuth.DISABLED,
                tenant_id=args.tenant_id,
            ),
            # Public access is not said to be disabled here: Azure takes that only from servers outside of a network.
            network=dbforpostgresql.NetworkArgs(
                delegated_subnet_resource_id=args.subnet_id, private_dns_zone_arm_resource_id=args.private_dns_zone_id
            ),
            storage=dbforpostgresql.StorageArgs(
                storage_size_gb=args.size.storage_gib,
                auto_grow=dbforpostgresql.StorageAutoGrow(_ENABLED[args.auto_grow]),
            ),
            backup=dbforpostgresql.BackupArgs(
                backup_retention_days=args.size.backup_days,
                geo_redundant_backup=dbforpostgresql.GeographicallyRedundantBackup(_ENABLED[args.size.geo_backup]),
            ),
            availability_zone=args.zone,
            high_availability=dbforpostgresql.HighAvailabilityArgs(
                mode=_MODES[args.size.high_availability], standby_availability_zone=args.standby_zone
            ),
            maintenance_window=dbforpostgresql.MaintenanceWindowArgs(
                custom_window="Enabled",
                day_of_week=args.maintenance.day.value,
                start_hour=args.maintenance.hour,
                start_minute=args.maintenance.minute,
            ),
            opts=pulumi.ResourceOptions(
                parent=self, protect=args.protect, ignore_changes=_ignored(args), depends_on=list(args.after)
            ),
        )

    def _contents(self, name: str, args: PostgresArgs, server: dbforpostgresql.Server) -> list[pulumi.Resource]:
        """Make what is under the server, one after the other, and give the last.

        Azure works at one change of a server at a time and answers all others with 409 ServerIsBusy.
        """
        made: list[pulumi.Resource] = [
            dbforpostgresql.AdministratorsMicrosoftEntra(
                f"{name}-administrator",
                object_id=args.administrator.object_id,
                principal_name=args.administrator.name,
                # Not dbforpostgresql.PrincipalType: that is of another type, whose spelling Azure does not answer in.
                principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
                tenant_id=args.tenant_id,
                server_name=server.name,
                resource_group_name=args.resource_group_name,
                # First of all, as nothing can be done in the server without it. It goes with the server.
                opts=pulumi.ResourceOptions(
                    parent=self, deleted_with=server, hooks=retry_on(f"{name}-administrator-retry", _NOT_ACCESSIBLE)
                ),
            )
        ]
        for parameter, value in {**PARAMETERS, **args.parameters}.items():
            made = [
                dbforpostgresql.Configuration(
                    f"{name}-parameter-{re.sub('[._]', '-', parameter)}",
                    configuration_name=parameter,
                    value=value,
                    source="user-override",
                    server_name=server.name,
                    resource_group_name=args.resource_group_name,
                    # The provider deletes a parameter by setting Azure's default again, which is wanted when it leaves
                    # the program. With the server there is nothing to set.
                    opts=pulumi.ResourceOptions(parent=self, deleted_with=server, depends_on=made),
                )
            ]
        return made


def _ignored(args: PostgresArgs) -> list[str]:
    ignored = [
        # A failover swaps the zones of server and standby; bringing them back would replace the server.
        "availabilityZone",
        "highAvailability.standbyAvailabilityZone",
        # Azure writes it back, and takes it from no server inside a network. The rest of `network` is not ignored.
        "network.publicNetworkAccess",
    ]
    if args.auto_grow:
        # The server has grown by itself: the size in the program would shrink it, which Azure refuses. Tier and
        # operations a second go with the size.
        ignored += ["storage.storageSizeGB", "storage.tier", "storage.iops"]
    return ignored
