"""Calls to Azure Resource Manager that the azure-native provider does not make: starting things and looking at them."""

from __future__ import annotations

import functools
import logging
import os
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential
    from azure.core.rest import HttpResponse

ENDPOINT = "https://management.azure.com"
ENDPOINT_VARIABLE = "ARM_ENDPOINT"

_LOOPBACK = ("127.0.0.1", "localhost")


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
    lost may have happened. `api_version` is of the calls that name none themselves. An answer that contains one of the
    texts of `final` is not repeated, whatever its status. `endpoint` is by default that of this process's environment
    at the time; `token` gives a bearer token of a scope for each call; `clock` and `sleep` are for tests.
    """

    api_version: str
    final: Sequence[str] = ()
    endpoint: str = field(default_factory=lambda: endpoint())
    token: Callable[[str], str] = field(default_factory=lambda: default_token)
    patience: float = 300.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def get(self, path: str) -> Answer:
        return self._call("GET", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        return self._call("POST", path, body)

    def put(self, path: str, body: Mapping[str, Any]) -> Answer:
        return self._call("PUT", path, body)

    def relative(self, url: str) -> str | None:
        """Return the path of a URL at this endpoint, such as a Location's; None elsewhere, where no token may go."""
        start = self.endpoint.rstrip("/")
        return url.removeprefix(start) if url.startswith(f"{start}/") else None

    def pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Yield the pages of a list, each as its body. Raises ArmError where it goes on elsewhere."""
        following: str | None = path
        while following is not None:
            body = self.get(following).body
            yield body
            link = str(body.get("nextLink") or "")
            following = self.relative(link) if link else None
            if link and following is None:
                raise ArmError(
                    f"{_named('GET', path)}: the list goes on at {link.partition('?')[0]!r}, which is not at "
                    f"{self.endpoint}; no token goes there."
                )

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        # Imported here: a program that only previews makes no call.
        from azure.core.exceptions import AzureError
        from azure.core.rest import HttpRequest

        from components.azure.calls import Retries, pipeline

        request = HttpRequest(method, self._url(path), headers={"Content-Type": "application/json"}, json=body)
        sign = functools.partial(self.token, token_scope(self.endpoint))
        retries = Retries(patience=self.patience, clock=self.clock, sleep=self.sleep, final=self.final)
        try:
            with pipeline(sign, retries) as calls:
                response = calls.run(request).http_response
        except AzureError as error:
            raise ArmError(f"{_named(method, path)}: no answer from {self.endpoint}: {error.message}") from None
        answer = _answer(response)
        if answer.status >= 400:
            raise ArmError(f"{_named(method, path)}: {answer.status} {_said(answer)}", answer.status)
        return answer

    def _url(self, path: str) -> str:
        url = self.endpoint.rstrip("/") + path
        return url if "api-version=" in path else f"{url}{'&' if '?' in path else '?'}api-version={self.api_version}"


def default_token(scope: str) -> str:
    """A token of whoever runs the program: a workflow's federated identity, a managed one, or `az login`."""
    return str(default_access(scope).token)


def default_access(scope: str) -> AccessToken:
    """A token with the time at which it ends, in seconds since 1970. Raises ArmError."""
    from azure.core.exceptions import ClientAuthenticationError

    try:
        return _credential().get_token(scope)
    except ClientAuthenticationError as error:
        raise ArmError(f"Nobody is signed in to Azure; run `az login` or set AZURE_*. {error.message}") from None


@functools.cache
def _credential() -> TokenCredential:
    """One for the process: it keeps its token until that is near its end."""
    # Imported here: a program that only previews does not need it.
    from azure.identity import DefaultAzureCredential

    # It writes every way to sign in that it has tried, and its error names them again.
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)
    return DefaultAzureCredential()


def _named(method: str, path: str) -> str:
    return f"{method} {path.split('?')[0]}"


def _answer(response: HttpResponse) -> Answer:
    try:
        parsed = response.json()
    except ValueError:  # as of a proxy on the way
        parsed = {}
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, parsed if isinstance(parsed, dict) else {})


def _said(answer: Answer) -> str:
    error = answer.body.get("error", {})
    return f"{error.get('code', '')} {error.get('message', '')}".strip() if isinstance(error, dict) else str(error)
