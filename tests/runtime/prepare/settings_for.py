"""Settings of a prepare run against the test server, whose roles log in without a password or a token."""

from __future__ import annotations

from sqlalchemy import URL

from mlflow_runtime.prepare.settings import Principal, Settings
from tests.support.servers import VAULT_URL

TRACKING = Principal(name="mlflow-tracking", object_id="11111111-1111-1111-1111-111111111111")
REGISTRY = Principal(name="mlflow-registry", object_id="22222222-2222-2222-2222-222222222222")


def settings_for(port: int, tracking: str, registry: str, wait_seconds: float = 60) -> Settings:
    return Settings(
        admin_url=URL.create("postgresql+psycopg2", "mlflow-prepare", None, "127.0.0.1", port, "postgres"),
        tracking_database=tracking,
        registry_database=registry,
        tracking=TRACKING,
        registry=REGISTRY,
        key_vault_url=VAULT_URL,
        wait_seconds=wait_seconds,
    )
