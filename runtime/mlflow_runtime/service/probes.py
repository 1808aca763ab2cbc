"""The probes behind `/ready`: a database at the right schema, a blob container that lets this identity in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from azure.core.exceptions import AzureError
from sqlalchemy import URL, NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from mlflow_runtime.database.revisions import Revisions
from mlflow_runtime.reasons import first_line
from mlflow_runtime.schema import declaration, guard
from mlflow_runtime.schema.declaration import Found
from mlflow_runtime.service.health import NotReadyError

# Each below the three seconds that a check has: a server that does not answer is then named by the driver's own words.
_CONNECT_SECONDS: Final = 2
_STATEMENT_MILLISECONDS: Final = 2000


class DatabaseProbe:
    """Open a new connection each time, apart from MLflow's pools, and judge the schema as the stores do at their start.

    A schema that is newer and not declared to serve this image passes once it was at the head before: a roll-out
    migrates first and replaces the replicas after that, and one that went unready meanwhile would take the rest of its
    requests away too. `opened` says why MLflow has not opened its own store on this database yet, or None when it has.
    """

    def __init__(self, url: URL, revisions: Revisions, opened: Callable[[], str | None]) -> None:
        options = {
            "connect_timeout": str(_CONNECT_SECONDS),
            "options": f"-c statement_timeout={_STATEMENT_MILLISECONDS}",
            "application_name": "mlflow-ready",
        }
        self._engine = create_engine(url.update_query_dict(options), poolclass=NullPool)
        self._revisions = revisions
        self._opened = opened
        self._was_at_head = False

    def __call__(self) -> str | None:
        """A remark about a database that works, or none. Raises NotReadyError for one that does not."""
        remark = self._judge(self._found())
        if reason := self._opened():
            raise NotReadyError(f"MLflow has not opened the database yet: {reason}")
        return remark

    def _found(self) -> Found:
        try:
            with self._engine.connect() as connection:
                return declaration.read(connection)
        except SQLAlchemyError as error:
            raise NotReadyError(first_line(error)) from error

    def _judge(self, found: Found) -> str | None:
        try:
            remark = guard.judge(found, self._revisions)
        except guard.NewerSchemaError as newer:
            if self._was_at_head:
                shown = ", ".join(found.revisions)
                return f"the schema moved on to revision {shown}; this replica serves what it can until it is replaced"
            raise NotReadyError(str(newer)) from newer
        except guard.SchemaRefusedError as refused:
            raise NotReadyError(str(refused)) from refused
        self._was_at_head = self._was_at_head or remark is None
        return remark


def blob_probe() -> str | None:
    """Asks for the container's properties, once and without retries. Raises NotReadyError if they cannot be had."""
    from mlflow_runtime.artifacts import repository as blob  # loads MLflow, which takes seconds

    container = blob.service_client().get_container_client(blob.address().container)
    try:
        container.get_container_properties(connection_timeout=2, read_timeout=2, retry_total=0)
    except AzureError as error:
        _, message = blob.explain(error)
        raise NotReadyError(message) from error
    return None
