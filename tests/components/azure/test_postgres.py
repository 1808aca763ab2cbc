"""The database server: what is sent to Azure and in which order, what is refused, what would replace it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from pulumi_azure_native import dbforpostgresql

from components.azure.postgres import (
    PARAMETERS,
    STORAGE_GIB,
    EntraAdministrator,
    HighAvailability,
    MaintenanceWindow,
    Postgres,
    PostgresArgs,
    ServerSize,
    Weekday,
)
from tests.support.recorder import TENANT_ID, UNKNOWN, Graph, record, shared
from tests.support.replacements import needs_table, replacing

REPLACED_BY = {
    "dbforpostgresql:Server": {
        "administratorLogin",
        "availabilityZone",
        "location",
        "network",
        "pointInTimeUTC",
        "resourceGroupName",
        "serverName",
        "sourceServerResourceId",
    },
}
PROTECTED = {"it-server"}
HOST = "psql-mlflow-x7k2.postgres.database.azure.com"
NETWORK = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network"
ADMINISTRATOR = "11111111-2222-3333-4444-555555555555"
TAGS = {"environment": "test"}
WORKSPACE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/w"

DEFAULTS: dict[str, Any] = {"protect": False}
MAX: dict[str, Any] = {
    "protect": True,
    "sku": "Standard_E4ds_v5",
    "version": dbforpostgresql.PostgresMajorVersion.POSTGRES_MAJOR_VERSION_17,
    "storage_gib": 512,
    "auto_grow": False,
    "high_availability": HighAvailability.ZONE_REDUNDANT,
    "zone": "1",
    "standby_zone": "2",
    "backup_days": 35,
    "geo_backup": True,
    "maintenance": MaintenanceWindow(day=Weekday.WEDNESDAY, hour=23, minute=30),
    "parameters": {"log_lock_waits": "off", "work_mem": "16384"},
}
HARDENED: dict[str, Any] = {
    "protect": True,
    "sku": "Standard_D2ds_v5",
    "high_availability": HighAvailability.ZONE_REDUNDANT,
    "backup_days": 35,
    "geo_backup": True,
}
SIZE = {field.name for field in fields(ServerSize)}
SCENARIOS = {"defaults": DEFAULTS, "max": MAX, "hardened": HARDENED}


def args(**given: Any) -> PostgresArgs:
    required = {
        "server_name": "psql-mlflow-x7k2",
        "resource_group_name": "rg",
        "location": "westeurope",
        "tags": TAGS,
        "tenant_id": TENANT_ID,
        "workspace_id": WORKSPACE,
        "subnet_id": f"{NETWORK}/virtualNetworks/net/subnets/database",
        "private_dns_zone_id": f"{NETWORK}/privateDnsZones/mlflow.private.postgres.database.azure.com",
        "administrator": EntraAdministrator(name="mlflow-prepare", object_id=ADMINISTRATOR),
        "protect": False,
    }
    size = ServerSize(**{name: given.pop(name) for name in SIZE & given.keys()})
    return PostgresArgs(**{**required, "size": size, **given})


@shared
def graph_of(given: dict[str, Any], *, preview: bool = False) -> Graph:
    host = {"azure-native:dbforpostgresql:Server": {"fullyQualifiedDomainName": HOST}}
    return record(lambda: Postgres("it", args(**given)), preview=preview, computed=host)


def parameters_of(graph: Graph) -> dict[str, str]:
    names = graph.of_type("azure-native:dbforpostgresql:Configuration")
    return {graph.inputs(name)["configurationName"]: graph.inputs(name)["value"] for name in names}


both = pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
scenarios = pytest.mark.parametrize("given", SCENARIOS.values(), ids=SCENARIOS.keys())


@both
@scenarios
def test_tokens_only_and_inside_the_network(given: dict[str, Any], preview: bool) -> None:
    graph = graph_of(given, preview=preview)
    server = graph.inputs("it-server")
    assert server["authConfig"] == {
        "activeDirectoryAuth": "Enabled",
        "passwordAuth": "Disabled",
        "tenantId": TENANT_ID,
    }
    assert not {"administratorLogin", "administratorLoginPassword"} & set(server)
    assert server["network"]["delegatedSubnetResourceId"].endswith("/subnets/database")
    assert server["network"]["privateDnsZoneArmResourceId"].endswith(".azure.com")
    assert not graph.of_type("azure-native:dbforpostgresql:FirewallRule")
    assert parameters_of(graph)["require_secure_transport"] == "on"


@both
@scenarios
def test_prepare_administers_and_makes_every_database(given: dict[str, Any], preview: bool) -> None:
    graph = graph_of(given, preview=preview)
    administrator = graph.inputs("it-administrator")
    assert (administrator["objectId"], administrator["principalName"]) == (ADMINISTRATOR, "mlflow-prepare")
    assert (administrator["principalType"], administrator["tenantId"]) == ("ServicePrincipal", TENANT_ID)
    # ARM would make them for a role as which nobody can act.
    assert graph.of_type("azure-native:dbforpostgresql:Database") == []


@both
def test_changes_of_the_server_wait_for_each_other(preview: bool) -> None:
    graph = graph_of(MAX, preview=preview)
    parts = [name for name in graph.children("it") if name not in {"it-server", "it-lock", "it-logs"}]
    assert parts[0] == "it-administrator"
    assert len(parts) == 1 + len(PARAMETERS) + 1
    for earlier, later in zip(["it-server", *parts], parts, strict=False):
        assert earlier in graph.dependencies(later)


@both
def test_protected_means_protected_and_locked(preview: bool) -> None:
    graph = graph_of(HARDENED, preview=preview)
    assert {name for name in graph.names if graph.options(name).protect} == PROTECTED
    assert graph.inputs("it-lock")["level"] == "CanNotDelete"
    last = graph.of_type("azure-native:dbforpostgresql:Configuration")[-1]
    assert {"it-server", "it-logs", last} <= graph.dependencies("it-lock")


@both
@scenarios
def test_logs_and_metrics_go_to_the_workspace(given: dict[str, Any], preview: bool) -> None:
    graph = graph_of(given, preview=preview)
    sent = graph.inputs("it-logs")
    assert (sent["workspaceId"], sent["logs"][0]["categoryGroup"]) == (WORKSPACE, "allLogs")
    assert sent["metrics"][0]["category"] == "AllMetrics"
    assert "it-server" in graph.dependencies("it-logs")


def test_a_throwaway_server_has_neither() -> None:
    graph = graph_of(DEFAULTS)
    assert "it-lock" not in graph.names
    assert not [name for name in graph.names if graph.options(name).protect]


def test_parameters_have_their_defaults_again_when_they_leave_the_program() -> None:
    graph = graph_of(MAX)
    names = graph.of_type("azure-native:dbforpostgresql:Configuration")
    assert not any(graph.options(name).retain_on_delete for name in names)
    # With the server there is nothing to set.
    assert {graph.options(name).deleted_with for name in [*names, "it-administrator"]} == {"it-server"}
    assert parameters_of(graph) == {**PARAMETERS, "log_lock_waits": "off", "work_mem": "16384"}


def test_changes_of_schema_and_rights_are_audited_and_no_value_of_a_user_is() -> None:
    parameters = parameters_of(graph_of(DEFAULTS))
    names = list(parameters)
    assert parameters["azure.extensions"] == "pgaudit"
    assert parameters["shared_preload_libraries"].split(",") == ["pg_cron", "pg_stat_statements", "pgaudit"]
    assert parameters["pgaudit.log"] == "ddl,role"
    assert not {"log_statement", "pgaudit.log_parameter", "log_min_duration_statement"} & set(names)
    # Each needs the one before it.
    assert names.index("azure.extensions") < names.index("shared_preload_libraries") < names.index("pgaudit.log")


def test_only_what_azure_changes_by_itself_is_ignored() -> None:
    written_back = {"availabilityZone", "highAvailability.standbyAvailabilityZone", "network.publicNetworkAccess"}
    growing = graph_of({"auto_grow": True}).options("it-server").ignore_changes
    fixed = graph_of({"auto_grow": False}).options("it-server").ignore_changes
    assert set(growing) == {*written_back, "storage.storageSizeGB", "storage.tier", "storage.iops"}
    assert set(fixed) == written_back
    assert "storageSizeGB" in graph_of({}).inputs("it-server")["storage"]


def test_max_says_all_that_was_asked_for() -> None:
    server = graph_of(MAX).inputs("it-server")
    assert server["sku"] == {"name": "Standard_E4ds_v5", "tier": "MemoryOptimized"}
    assert server["version"] == "17"
    assert server["storage"] == {"storageSizeGB": 512, "autoGrow": "Disabled"}
    assert server["backup"] == {"backupRetentionDays": 35, "geoRedundantBackup": "Enabled"}
    assert server["availabilityZone"] == "1"
    assert server["highAvailability"] == {"mode": "ZoneRedundant", "standbyAvailabilityZone": "2"}
    assert server["maintenanceWindow"] == {
        "customWindow": "Enabled",
        "dayOfWeek": 3,
        "startHour": 23,
        "startMinute": 30,
    }


@pytest.mark.parametrize(
    ("sku", "tier"),
    [
        ("Standard_B2s", "Burstable"),
        ("Standard_D2s_v3", "GeneralPurpose"),
        ("Standard_E64ds_v5", "MemoryOptimized"),
    ],
)
def test_the_tier_follows_from_the_sku(sku: str, tier: str) -> None:
    assert graph_of({"sku": sku}).inputs("it-server")["sku"] == {"name": sku, "tier": tier}


def test_the_host_is_known_after_an_up_only() -> None:
    assert graph_of(DEFAULTS).outputs("it")["host"] == HOST
    assert graph_of(DEFAULTS, preview=True).outputs("it")["host"] is UNKNOWN


def test_the_link_of_the_zone_is_waited_for() -> None:
    from pulumi_azure_native import privatedns

    def program() -> None:
        link = privatedns.VirtualNetworkLink("link", private_zone_name="z", resource_group_name="rg")
        Postgres("it", args(after=[link]))

    assert "link" in record(program, preview=True).dependencies("it-server")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"server_name": "Psql"}, "server_name: 'Psql'; .*3 to 63 lower-case"),
        ({"server_name": "psql-"}, "no hyphen first or last"),
        ({"sku": "B1ms"}, "sku: 'B1ms' is no size of a server; .*Standard_D2ds_v5"),
        ({"high_availability": HighAvailability.SAME_ZONE}, "'same-zone' with the burstable Standard_B1ms"),
        ({"storage_gib": 100}, "storage_gib: 100; .*32, 64, 128"),
        ({"backup_days": 6}, "backup_days: 6; .*7 to 35"),
        ({"backup_days": 36}, "backup_days: 36; .*7 to 35"),
        (
            {"version": dbforpostgresql.PostgresMajorVersion.POSTGRES_MAJOR_VERSION_14},
            "version: 14; at least 15",
        ),
        ({"zone": "4"}, "zone: '4'; zones are 1, 2, 3"),
        ({"standby_zone": "2"}, "standby_zone: '2' with high_availability 'none'"),
        ({**MAX, "standby_zone": "1"}, "standby_zone: '1' is the server's own"),
        ({"parameters": {"Work Mem": "1"}}, "'Work Mem'; names have"),
        ({"parameters": {"require_secure_transport": "off"}}, "only on is secure"),
        ({"parameters": {"ssl_min_protocol_version": "TLSv1"}}, "only TLSv1.2 or TLSv1.3"),
        ({"parameters": {"pgbouncer.enabled": "true"}}, "PgBouncer is not used"),
        ({"parameters": {"log_connections": "on"}}, "always on and read-only on Azure"),
    ],
)
def test_it_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"(PostgresArgs|ServerSize).*{message}"):
        args(**given)


@pytest.mark.parametrize("given", [{"hour": 24}, {"hour": -1}, {"minute": 60}])
def test_a_window_refuses_a_time_that_no_clock_shows(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="hour is 0 to 23 and minute 0 to 59"):
        MaintenanceWindow(**given)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)server_name.*zone"):
        args(server_name="", zone="4")
    with pytest.raises(ValueError, match=r"(?s)sku.*storage_gib.*backup_days"):
        ServerSize(sku="", storage_gib=1, backup_days=1)


@pytest.mark.parametrize("size", STORAGE_GIB)
def test_each_size_that_azure_has_is_taken(size: int) -> None:
    assert ServerSize(storage_gib=size).storage_gib == size


def test_stricter_tls_is_taken() -> None:
    assert args(parameters={"ssl_min_protocol_version": "TLSv1.3"}).parameters


@needs_table
@pytest.mark.parametrize("resource", REPLACED_BY)
def test_what_replaces_it_is_known(resource: str) -> None:
    assert replacing(resource) == REPLACED_BY[resource]
