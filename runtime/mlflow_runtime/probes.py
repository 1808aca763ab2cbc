"""The probes behind `/ready`: a database at the right schema, a blob container that lets this identity in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from azure.core.exceptions import AzureError
from sqlalchemy import URL, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from mlflow_runtime.health import NotReadyError
from mlflow_runtime.reasons import first_line
from mlflow_runtime.revisions import Revisions

# Each below the three seconds that a check has: a server that does not answer is then named by the driver's own words.
_CONNECT_SECONDS: Final = 2
_STATEMENT_MILLISECONDS: Final = 2000


class DatabaseProbe:
    """Connects anew each time, apart from MLflow's pools, and compares the schema's revision with the image's head.

    A schema that is newer than the image passes once it was at the head before: a roll-out migrates first and replaces
    the replicas after that, and MLflow's migrations let the old replicas serve on meanwhile. `opened` says why MLflow
    has not opened its own store on this database yet, or None when it has.
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
        remark = self._judge(self._revision())
        if reason := self._opened():
            raise NotReadyError(f"MLflow has not opened the database yet: {reason}")
        return remark

    def _revision(self) -> str:
        try:
            with self._engine.connect() as connection:
                found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        except SQLAlchemyError as error:
            raise NotReadyError(first_line(error)) from error
        if not found:
            raise NotReadyError("the database has no schema revision; run prepare of this image")
        return ", ".join(sorted(map(str, found)))

    def _judge(self, found: str) -> str | None:
        head = self._revisions.head
        if found == head:
            self._was_at_head = True
            return None
        if found in self._revisions.known:
            raise NotReadyError(
                f"the schema is at revision {found}, this image needs {head}; run prepare of this image"
            )
        if not self._was_at_head:
            raise NotReadyError(
                f"the schema is at revision {found}, which this image does not know (it needs {head}); deploy the "
                "newer image that migrated it"
            )
        return f"the schema moved on to revision {found}; this replica serves until it is replaced"


def blob_probe() -> str | None:
    """Asks for the container's properties, once and without retries. Raises NotReadyError if they cannot be had."""
    from mlflow_runtime import blob  # loads MLflow, which takes seconds

    container = blob.service_client().get_container_client(blob.address().container)
    try:
        container.get_container_properties(connection_timeout=2, read_timeout=2, retry_total=0)
    except AzureError as error:
        _, message = blob.explain(error)
        raise NotReadyError(message) from error
    return None
