"""One kind of log line for what Azure refuses the identity of this process; the alert on tokens looks for it.

Messages of exceptions do not serve: they name neither their class nor, in their first line, Azure's code.
"""

from __future__ import annotations

import logging

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from mlflow_runtime.reasons import first_line

_REFUSED = frozenset({401, 403})

_log = logging.getLogger(__name__)


def log(what: str, reason: str) -> None:
    """Log that Azure refuses something to the identity: what, and for which reason."""
    _log.error("%s: %s", what, reason)


def log_if_refused(what: str, error: AzureError) -> None:
    """Log it if the error is Azure's answer that the identity may not do that."""
    if isinstance(error, HttpResponseError) and error.status_code in _REFUSED:
        inner = getattr(getattr(error, "error", None), "innererror", None) or {}
        code = inner.get("code") or getattr(error, "error_code", None) or error.reason
        log(what, f"{error.status_code} {code}, {first_line(error)}")
    elif isinstance(error, ClientAuthenticationError):
        log(what, first_line(error))
