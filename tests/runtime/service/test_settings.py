"""What a service accepts from its environment, and how it refuses the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_runtime.environment import SettingsError
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service import mlflow_app
from mlflow_runtime.service.settings import read
from tests.support.role_environment import whole

GOOD = {
    **whole("tracking"),
    "MLFLOW_RUNTIME_KEY_VAULT_URL": "https://name.vault.azure.net",
    "MLFLOW_RUNTIME_TRACKING_DATABASE_URL": "postgresql+entra://mlflow-tracking@db.example.com/tracking?sslmode=verify-full",
    "MLFLOW_RUNTIME_REGISTRY_DATABASE_URL": "postgresql+entra://mlflow-tracking@db.example.com/registry?sslmode=verify-full",
    "MLFLOW_RUNTIME_BLOB_CONTAINER_URL": "https://account.blob.core.windows.net/artifacts",
    "MLFLOW_RUNTIME_PUBLIC_HOSTS": "mlflow.example.com, localhost:5500",
}
ARTIFACTS = whole("artifacts")


def refusal(role: ServiceRole, **changes: str) -> str:
    with pytest.raises(SettingsError) as raised:
        read(role, GOOD | changes)
    return str(raised.value)


def test_a_whole_environment_is_read() -> None:
    found = read(ServiceRole.TRACKING, GOOD | {"MLFLOW_RUNTIME_PUBLIC_ORIGINS": "https://portal.example.com"})
    assert (found.host, found.port, found.grace_seconds) == ("127.0.0.1", 5000, 30)
    assert found.public_hosts == ("mlflow.example.com", "localhost:5500")
    assert found.public_origins == ("https://portal.example.com",)
    assert found.databases is not None
    assert (found.databases.tracking.database, found.databases.registry.database) == ("tracking", "registry")


def test_artifacts_needs_no_database_and_no_vault() -> None:
    found = read(ServiceRole.ARTIFACTS, ARTIFACTS)
    assert found.databases is None
    assert found.key_vault_url is None


def test_an_empty_environment_is_refused_with_every_variable_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        read(ServiceRole.TRACKING, {})
    named = {line.split(":")[0] for line in str(raised.value).splitlines()[1:]}
    optional = {"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MLFLOW_RUNTIME_PUBLIC_ORIGINS"}
    assert named == (set(GOOD) - optional) | {"IDENTITY_ENDPOINT and IDENTITY_HEADER"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "0", "'0' must be a whole number from 1 to 65535"),
        ("PORT", "80 80", "must be a whole number"),
        ("MLFLOW_RUNTIME_HOST", "127.0.0.1/8", "must be a host name or an IP address"),
        ("AZURE_CLIENT_ID", "mlflow-tracking", "must be the client id (a GUID)"),
        ("MLFLOW_RUNTIME_KEY_VAULT_URL", "http://name.vault.azure.net", "must be the vault's address"),
        ("MLFLOW_RUNTIME_KEY_VAULT_URL", "https://name.vault.azure.net/secrets/x", "must be the vault's address"),
        ("MLFLOW_RUNTIME_GRACE_SECONDS", "2", "must be a whole number of at least 3"),
        ("MLFLOW_RUNTIME_DRAIN_SECONDS", "28", "must be at most 27 with 30 in MLFLOW_RUNTIME_GRACE_SECONDS"),
        ("MLFLOW_RUNTIME_DATABASE_POOL_SIZE", "0", "must be a whole number of at least 1"),
        ("MLFLOW_RUNTIME_MAX_IN_FLIGHT", "", "is not set; it must be a whole number of at least 1"),
        ("MLFLOW_RUNTIME_METRICS_SECONDS", "0", "must be a whole number of at least 1"),
        ("MLFLOW_RUNTIME_PUBLIC_HOSTS", "*", "Patterns are refused"),
        ("MLFLOW_RUNTIME_PUBLIC_HOSTS", "a.example.com,*.example.com", "Patterns are refused"),
        ("MLFLOW_RUNTIME_PUBLIC_HOSTS", "https://a.example.com", "must be Host header values"),
        (
            "MLFLOW_RUNTIME_PUBLIC_ORIGINS",
            "https://a.example.com,https://A.example.com",
            "must not name anything twice",
        ),
        ("MLFLOW_RUNTIME_PUBLIC_ORIGINS", "*", "Patterns are refused"),
        ("MLFLOW_RUNTIME_PUBLIC_ORIGINS", "https://*.example.com", "Patterns are refused"),
        ("MLFLOW_RUNTIME_PUBLIC_ORIGINS", "a.example.com", "must be web origins"),
        ("MLFLOW_RUNTIME_PUBLIC_ORIGINS", "https://a.example.com/path", "must be web origins"),
        ("MLFLOW_RUNTIME_TRACKING_DATABASE_URL", "postgresql://x@db.example.com/tracking", "uses 'postgresql'"),
        (
            "MLFLOW_RUNTIME_TRACKING_DATABASE_URL",
            "postgresql+entra://x@db.example.com/tracking",
            "must say sslmode=verify-full",
        ),
        (
            "MLFLOW_RUNTIME_TRACKING_DATABASE_URL",
            "postgresql+entra://x@db.example.com/t?sslmode=require",
            "sslmode=verify-full",
        ),
        ("MLFLOW_RUNTIME_TRACKING_DATABASE_URL", "postgresql+entra://db.example.com/tracking", "lacks the role"),
        (
            "MLFLOW_RUNTIME_TRACKING_DATABASE_URL",
            GOOD["MLFLOW_RUNTIME_REGISTRY_DATABASE_URL"],
            "both name 'db.example.com:5432/registry'",
        ),
        (
            "MLFLOW_RUNTIME_TRACKING_DATABASE_URL",
            "postgresql+entra://other@DB.example.com:5432/registry?sslmode=verify-full&connect_timeout=9",
            "both name 'db.example.com:5432/registry'",
        ),
        (
            "MLFLOW_RUNTIME_TRACKING_DATABASE_URL",
            "postgresql+entra://x@127.0.0.1/t?host=db.example.com",
            "says host in its query",
        ),
        (
            "MLFLOW_RUNTIME_TRACKING_DATABASE_URL",
            "postgresql+entra://x@localhost/t?hostaddr=10.0.0.4",
            "says hostaddr in its query",
        ),
        (
            "MLFLOW_RUNTIME_BLOB_CONTAINER_URL",
            "http://account.blob.core.windows.net/artifacts",
            "must be https://ACCOUNT",
        ),
        ("TMPDIR", "/nonexistent/spool", "no folder that this process may write"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: str, expected: str) -> None:
    assert expected in refusal(ServiceRole.TRACKING, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_RUNTIME_TRACKING_DATABASE_URL", "postgresql+entra://role:hunter2@127.0.0.1/tracking"),
        ("MLFLOW_RUNTIME_TRACKING_DATABASE_URL", "postgresql+entra://role@127.0.0.1/tracking?password=hunter2"),
        ("MLFLOW_RUNTIME_TRACKING_DATABASE_URL", "postgresql+psycopg2://role:hunter2@127.0.0.1/tracking"),
        ("MLFLOW_RUNTIME_TRACKING_DATABASE_URL", "hunter2 is no URL"),
        ("MLFLOW_RUNTIME_BLOB_CONTAINER_URL", "https://account.blob.core.windows.net/artifacts?sig=hunter2"),
        ("MLFLOW_RUNTIME_BLOB_CONTAINER_URL", "https://user:hunter2@account.blob.core.windows.net/artifacts"),
    ],
)
def test_what_may_be_secret_is_refused_and_not_repeated(name: str, value: str) -> None:
    message = refusal(ServiceRole.TRACKING, **{name: value})
    assert name in message
    assert "hunter2" not in message


def test_the_header_of_the_identity_is_never_repeated() -> None:
    message = refusal(ServiceRole.TRACKING, IDENTITY_ENDPOINT="")
    assert "IDENTITY_HEADER" in message
    assert GOOD["IDENTITY_HEADER"] not in message


def test_a_workload_identity_will_do() -> None:
    workload = {"AZURE_FEDERATED_TOKEN_FILE": "/var/run/token", "AZURE_TENANT_ID": "t"}
    without = {name: value for name, value in GOOD.items() if not name.startswith("IDENTITY_")}
    assert read(ServiceRole.TRACKING, without | workload).port == 5000


def test_a_spool_folder_that_is_there_is_taken(tmp_path: Path) -> None:
    assert read(ServiceRole.ARTIFACTS, ARTIFACTS | {"TMPDIR": str(tmp_path)}).port == 5000


@pytest.mark.parametrize(
    ("role", "name"),
    [
        (ServiceRole.ARTIFACTS, "MLFLOW_RUNTIME_KEY_VAULT_URL"),
        (ServiceRole.ARTIFACTS, "MLFLOW_RUNTIME_DATABASE_POOL_SIZE"),
        (ServiceRole.ARTIFACTS, "MLFLOW_RUNTIME_MAX_BODY_MIB"),
        (ServiceRole.REGISTRY, "MLFLOW_RUNTIME_CLIENTS_REACH_BLOB"),
    ],
)
def test_a_variable_of_another_role_is_refused(role: ServiceRole, name: str) -> None:
    with pytest.raises(SettingsError, match=f"\n{name}: is not read by this role"):
        read(role, (ARTIFACTS if role is ServiceRole.ARTIFACTS else GOOD) | {name: "1"})


@given(st.text(max_size=40))
def test_no_text_makes_a_pattern_of_hosts(text: str) -> None:
    try:
        hosts = read(ServiceRole.ARTIFACTS, ARTIFACTS | {"MLFLOW_RUNTIME_PUBLIC_HOSTS": text}).public_hosts
    except SettingsError:
        return
    assert hosts
    assert not any(set(host) & set("*?! ,/") for host in hosts)


@pytest.mark.parametrize(
    ("pool", "wanted", "hot", "most"), [(20, 8, 8, 32), (20, 0, 0, 40), (4, 8, 2, 6), (2, 8, 1, 3), (1, 8, 0, 2)]
)
def test_the_hot_path_takes_its_connections_from_mlflows(pool: int, wanted: int, hot: int, most: int) -> None:
    found = read(
        ServiceRole.TRACKING,
        GOOD | {"MLFLOW_RUNTIME_DATABASE_POOL_SIZE": str(pool), "MLFLOW_RUNTIME_HOT_PATH_CONNECTIONS": str(wanted)},
    )
    assert found.databases is not None
    assert (found.databases.hot_path, found.databases.connections) == (hot, most)
    # What the budget of connections counts on, for both databases: kept, and at work.
    kept, at_work = 2 * found.databases.kept + hot, 2 * found.databases.connections + hot
    assert kept <= 2 * pool
    assert at_work <= 4 * pool
    assert mlflow_app.environment(found)["MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"] == str(pool - hot)
