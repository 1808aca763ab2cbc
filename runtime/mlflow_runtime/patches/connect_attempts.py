"""One attempt to connect to a database when a store is opened.

MLflow 3.17.2 retries a first connect for 100 s inside the request that needs it (`MAX_RETRY_COUNT` in
mlflow/store/db/utils.py). Stores are opened in the background here, again and again (`service/stores.py`).
"""

from __future__ import annotations

from mlflow.store.db import utils as mlflow_db


def install() -> None:
    """Have MLflow try once, in this process."""
    mlflow_db.MAX_RETRY_COUNT = 1
