"""MLflow's own ASGI application, set up as `mlflow server` 3.17.2 sets it up in its worker processes.

Sources: `server` in mlflow/cli/__init__.py and `_run_server` in mlflow/server/__init__.py, which pass everything by
environment variables that the application reads when it is imported.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import URL

from mlflow_runtime.loading import BEFORE_MLFLOW
from mlflow_runtime.middleware.access import workspaces
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service.settings import Settings

# No address of a server is kept in rows, so a platform can move; every service resolves it to the container itself.
ARTIFACT_ROOT: Final = "mlflow-artifacts:/"

_FIXED: Final = {
    **BEFORE_MLFLOW,
    "_MLFLOW_SERVER_ARTIFACT_ROOT": ARTIFACT_ROOT,
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "_MLFLOW_SGI_NAME": "uvicorn",
    "_MLFLOW_IN_JOB_EXECUTOR": "false",
    "MLFLOW_ENABLE_WORKSPACES": "false",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
    # Sixteen processes and 3 GB in every replica.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # The defaults of the command line.
    "MLFLOW_SERVER_SECRETS_CACHE_TTL": "60",
    "MLFLOW_SERVER_SECRETS_CACHE_MAX_SIZE": "1000",
    # A service that calls another over HTTP fails soon, rather than hang with it.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # The list of models that MLflow brings along, not the newest one from the internet: without a way there it is asked
    # for again and again, each time for half a minute.
    "MLFLOW_MODEL_CATALOG_URI": "",
}


def environment(settings: Settings) -> Mapping[str, str]:
    """The variables of MLflow for a service."""
    values = {
        **_FIXED,
        "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": settings.blob.wasbs,
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(settings.public_hosts),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins(settings)),
    }
    if settings.access is not None:
        values |= {"MLFLOW_ENABLE_WORKSPACES": "true", "MLFLOW_WORKSPACE_STORE_URI": workspaces.URI}
    if settings.databases is None:
        return {**values, "_MLFLOW_SERVER_ARTIFACTS_ONLY": "true"}
    return {
        **values,
        "_MLFLOW_SERVER_FILE_STORE": database_uri(settings.databases.tracking, settings.role),
        "_MLFLOW_SERVER_REGISTRY_STORE": database_uri(settings.databases.registry, settings.role),
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(settings.databases.kept),
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": str(settings.databases.pool_size),
    }


def origins(settings: Settings) -> tuple[str, ...]:
    """The web origins that may call: the platform's own, which MLflow refuses unless listed, and the named ones.

    MLflow admits the origins of this machine by itself, whatever their scheme.
    """
    own = (f"https://{host}" for host in settings.public_hosts)
    return tuple(dict.fromkeys((*own, *settings.public_origins)))


def database_uri(url: URL, role: ServiceRole) -> str:
    """The URL as MLflow gets it: sessions are seen under the role's name in pg_stat_activity."""
    return url.update_query_dict({"application_name": f"mlflow-{role}"}).render_as_string(hide_password=False)


def load(settings: Settings) -> Any:
    """Import MLflow's application for a service. Once a process: MLflow reads its variables while it is imported."""
    os.environ.update(environment(settings))
    # A variable of clients, which the server refuses to start with.
    os.environ.pop("MLFLOW_WORKSPACE", None)

    from mlflow.server import app as flask_app
    from mlflow.server.fastapi_app import app as fastapi_app

    from mlflow_runtime import patches

    patches.apply(settings, fastapi_app, flask_app)
    return fastapi_app
