"""The first seconds of a stop, in which the gateway sends its callers away, as the services do."""

from __future__ import annotations

from typing import Any, Final

from mlflow_runtime.gateway import answers
from mlflow_runtime.routes import READY_PATH

Json = dict[str, Any]

# Caddy's own, true from the signal to the end of `shutdown_delay`.
_STOPPING: Final[Json] = {"vars": {"{http.shutting_down}": ["true"]}}


def routes() -> list[Json]:
    """End each connection with the next answer on it, and be ready no more."""
    goodbye: Json = {"handler": "headers", "response": {"set": {"Connection": ["close"]}, "deferred": True}}
    return [
        {"match": [_STOPPING], "handle": [goodbye]},
        {
            "match": [{**_STOPPING, "path_regexp": {"pattern": f"^{READY_PATH}$"}}],
            "handle": [{"handler": "vars", "log_skip": True}, answers.stopping()],
            "terminal": True,
        },
    ]
