"""What the gateway answers by itself: probes, and errors in MLflow's shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

# Names of per-request variables in Caddy, quoted in messages and log lines.
LIMIT_VARIABLE: Final = "body_limit_mib"
SERVICE_VARIABLE: Final = "service"

_SERVICE = f"The {{http.vars.{SERVICE_VARIABLE}}} service"
_UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"
_REQUEST_ID: Final = "{http.request.uuid}"

# Status: MLflow's name of the error, and the message.
_ERRORS: Final[Mapping[int, tuple[str, str]]] = {
    400: (
        "INVALID_PARAMETER_VALUE",
        "The path of the request is not plain: leave out '.' and '..' segments, empty ones in an artifact's name, and,"
        " but for an artifact's name, backslashes and control characters.",
    ),
    403: (
        "PERMISSION_DENIED",
        "The Host header of the request is not one of this server's public hosts. Use its public URL.",
    ),
    404: ("ENDPOINT_NOT_FOUND", "There is nothing here for clients."),
    413: (
        "INVALID_PARAMETER_VALUE",
        f"The body of the request is above the limit of {{http.vars.{LIMIT_VARIABLE}}} MiB.",
    ),
    502: (_UNAVAILABLE, f"{_SERVICE} broke the connection off. It may have carried the request out."),
    503: (_UNAVAILABLE, f"{_SERVICE} has no replica that is ready. Try again."),
    504: (_UNAVAILABLE, f"{_SERVICE} did not answer in time. It may still carry the request out."),
}


def live() -> Json:
    """Caddy runs."""
    return _answer(200, {"status": "live"})


def ready() -> Json:
    """At least one tracking replica takes requests, or the platform knows whether one does."""
    return _answer(200, {"status": "ready"})


def stopping() -> Json:
    """The gateway is about to end."""
    return _answer(503, {"status": "stopping"})


def refuse(status: int) -> Json:
    """End a request; `routes` words the answer."""
    return {"handler": "error", "status_code": status}


# Refused with a body that was not read. Without an end of the connection Caddy would wait for the first 256 KiB of it
# before it answers.
_UNREAD: Final = (400, 403, 404, 413)


def routes() -> list[Json]:
    """Turn what stopped a request into an answer. Exactly one of these acts."""
    return [
        # The reason goes to the log only.
        {"handle": [{"handler": "log_append", "key": "error", "value": "{http.error.message}"}]},
        _when(_BODY_BROKEN, 400, error=_BROKEN_BODY),
        _when(_NEVER_CARRIED_OUT, 503),
        *(_when({"vars": {"{http.error.status_code}": [str(status)]}}, status) for status in _ERRORS),
        {
            "handle": [
                _answer(
                    "{http.error.status_code}",
                    {
                        "error_code": "INTERNAL_ERROR",
                        "message": "{http.error.status_text}",
                        "request_id": _REQUEST_ID,
                    },
                )
            ]
        },
    ]


# A request that reached no replica, since none was ready or none could be dialled, and one that only reads, can simply
# be sent again. Anything else that broke off may have been carried out, and the client has to know. No answer names a
# time with Retry-After: see `failure_of` in responses.py.
_NEVER_CARRIED_OUT: Final[Json] = {
    "expression": (
        "{http.error.status_code} == 503"
        " || {http.error.status_code} == 502"
        " && ({http.error.message}.startsWith('dial ') || {http.request.method} in ['GET', 'HEAD', 'OPTIONS'])"
    )
}

# A body that ends before its end, or with malformed chunks or trailers, is met while it is passed on, and Caddy takes
# that for a failure of the service. These are the words of Go's reader of bodies (net/http/internal/chunked.go, and
# readTrailer of net/http/transfer.go); where the service breaks off they are others, or stand behind "net/http: ".
_WORDS_FOR_BROKEN: Final = (
    "unexpected EOF",
    "header line too long",
    "chunked encoding contains too much non-data",
    "malformed chunked encoding",
    "chunked line ends with bare LF",
    "invalid CR in chunked line",
    "empty hex number for chunk length",
    "invalid byte in chunk length",
    "http chunk length too large",
    "http: unexpected EOF reading trailer",
    "http: suspiciously long trailer after chunked body",
    "malformed MIME header.*",
)
# Where it stands behind "readfrom", the body came from the client; alone it is about the service.
_CLIENT_RESET: Final = "readfrom .*: read tcp .*: connection reset by peer"
_BODY_BROKEN: Final[Json] = {
    "expression": (
        "{http.error.status_code} == 502"
        f" && {{http.error.message}}.matches('^((readfrom .*: )?({'|'.join(_WORDS_FOR_BROKEN)})|{_CLIENT_RESET})$')"
    )
}
_BROKEN_BODY: Final = (
    "INVALID_PARAMETER_VALUE",
    "The body of the request ended before its announced end, or its chunks or trailers are not well-formed.",
)


def _when(
    matcher: Json,
    status: int,
    error: tuple[str, str] | None = None,
) -> Json:
    code, message = error or _ERRORS[status]
    body = {"error_code": code, "message": message, "request_id": _REQUEST_ID}
    answer = {**_answer(status, body), "close": status in _UNREAD}
    return {"match": [matcher], "handle": [answer], "terminal": True}


def _answer(status: int | str, body: Json) -> Json:
    values = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {
        "handler": "static_response",
        "status_code": status,
        "headers": {name: [value] for name, value in values.items()},
        "body": json.dumps(body),
    }
