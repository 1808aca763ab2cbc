"""A body that comes in chunks reaches Flask's handlers as one with a length does.

MLflow 3.17.2 reads a body whole and passes it to Flask without its length (`_EfficientWSGIResponder` in
mlflow/server/fastapi_app.py). Werkzeug takes a request without a length for one without a body: the request fails for
its missing fields, and a search answers as if nothing had been asked.
"""

from __future__ import annotations

from typing import Any, Final

from mlflow_runtime.patches.unchanged import is_unchanged

READ: Final = "f5e1df51786cd702"


def install(module: Any) -> bool:
    """Have `module`, mlflow.server.fastapi_app, tell Flask the length of each body. Return whether it is on."""
    if not is_unchanged(module._EfficientWSGIResponder, READ):
        return False
    build = module.build_environ

    def with_length(scope: Any, body: bytes) -> dict[str, Any]:
        environ: dict[str, Any] = build(scope, body)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        if body:
            environ["CONTENT_LENGTH"] = str(len(body))
        return environ

    module.build_environ = with_length
    return True
