"""The environment of the prepare role: what is read, and every problem in one message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_runtime.environment import SettingsError
from mlflow_runtime.prepare.settings import Principal, read
from tests.support.role_environment import IDENTITY, whole

GOOD = {
    **whole("prepare"),
    "MLFLOW_RUNTIME_DATABASE_ADMIN_URL": "postgresql+entra://mlflow-prepare@db.example.org:5432/postgres?sslmode=verify-full",
    "MLFLOW_RUNTIME_TRACKING_PRINCIPAL": "mlflow-tracking:11111111-1111-1111-1111-AAAAAAAAAAAA",
    "MLFLOW_RUNTIME_REGISTRY_PRINCIPAL": "mlflow-registry:22222222-2222-2222-2222-222222222222",
    "MLFLOW_RUNTIME_KEY_VAULT_URL": "https://example.vault.azure.net",
}


def test_a_whole_environment_is_read() -> None:
    settings = read(GOOD)
    assert (settings.tracking_database, settings.registry_database) == ("tracking", "registry")
    assert settings.wait_seconds == 600
    assert settings.tracking == Principal(name="mlflow-tracking", object_id="11111111-1111-1111-1111-aaaaaaaaaaaa")
    assert settings.admin_url.username == "mlflow-prepare"


def test_every_problem_is_in_one_message() -> None:
    with pytest.raises(SettingsError) as failure:
        read({"MLFLOW_RUNTIME_TRACKING_DATABASE": "postgres", "MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS": "soon"})
    named = {line.split(":")[0] for line in str(failure.value).splitlines()[1:]}
    identity = {"AZURE_CLIENT_ID", "IDENTITY_ENDPOINT and IDENTITY_HEADER"}
    assert named == {*GOOD, "MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS"} - {"PORT", *IDENTITY} | identity


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "MLFLOW_RUNTIME_DATABASE_ADMIN_URL",
            "postgresql+psycopg2://r@127.0.0.1/postgres",
            r"uses 'postgresql\+psycopg2'; it must be postgresql\+entra",
        ),
        ("MLFLOW_RUNTIME_DATABASE_ADMIN_URL", "postgresql+entra://r:hunter2@127.0.0.1/postgres", "holds a password"),
        ("MLFLOW_RUNTIME_DATABASE_ADMIN_URL", "postgresql+entra://r@127.0.0.1/tracking", "must be 'postgres'"),
        (
            "MLFLOW_RUNTIME_DATABASE_ADMIN_URL",
            "postgresql+entra://r@db.example.org/postgres?sslmode=require",
            "sslmode=verify-full",
        ),
        (
            "MLFLOW_RUNTIME_DATABASE_ADMIN_URL",
            "postgresql+entra:///postgres",
            "lacks the role, the host or the database",
        ),
        (
            "MLFLOW_RUNTIME_DATABASE_ADMIN_URL",
            "nonsense hunter2",
            r"its value must be postgresql\+entra://ROLE@HOST:PORT/postgres",
        ),
        ("MLFLOW_RUNTIME_TRACKING_DATABASE", "Robert'); --", "must match"),
        ("MLFLOW_RUNTIME_TRACKING_DATABASE", "registry", "both name 'registry'"),
        ("MLFLOW_RUNTIME_TRACKING_PRINCIPAL", "mlflow-tracking", "NAME:OBJECT_ID"),
        ("MLFLOW_RUNTIME_TRACKING_PRINCIPAL", 'a"b:11111111-1111-1111-1111-111111111111', "NAME:OBJECT_ID"),
        (
            "MLFLOW_RUNTIME_TRACKING_PRINCIPAL",
            "mlflow-registry:11111111-1111-1111-1111-111111111111",
            "both name 'mlflow-registry'",
        ),
        ("MLFLOW_RUNTIME_KEY_VAULT_URL", "http://example.vault.azure.net", "https"),
        ("MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS", "0", "from 1 to 3600"),
        ("MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS", "3601", "from 1 to 3600"),
    ],
)
def test_a_bad_value_says_what_is_allowed(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as failure:
        read({**GOOD, name: value})
    assert "hunter2" not in str(failure.value)


def test_a_server_on_this_machine_may_do_without_tls() -> None:
    read({**GOOD, "MLFLOW_RUNTIME_DATABASE_ADMIN_URL": "postgresql+entra://r@127.0.0.1:5433/postgres?sslmode=disable"})


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "MLFLOW_RUNTIME_TRACKING_DATABASE", "MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS"]),
        st.text(max_size=30),
    )
)
def test_any_text_is_refused_or_gives_settings_that_hold_together(values: dict[str, str]) -> None:
    try:
        settings = read({**GOOD, **values})
    except SettingsError:
        return
    assert settings.tracking_database != settings.registry_database
    assert settings.admin_url.password is None
