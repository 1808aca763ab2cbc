"""Which schema a service serves on: the one its MLflow was made for, or a newer one that is declared to serve it.

MLflow by itself makes missing tables when a store is opened, and refuses every schema but its own, so a replica that
is restarted between a migration and its replacement would stay away. Both are decided here instead.
"""

from __future__ import annotations

from sqlalchemy import Engine

from mlflow_runtime.database.revisions import Revisions
from mlflow_runtime.schema import declaration
from mlflow_runtime.schema.declaration import Found


class SchemaRefusedError(Exception):
    """A schema that this image does not serve on: what was found, what it knows, and what to do."""


class NewerSchemaError(SchemaRefusedError):
    """A schema of a revision that this image does not know, and that is not declared to serve it."""


def judge(found: Found, revisions: Revisions) -> str | None:
    """None for the image's own schema, a remark for a newer one that serves; SchemaRefusedError for any other."""
    if found.revisions == (revisions.head,):
        return None
    shown = ", ".join(found.revisions)
    if not found.revisions:
        raise SchemaRefusedError("the database has no schema revision; run prepare of this image")
    if found.serves(revisions.head):
        return f"the schema is at the newer revision {shown}, which is declared to serve {revisions.head}"
    if len(found.revisions) > 1:
        raise SchemaRefusedError(
            f"the schema is at the revisions {shown} at once, this image needs {revisions.head}; restore the database "
            "to a time before they appeared"
        )
    if shown in revisions.known:
        raise SchemaRefusedError(
            f"the schema is at revision {shown}, this image needs {revisions.head}; run prepare of this image"
        )
    declared = found.declaration
    if declared is not None and declared.revision == shown:
        why = f"and which is declared to serve {len(declared.serves)} others, but not that one"
    else:
        why = "and about which nothing is declared"
    raise NewerSchemaError(
        f"the schema is at revision {shown}, which this image does not know (it needs {revisions.head}, its newest of "
        f"{len(revisions.known)}) {why}; deploy the newer image that migrated it, or restore the database"
    )


def install(revisions: Revisions) -> None:
    """Put these decisions in the place of MLflow's own, in this process. MLflow must be loaded.

    A newer schema that is not declared to serve passes where this process saw its own before, as in `/ready`: MLflow
    opens further stores while it serves, to register a logged model for one.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
    from mlflow.store.db import utils as mlflow_db
    from mlflow.store.model_registry import sqlalchemy_store as registry_store

    was_at_head: set[str] = set()

    def verify(engine: Engine) -> None:
        database = engine.url.set(query={}).render_as_string()
        with engine.connect() as connection:
            found = declaration.read(connection)
        try:
            if judge(found, revisions) is None:
                was_at_head.add(database)
        except SchemaRefusedError as refused:
            if isinstance(refused, NewerSchemaError) and database in was_at_head:
                return
            raise MlflowException(str(refused), error_code=TEMPORARILY_UNAVAILABLE) from refused

    def all_tables_exist(engine: Engine) -> bool:
        verify(engine)
        return True

    # Both stores ask for their tables when they are opened, and only that of tracking verifies the revision.
    mlflow_db._all_tables_exist = registry_store._all_tables_exist = all_tables_exist
    mlflow_db._verify_schema = verify
