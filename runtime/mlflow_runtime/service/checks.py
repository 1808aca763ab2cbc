"""What `/ready` of a service checks: its own store decides, the others are shown."""

from __future__ import annotations

from typing import Any

from mlflow_runtime.database.revisions import image_revisions
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service import mlflow_app
from mlflow_runtime.service.health import Check
from mlflow_runtime.service.probes import DatabaseProbe, blob_probe
from mlflow_runtime.service.settings import Databases, Settings
from mlflow_runtime.service.stores import Stores, mlflow_openers


def checks_of(found: Settings) -> list[Check]:
    """Return the checks of a service, and begin to open MLflow's stores. MLflow must be loaded."""
    checks = [Check(name="blob", probe=blob_probe, decides=found.role is ServiceRole.ARTIFACTS)]
    if found.databases is not None:
        checks += _database_checks(found.role, found.databases)
    return checks


def _database_checks(role: ServiceRole, databases: Databases) -> list[Check]:
    stores = Stores(mlflow_openers(mlflow_app.database_uri(databases.tracking, role)))
    stores.start()
    revisions = image_revisions()

    def check(store: ServiceRole, url: Any) -> Check:
        probe = DatabaseProbe(url=url, revisions=revisions, opened=lambda: stores.reason(store))
        return Check(name=f"{store}_database", probe=probe, decides=store is role)

    return [
        check(ServiceRole.TRACKING, databases.tracking),
        check(ServiceRole.REGISTRY, databases.registry),
        # The process would not have come this far without them.
        Check(name="secrets", probe=lambda: None, decides=True),
    ]
