"""Which headers pass the gateway, and which it sets."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

REQUEST_ID: Final = "X-Request-Id"

# Never taken from a client, in Caddy's syntax: `*` at the end for all names that start so, at both ends for all that
# contain it. MLflow's Flask half reads headers from a CGI environment, where `X_A` and `X-A` are one, so no name with
# an underscore passes. X-Forwarded-For, -Proto and -Host are set again on the way to a service.
DROPPED_FROM_REQUESTS: Final = (
    "*_*",
    # Who somebody says to be.
    "X-Auth-*",
    "X-Forwarded-*",
    "X-MLFLOW-AUTH-*",
    "X-MS-CLIENT-PRINCIPAL*",
    "X-MS-TOKEN-*",
    "X-Remote-*",
    "X-WEBAUTH-*",
    "Remote-*",
    # Where a request says to come from, and what it says to be instead of what it is.
    "Forwarded",
    "True-Client-IP",
    "X-Client-IP",
    "X-Real-IP",
    "X-HTTP-Method-Override",
    "X-Original-*",
    "X-Rewrite-URL",
    "Proxy",
    REQUEST_ID,
    # With one of these Go's HTTP client would send a POST again; MLflow knows neither.
    "Idempotency-Key",
    "X-Idempotency-Key",
    # No service speaks anything but HTTP/1.1.
    "Upgrade",
    "HTTP2-Settings",
    # The headers that it names are dropped on the way, which must not be a client's choice.
    "Connection",
)

# Only these two words of the ingress before the gateway are listened to. Forging them changes only the forger's
# own answer.
_PUBLIC_SCHEME: Final = "public_scheme"
_BEHIND_HTTPS: Final[Json] = {"header": {"X-Forwarded-Proto": ["https"]}}

_HSTS: Final = "max-age=31536000"


def routes() -> list[Json]:
    """The first steps of every request."""
    return [
        {"handle": [{"handler": "vars", _PUBLIC_SCHEME: "http"}]},
        {"match": [_BEHIND_HTTPS], "handle": [{"handler": "vars", _PUBLIC_SCHEME: "https"}]},
        {
            "handle": [
                {
                    "handler": "log_append",
                    "key": "user_agent",
                    "value": "{http.request.header.User-Agent}",
                    "early": True,
                },
                {
                    "handler": "log_append",
                    "key": "forwarded_for",
                    "value": "{http.request.header.X-Forwarded-For}",
                    "early": True,
                },
                {"handler": "headers", "request": {"delete": list(DROPPED_FROM_REQUESTS)}},
            ]
        },
        *answer_routes(),
    ]


def answer_routes() -> list[Json]:
    """What every answer carries, an error as well. X-Frame-Options is MLflow's: its notebook renderer has none."""
    return [
        {
            "handle": [
                _set_on_answer(
                    {
                        "X-Content-Type-Options": "nosniff",
                        "Referrer-Policy": "same-origin",
                        REQUEST_ID: "{http.request.uuid}",
                    },
                    delete=["Server", "Via"],
                )
            ]
        },
        {
            "match": [{"vars": {_PUBLIC_SCHEME: ["https"]}}],
            "handle": [_set_on_answer({"Strict-Transport-Security": _HSTS})],
        },
    ]


def to_service(host: str | None) -> Json:
    """The headers that a service gets beside the client's own. `host` replaces the client's Host; None leaves it."""
    reported = {REQUEST_ID: "{http.request.uuid}", "X-Forwarded-Proto": f"{{http.vars.{_PUBLIC_SCHEME}}}"}
    if host is not None:
        reported["Host"] = host
    return {"request": {"set": {name: [value] for name, value in reported.items()}}}


def _set_on_answer(values: dict[str, str], delete: list[str] | None = None) -> Json:
    """Deferred, so that it has the last word over what a service set."""
    operations: Json = {"set": {name: [value] for name, value in values.items()}, "deferred": True}
    if delete:
        operations["delete"] = delete
    return {"handler": "headers", "response": operations}
