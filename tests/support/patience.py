"""How long MLflow's client, with its default settings, repeats a request: computed with its own retry object."""

from __future__ import annotations

import os
from collections.abc import Mapping

import urllib3
from mlflow import environment_variables as settings
from mlflow.utils import request_utils
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError

OUTAGE_SECONDS = 120
"""The longest outage that a client of default settings must live through."""


def patience(headers: Mapping[str, str] | None) -> float:
    """Return the seconds that lie at least between a client's first and last try.

    `headers` are those of the 503 that it gets each time; None stands for a connection that is refused. MLflow's
    jitter, of up to a second a try, is left out.
    """
    response, refused = None, None
    if headers is not None:
        response = urllib3.HTTPResponse(status=503, headers=dict(headers.items()))
    else:
        refused = NewConnectionError(urllib3.connection.HTTPConnection("localhost"), "refused")
    retry, waited = _retry(), 0.0
    while True:
        try:
            retry = retry.increment("POST", "/", response=response, error=refused)
        except (MaxRetryError, HTTPError):
            return waited
        named = retry.get_retry_after(response) if response is not None and retry.respect_retry_after_header else None
        waited += named or retry.get_backoff_time()


def _retry() -> urllib3.Retry:
    """The retries that MLflow's client mounts on its sessions, as `http_request` of mlflow/utils/rest_utils.py asks."""
    session = request_utils._cached_get_request_session(
        settings.MLFLOW_HTTP_REQUEST_MAX_RETRIES.default,
        settings.MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR.default,
        0.0,
        request_utils._TRANSIENT_FAILURE_RESPONSE_CODES,
        True,
        os.getpid(),
        settings.MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER.default,
    )
    found = session.get_adapter("http://").max_retries
    assert isinstance(found, urllib3.Retry)
    return found
