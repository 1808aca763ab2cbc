"""A run logs as many models as a training has checkpoints.

MLflow 3.17.2 keeps what it knows of each model in one tag of the run (`record_logged_model` in
mlflow/store/tracking/sqlalchemy_store.py), and refuses a model once that tag is above the length of a tag's value: the
23rd of usual ones. Here the tag has the newest that fit; each model itself has all of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from mlflow.models import Model
from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_MODELS
from mlflow.utils.validation import MAX_TAG_VAL_LENGTH, _validate_tag
from sqlalchemy import select

from mlflow_runtime.patches.unchanged import is_unchanged

READ: Final = "99430cd580992f8e"


def install() -> bool:
    """Have MLflow's store keep the newest, in this process. Return whether it is on."""
    if not is_unchanged(SqlAlchemyStore.record_logged_model, READ):
        return False
    SqlAlchemyStore.record_logged_model = record
    return True


def record(self: Any, run_id: str, mlflow_model: Model) -> None:
    """Add a model to the run's tag. Requests for the same run do it one after the other, so that none is lost."""
    with self.ManagedSessionMaker(read_only=False) as session:
        session.execute(select(SqlRun.run_uuid).where(SqlRun.run_uuid == run_id).with_for_update())
        run = self._get_run(run_uuid=run_id, session=session)
        self._check_run_is_active(run)
        kept = next((tag.value for tag in run.tags if tag.key == MLFLOW_LOGGED_MODELS), "[]")
        value = newest([*json.loads(kept), mlflow_model.get_tags_dict()], MAX_TAG_VAL_LENGTH)
        _validate_tag(MLFLOW_LOGGED_MODELS, value)
        session.merge(SqlTag(key=MLFLOW_LOGGED_MODELS, value=value, run_uuid=run_id))


def newest(entries: Sequence[Any], limit: int) -> str:
    """Return the JSON of as many of the last entries as fit into `limit` characters, of the last one in any case."""
    for first in range(len(entries)):
        value = json.dumps(entries[first:])
        if len(value) <= limit:
            return value
    return json.dumps(entries[-1:])
