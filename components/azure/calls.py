"""azure-core's pipeline for calls to Azure Resource Manager: which are repeated, how they are signed, what is logged.

azure-core counts its retries and repeats a POST after any answer with a Retry-After; here time bounds them, and a start
is repeated only where nothing was done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from azure.core.pipeline import Pipeline, PipelineRequest
from azure.core.pipeline.policies import (
    HttpLoggingPolicy,
    RedirectPolicy,
    RetryPolicy,
    SansIOHTTPPolicy,
    SensitiveHeaderCleanupPolicy,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse

REQUEST_SECONDS = 60

# 409: another operation on the same resource is under way. 429: too many calls. 5xx: Azure's own trouble.
_PASSING = (409, 429, 500, 502, 503, 504)
# A start that was answered by one of these did not happen.
_NOTHING_DONE = (409, 429, 503)
_FIRST_WAIT_SECONDS = 2
_DOUBLINGS = 5
_MOST_WAIT_SECONDS = 60


def pipeline(sign: Callable[[], str], retries: Retries) -> Pipeline[HttpRequest, HttpResponse]:
    """Return a pipeline that repeats a call. `sign` returns the token of each attempt."""
    return Pipeline(
        RequestsTransport(connection_timeout=REQUEST_SECONDS, read_timeout=REQUEST_SECONDS),
        [
            RedirectPolicy(),
            retries,
            _Signed(sign),
            SensitiveHeaderCleanupPolicy(),
            HttpLoggingPolicy(),
        ],
    )


class Retries(RetryPolicy[HttpRequest, HttpResponse]):
    """Repeats a call that failed in passing, as long as the next attempt is within `patience` seconds.

    A call without an answer is repeated if it is not a POST. Azure's Retry-After decides on a wait; else they double.
    An answer that contains one of the texts of `final` is not repeated.
    """

    def __init__(
        self,
        *,
        patience: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        final: Sequence[str] = (),
    ) -> None:
        super().__init__(
            **dict.fromkeys(("retry_total", "retry_connect", "retry_read", "retry_status"), sys.maxsize),
        )
        self._patience, self._clock, self._sleep, self._final = patience, clock, sleep, final

    def configure_retries(self, options: dict[str, Any]) -> dict[str, Any]:
        return {**super().configure_retries(options), "deadline": self._clock() + self._patience}

    def is_retry(self, settings: dict[str, Any], response: Any) -> bool:  # noqa: ARG002 - azure-core's signature
        repeated = _NOTHING_DONE if response.http_request.method == "POST" else _PASSING
        answer = response.http_response
        return answer.status_code in repeated and not any(text in answer.text() for text in self._final)

    def increment(self, settings: dict[str, Any], response: Any = None, error: Exception | None = None) -> bool:
        more = super().increment(settings, response, error)
        answer = None if error else response
        return more and self._clock() + self._wait(settings, answer) <= settings["deadline"]

    def sleep(self, settings: dict[str, Any], transport: Any, response: Any = None) -> None:  # noqa: ARG002
        self._sleep(self._wait(settings, response))

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        # azure-core repeats at once the first time, which is too soon for an operation that is under way.
        doublings = min(len(settings["history"]) - 1, _DOUBLINGS)
        return float(min(_FIRST_WAIT_SECONDS * 2**doublings, _MOST_WAIT_SECONDS))

    def _wait(self, settings: dict[str, Any], response: Any) -> float:
        try:
            said = None if response is None else self.get_retry_after(response)
        except ValueError:  # neither seconds nor a date
            said = None
        return self.get_backoff_time(settings) if said is None else said


class _Signed(SansIOHTTPPolicy[HttpRequest, HttpResponse]):
    """Gives each attempt a token. azure-core's own policy refuses http://, which stand-ins on this machine speak."""

    def __init__(self, sign: Callable[[], str]) -> None:
        self._sign = sign

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        request.http_request.headers["Authorization"] = f"Bearer {self._sign()}"
