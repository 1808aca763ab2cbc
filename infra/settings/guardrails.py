"""What is possible and still refused. It runs inside the program, so no flag of a command gets around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from components.azure import postgres_size
from components.azure.postgres_size import HighAvailability
from components.compute.container_apps import rendering
from components.compute.contract import Role
from components.mlflow.connections import Budget, budget
from components.mlflow.topology import Size
from infra.settings.azure import AccessControl, AzureSettings, Exposure
from infra.settings.profiles import ComputeKind, ProfileName
from infra.settings.reader import Reader

_BURSTABLE = "Standard_B"
# Two, so that the loss of one, or of its zone, is no outage.
_LEAST_REPLICAS_IN_PROD = 2
# max_connections of the local stack's server, and PostgreSQL's default of superuser_reserved_connections.
LOCAL_CONNECTIONS = 400
LOCAL_RESERVED = 3
_ALWAYS_UP = (Role.GATEWAY, Role.TRACKING)


def check(
    reader: Reader,
    *,
    profile: ProfileName,
    compute: ComputeKind,
    sizes: Mapping[Role, Size],
    azure: AzureSettings | None,
    database_pool: int,
) -> None:
    """Note every rule that a configuration breaks."""
    needed = budget(sizes, database_pool)
    if compute is ComputeKind.CONTAINER_APPS:
        _sizes_of_container_apps(reader, sizes)
    if azure is None:
        _connections_suffice(reader, needed, "the local PostgreSQL", LOCAL_CONNECTIONS, LOCAL_RESERVED)
        return
    _public_needs_access_control(reader, azure)
    _public_clients_reach_no_blob(reader, azure)
    _protection_is_whole(reader, azure)
    _connections_of_azure(reader, needed, azure.database.sku)
    if profile is ProfileName.PROD:
        _prod_survives_a_loss(reader, sizes, azure)


def require_tags(required: Sequence[str]) -> None:
    """From now on refuse every Azure resource that takes tags and lacks one of these, before it is registered."""

    def refuse(args: pulumi.ResourceTransformationArgs) -> None:
        # A resource class sets every property that its type has, if only to None.
        if not args.type_.startswith("azure-native:") or "tags" not in args.props:
            return
        given = args.props["tags"]
        if missing := [tag for tag in required if not (isinstance(given, Mapping) and given.get(tag))]:
            raise pulumi.RunError(
                f"{args.name} ({args.type_}): the tags {', '.join(missing)} are missing; every Azure resource carries "
                f"{', '.join(required)}; hand it the tags of infra/tags.py."
            )

    pulumi.runtime.register_stack_transformation(refuse)


def _public_needs_access_control(reader: Reader, azure: AzureSettings) -> None:
    if azure.exposure is Exposure.PUBLIC and azure.access is AccessControl.NONE:
        reader.problem(
            "ingress",
            str(azure.exposure),
            "internal as long as access is none, since anybody on the internet could read and write all data",
            "set ingress to internal",
        )


def _public_clients_reach_no_blob(reader: Reader, azure: AzureSettings) -> None:
    if azure.exposure is Exposure.PUBLIC and azure.storage.clients_reach_blob:
        reader.problem(
            "storage.clientsReachBlob",
            "true",
            "false with a public gateway, whose clients do not reach the account's private endpoint",
            "set it to false, or ingress to internal",
        )


def _protection_is_whole(reader: Reader, azure: AzureSettings) -> None:
    if azure.protect and not azure.purge_protection:
        reader.problem(
            "purgeProtection",
            "false",
            "true with protect, as a deleted vault could be purged with all secrets",
            "set purgeProtection to true, which Azure never takes back, or protect to false",
        )


def _prod_survives_a_loss(reader: Reader, sizes: Mapping[Role, Size], azure: AzureSettings) -> None:
    for role in _ALWAYS_UP:
        replicas = sizes[role].scale.minimum
        if replicas < _LEAST_REPLICAS_IN_PROD:
            field = f"{role}.minReplicas"
            reader.problem(field, replicas, f"at least {_LEAST_REPLICAS_IN_PROD} in prod", reader.remedy(field))
    database = azure.database
    if database.sku.startswith(_BURSTABLE) or database.high_availability is HighAvailability.NONE:
        reader.problem(
            "database",
            f"{database.sku} with highAvailability {database.high_availability}",
            "a Standard_D... or Standard_E... sku with a standby in prod",
            reader.remedy("database"),
        )


def _connections_of_azure(reader: Reader, needed: Budget, sku: str) -> None:
    try:
        most = postgres_size.max_connections(sku)
    except ValueError:
        return  # the reading of `database` has refused the sku
    _connections_suffice(reader, needed, sku, most, postgres_size.RESERVED_CONNECTIONS)


def _connections_suffice(reader: Reader, needed: Budget, server: str, most: int, reserved: int) -> None:
    """One server holds both databases."""
    available = most - reserved
    if needed.total <= available:
        return
    field, largest = "limits.databasePool", needed.largest_pool(available)
    reader.problem(
        field,
        needed.pool,
        f"{'none with so many replicas' if largest is None else f'at most {largest}'}, as the services may open "
        f"{needed.arithmetic()}, and {server} takes {most} - {reserved} reserved = {available}",
        "lower maxReplicas (local: minReplicas) of tracking or registry, or choose a larger database.sku"
        if largest is None
        else reader.remedy(field),
    )


def _sizes_of_container_apps(reader: Reader, sizes: Mapping[Role, Size]) -> None:
    for role, size in sizes.items():
        reader.built(
            str(role),
            f"{size.cpu:g} cores, {size.memory_mib} MiB, spool {size.spool_mib} MiB",
            rendering.check_size,
            role,
            cpu=size.cpu,
            memory_mib=size.memory_mib,
            spool_mib=size.spool_mib,
        )
