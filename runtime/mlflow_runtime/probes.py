"""The probes behind `/ready`: a database at the right schema, a blob container that lets this identity in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from azure.core.exceptions import AzureError
from sqlalchemy import URL, Engine, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from mlflow_runtime.health import NotReadyError

# Below the three seconds that a check has, so that a check that failed by time says why.
_CONNECT_SECONDS = 2
_STATEMENT_MILLISECONDS = 2000


@dataclass(frozen=True, kw_only=True)
class Revisions:
    """The schema revisions that this image knows, the head among them."""

    head: str
    known: frozenset[str]


def image_revisions() -> Revisions:
    """The revisions of the MLflow in this image."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils as mlflow_db

    scripts = ScriptDirectory.from_config(mlflow_db._get_alembic_config(db_url=""))
    known = frozenset(script.revision for script in scripts.walk_revisions())
    return Revisions(head=str(mlflow_db._get_latest_schema_revision()), known=known)


@dataclass
class DatabaseProbe:
    """Connects anew each time, apart from MLflow's pools, and compares the schema's revision with the image's head.

    A schema that is newer than the image passes once it was at the head before: a roll-out migrates first and replaces
    the replicas after that, and MLflow's migrations let the old replicas serve on meanwhile. `opened` says why MLflow
    has not opened its own store on this database yet, or None when it has.
    """

    url: URL
    revisions: Revisions
    opened: Callable[[], str | None]
    _engine: Engine = field(init=False)
    _was_at_head: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        limits = {
            "connect_timeout": str(_CONNECT_SECONDS),
            "options": f"-c statement_timeout={_STATEMENT_MILLISECONDS}",
            "application_name": "mlflow-ready",
        }
        self._engine = create_engine(self.url.update_query_dict(limits), poolclass=NullPool)

    def __call__(self) -> str | None:
        found = self._revision()
        remark = None
        if found == self.revisions.head:
            self._was_at_head = True
        elif found in self.revisions.known:
            raise NotReadyError(
                f"the schema is at revision {found}, this image needs {self.revisions.head}; run prepare of this image"
            )
        elif not self._was_at_head:
            raise NotReadyError(
                f"the schema is at revision {found}, which this image does not know (it needs {self.revisions.head}); "
                "deploy the newer image that migrated it"
            )
        else:
            remark = f"the schema moved on to revision {found}; this replica serves until it is replaced"
        if reason := self.opened():
            raise NotReadyError(f"MLflow has not opened the database yet: {reason}")
        return remark

    def _revision(self) -> str:
        try:
            with self._engine.connect() as connection:
                found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        except SQLAlchemyError as error:
            raise NotReadyError(first_line(error)) from error
        return ", ".join(sorted(map(str, found))) or "none"


def blob_probe() -> str | None:
    """Asks for the container's properties, once and without retries."""
    from mlflow_runtime import blob

    container = blob.service_client().get_container_client(blob.address().container)
    try:
        container.get_container_properties(connection_timeout=2, read_timeout=2, retry_total=0)
    except AzureError as error:
        _, message = blob.explain(error)
        raise NotReadyError(message) from error
    return None


def first_line(error: Exception) -> str:
    """The driver's own words in one line, without SQLAlchemy's statement and link."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
