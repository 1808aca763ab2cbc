"""The URL that the user gives: what it may look like, and whether anybody is there."""

from __future__ import annotations

import warnings
from urllib.parse import urlsplit

import requests

CONNECT_SECONDS = 10.0
EXAMPLE = "http://localhost:5500 or https://mlflow.example.com"


class UsageError(Exception):
    """The command line cannot work as given. The message says what to change."""


def parse_url(text: str) -> str:
    """The URL without a slash at its end; `UsageError` for anything but scheme, host, port and path."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"URL {text!r} is not valid ({error}); give one like {EXAMPLE}") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "URL contains credentials, which would end up in logs; "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, instead"
        )
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in text):
        raise UsageError(f"URL {text!r} is not an http or https address; give one like {EXAMPLE}")
    if parts.query or parts.fragment:
        raise UsageError(f"URL {text!r} has a query or fragment; give the address of the server only, like {EXAMPLE}")
    return text.rstrip("/")


def reach(url: str, *, seconds: float, verify: str | bool) -> None:
    """Raise `UsageError` if no HTTP server can be connected to at `url`.

    What it answers, and whether it does, is left to the first step: that is a finding, not a wrong address.
    `verify` is what requests understands: a certificate file, True for the usual ones, False for none.
    """
    connect = min(CONNECT_SECONDS, seconds)
    timeout = (connect, 1.0)  # a server that does not answer at once has been reached all the same
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of certificates that the user chose not to verify
            requests.get(f"{url}/version", timeout=timeout, verify=verify, stream=True, allow_redirects=False).close()
    except requests.ReadTimeout:
        return
    except requests.exceptions.SSLError as error:
        raise UsageError(
            f"{url} is not trusted: {_root_cause(error)}; name the certificates to trust with --ca-bundle FILE"
        ) from error
    except (requests.RequestException, OSError) as error:
        raise UsageError(
            f"{url} cannot be reached: {_root_cause(error)}; check the address and that the server runs"
        ) from error


def _root_cause(error: BaseException) -> str:
    """The message of the innermost error, without the object addresses that urllib3 puts before it."""
    cause = error
    while (inner := _inner(cause)) is not None:
        cause = inner
    return " ".join(str(cause).split()).rpartition(">: ")[2] or type(cause).__name__


def _inner(error: BaseException) -> BaseException | None:
    reason = getattr(error, "reason", None)
    candidates = (reason, *error.args)
    return next((item for item in candidates if isinstance(item, BaseException)), None)
