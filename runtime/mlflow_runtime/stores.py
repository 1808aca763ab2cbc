"""Opens MLflow's stores in the background, so that a database that is down holds up neither the start nor a request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from mlflow_runtime.probes import first_line

_PAUSE_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Stores:
    """Calls each of `openers` until it has succeeded, once a second, in a thread of its own."""

    def __init__(self, openers: Mapping[str, Callable[[], None]], *, pause: float = _PAUSE_SECONDS) -> None:
        self._openers = dict(openers)
        self._pause = pause
        self._reasons = dict.fromkeys(openers, "it was not tried yet")

    def start(self) -> None:
        """Begin. The thread ends with the last store that is opened, or with the process."""
        threading.Thread(target=self._open_all, name="open-stores", daemon=True).start()

    def reason(self, name: str) -> str | None:
        """Why the store is not open yet, or None if it is."""
        return self._reasons.get(name)

    def _open_all(self) -> None:
        while self._openers:
            for name, opener in list(self._openers.items()):
                self._try(name, opener)
            if self._openers:
                threading.Event().wait(self._pause)

    def _try(self, name: str, opener: Callable[[], None]) -> None:
        try:
            opener()
        except Exception as error:  # noqa: BLE001 - MLflow raises its own, SQLAlchemy's and Azure's
            reason = first_line(error)
            if self._reasons[name] != reason:
                _log.warning("the %s store cannot be opened yet: %s", name, reason)
            self._reasons[name] = reason
        else:
            del self._openers[name], self._reasons[name]
            _log.info("the %s store is open", name)


def mlflow_openers(tracking_uri: str) -> Mapping[str, Callable[[], None]]:
    """What `mlflow server` does before it starts its workers: open both stores, and refuse orphaned trace rollups."""
    from mlflow.server import handlers
    from mlflow.tracing.trace_rollup_service import validate_sql_trace_rollup_startup

    def tracking() -> None:
        handlers._get_tracking_store()
        validate_sql_trace_rollup_startup(tracking_uri)

    def registry() -> None:
        handlers._get_model_registry_store()

    return {"tracking": tracking, "registry": registry}
