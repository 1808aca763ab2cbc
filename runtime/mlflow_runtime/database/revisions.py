"""The revisions of MLflow's database schema that this image knows."""

from __future__ import annotations

import functools
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Revisions:
    """`head` is the one that this image needs; it is among the `known` ones."""

    head: str
    known: frozenset[str]


@functools.cache
def image_revisions() -> Revisions:
    """The revisions of the MLflow in this image, by the private functions that its own commands use."""
    # Loads MLflow, which takes seconds.
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils as mlflow_db

    scripts = ScriptDirectory.from_config(mlflow_db._get_alembic_config(db_url=""))
    known = frozenset(script.revision for script in scripts.walk_revisions())
    return Revisions(head=str(mlflow_db._get_latest_schema_revision()), known=known)
