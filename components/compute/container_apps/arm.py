"""Calls to Azure Resource Manager that the azure-native provider does not make: starting things and looking at them."""

from __future__ import annotations

import email.utils
import functools
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ENDPOINT = "https://management.azure.com"
ENDPOINT_VARIABLE = "ARM_ENDPOINT"
API_VERSION = "2025-01-01"
REQUEST_SECONDS = 60

_LOOPBACK = ("127.0.0.1", "localhost")

# 409: another operation on the same resource is under way. 429: too many calls. 5xx: Azure's own trouble.
_PASSING = (409, 429, 500, 502, 503, 504)
_FIRST_WAIT_SECONDS = 2.0
_MOST_WAIT_SECONDS = 60.0


class ArmError(RuntimeError):
    """Azure refused a call, or did not answer in the time given. `status` is 0 where there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def endpoint(environ: Mapping[str, str] = os.environ) -> str:
    """Where Azure Resource Manager is: the public cloud's, or what ARM_ENDPOINT says, without a slash at its end.

    Another cloud has its own endpoint, and a stand-in for Azure listens on this machine. Raises ArmError for one that
    is no https:// address: a token would travel in clear text. Loopback addresses may be http://.
    """
    given = environ.get(ENDPOINT_VARIABLE) or ENDPOINT
    try:
        url = urllib.parse.urlsplit(given)
        safe = url.hostname in _LOOPBACK if url.scheme == "http" else url.scheme == "https" and bool(url.hostname)
    except ValueError:
        safe = False
    if not safe:
        raise ArmError(
            f"{ENDPOINT_VARIABLE}: {given!r} would carry tokens in clear text; allowed: https://HOST, or http:// on "
            f"{' or '.join(_LOOPBACK)}; unset it for {ENDPOINT}, or give the https:// address of your cloud's endpoint."
        )
    return given.rstrip("/")


def token_scope(endpoint: str) -> str:
    """What a token is asked for: the endpoint's cloud; a stand-in on this machine is given one of the public cloud."""
    loopback = urllib.parse.urlsplit(endpoint).hostname in _LOOPBACK
    return f"{ENDPOINT if loopback else endpoint.rstrip('/')}/.default"


@dataclass(frozen=True)
class Answer:
    """Status, headers in lower case, and the body (empty where Azure sent none)."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A client of one ARM endpoint. It repeats a call that failed in passing, as long as `patience` seconds allow.

    A POST is repeated only after an answer that says that nothing was done (409, 429, 503): a start whose answer was
    lost may have happened. `endpoint` is by default that of this process's environment at the time; `token` gives a
    bearer token of a scope for each call; `clock` and `sleep` are for tests.
    """

    endpoint: str = field(default_factory=lambda: endpoint())
    token: Callable[[str], str] = field(default_factory=lambda: default_token)
    patience: float = 300.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def get(self, path: str) -> Answer:
        return self._call("GET", path)

    def post(self, path: str) -> Answer:
        return self._call("POST", path)

    def _call(self, method: str, path: str) -> Answer:
        deadline = self.clock() + self.patience
        wait = _FIRST_WAIT_SECONDS
        while True:
            answer, problem = self._once(method, path)
            if answer is not None and answer.status < 400:
                return answer
            status = answer.status if answer else 0
            said_wait = answer.headers.get("retry-after") if answer else None
            pause = _seconds(said_wait) if said_wait else wait
            if not _repeatable(method, status) or self.clock() + pause > deadline:
                raise ArmError(f"{method} {path.split('?')[0]}: {problem}", status)
            self.sleep(pause)
            wait = min(wait * 2, _MOST_WAIT_SECONDS)

    def _once(self, method: str, path: str) -> tuple[Answer | None, str]:
        request = urllib.request.Request(  # noqa: S310 - the endpoint is the program's own
            self._url(path),
            method=method,
            data=b"" if method == "POST" else None,
            headers={
                "Authorization": f"Bearer {self.token(token_scope(self.endpoint))}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:  # noqa: S310
                return _answer(response.status, response.headers, response.read()), ""
        except urllib.error.HTTPError as error:
            answer = _answer(error.code, error.headers, error.read())
            return answer, f"{answer.status} {_said(answer)}"
        except (urllib.error.URLError, OSError) as error:
            return None, f"no answer from {self.endpoint}: {getattr(error, 'reason', error)}"

    def _url(self, path: str) -> str:
        url = self.endpoint.rstrip("/") + path
        return url if "api-version=" in path else f"{url}?api-version={API_VERSION}"


def default_token(scope: str) -> str:
    """A token of whoever runs the program: a workflow's federated identity, a managed one, or `az login`."""
    from azure.core.exceptions import ClientAuthenticationError

    try:
        return str(_credential().get_token(scope).token)
    except ClientAuthenticationError as error:
        raise ArmError(f"Nobody is signed in to Azure; run `az login` or set AZURE_*. {error.message}") from None


@functools.cache
def _credential() -> Any:
    """One for the process: it keeps its token until that is near its end."""
    # Imported here: a program that only previews does not need it.
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def _repeatable(method: str, status: int) -> bool:
    if method == "POST":
        return status in (409, 429, 503)
    return status == 0 or status in _PASSING


def _answer(status: int, headers: Any, body: bytes) -> Answer:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        parsed = {}
    return Answer(
        status, {name.lower(): value for name, value in headers.items()}, parsed if isinstance(parsed, dict) else {}
    )


def _said(answer: Answer) -> str:
    error = answer.body.get("error", {})
    return f"{error.get('code', '')} {error.get('message', '')}".strip() if isinstance(error, dict) else str(error)


def _seconds(retry_after: str) -> float:
    """Retry-After as HTTP has it: seconds, or a date."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return _FIRST_WAIT_SECONDS
