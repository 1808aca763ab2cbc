"""A store opens on the schema that `schema.guard` accepts, and makes no tables.

MLflow 3.17.2 makes missing tables when a store is opened, and refuses every schema but its own (`_all_tables_exist` and
`_verify_schema` in mlflow/store/db/utils.py). A service may not make tables, and a replica that restarts between a
migration and its replacement would stay away.
"""

from __future__ import annotations

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.store.db import utils as mlflow_db
from mlflow.store.model_registry import sqlalchemy_store as registry_store
from sqlalchemy import Engine

from mlflow_runtime.database.revisions import Revisions
from mlflow_runtime.schema import declaration
from mlflow_runtime.schema.guard import NewerSchemaError, SchemaRefusedError, judge


def install(revisions: Revisions) -> None:
    """Have MLflow decide as `schema.guard`, in this process.

    A newer schema that is not declared to serve passes where this process saw its own before, as in `/ready`: MLflow
    opens further stores while it serves, to register a logged model for one.
    """
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
