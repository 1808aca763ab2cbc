"""Opens MLflow's stores in the background, so that a database that is down holds up neither the start nor a request."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from mlflow_runtime.reasons import first_line

_PAUSE_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Stores:
    """Calls each opener until it has succeeded once, all of them one after the other in one thread of its own.

    Rounds are a second (`pause`) apart. An opener that fails raises whatever it likes, and is called again.
    """

    def __init__(self, openers: Mapping[str, Callable[[], None]], *, pause: float = _PAUSE_SECONDS) -> None:
        self._openers = dict(openers)
        self._pause = pause
        self._reasons: dict[str, str | None] = dict.fromkeys(openers, "it was not tried yet")

    def start(self) -> None:
        """Begin. The thread ends with the last store that is opened, or with the process."""
        threading.Thread(target=self._open_all, name="open-stores", daemon=True).start()

    def reason(self, name: str) -> str | None:
        """Why the store is not open yet, or None if it is. Raises KeyError for a store without an opener."""
        return self._reasons[name]

    def _open_all(self) -> None:
        closed = list(self._openers)
        while True:
            closed = [name for name in closed if not self._opens(name)]
            if not closed:
                return
            time.sleep(self._pause)

    def _opens(self, name: str) -> bool:
        try:
            self._openers[name]()
        except Exception as error:  # noqa: BLE001 - MLflow raises its own, SQLAlchemy's and Azure's
            reason = first_line(error)
            if reason != self._reasons[name]:
                _log.warning("the %s store cannot be opened yet: %s", name, reason)
            self._reasons[name] = reason
            return False
        _log.info("the %s store is open", name)
        self._reasons[name] = None
        return True


def mlflow_openers(tracking_uri: str) -> Mapping[str, Callable[[], None]]:
    """What `mlflow server` does before it starts its workers: open both stores, and refuse orphaned trace rollups.

    The stores are those of MLflow's application in this process, which must be loaded. MLflow would open the store of
    jobs at the first request for a job, with an engine of its own: as many connections again, which no sum counts.
    """
    from mlflow.server import handlers
    from mlflow.store.jobs.sqlalchemy_store import SqlAlchemyJobStore
    from mlflow.tracing.trace_rollup_service import validate_sql_trace_rollup_startup

    def tracking() -> None:
        SqlAlchemyJobStore._engine_map[tracking_uri] = handlers._get_tracking_store().engine
        handlers._get_job_store()
        validate_sql_trace_rollup_startup(tracking_uri)

    def registry() -> None:
        handlers._get_model_registry_store()

    return {"tracking": tracking, "registry": registry}
