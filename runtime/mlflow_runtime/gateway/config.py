"""The gateway's Caddy configuration as a pure function of its settings.

A request passes, in this order: its id and its headers are put right, its doubled slashes are merged, the gateway's
own `/live` and `/ready`, the check of its Host, of its path, of its size, and then the service that owns its path. A
request with an ordinary path skips the rules about paths: only its headers, its Host and its size count. Whatever stops
a request on the way becomes an error in MLflow's shape.
"""

from __future__ import annotations

from typing import Any, Final

from mlflow_runtime.gateway import answers, draining, headers, log, upstream
from mlflow_runtime.gateway.settings import MIB, Settings
from mlflow_runtime.routes import (
    LIVE_PATH,
    METRICS_PATH,
    NOT_PLAIN,
    ONLY_IN_NAMES,
    ORDINARY,
    PREFIXES,
    READY_PATH,
    ServiceRole,
    doubled,
    pattern,
)

Json = dict[str, Any]

CLIENT_IDLE: Final = "120s"
HEADER_TIMEOUT: Final = "10s"
# More than a service answers (`LIMIT_KIB` of middleware/head_limit.py): Caddy itself answers a longer head with 431 and
# then resets the connection, so that many clients see no answer.
MAX_HEADER_BYTES: Final = 256 * 1024

# A transfer may take as long as it likes while it moves: a body that stands still for a minute or trickles in below
# 1 KiB/s on the whole holds a connection for nothing.
STALL_TIMEOUT: Final = "60s"
LEAST_BYTES_PER_SECOND: Final = 1024


def render(settings: Settings, certificates: str | None = None) -> Json:
    """The whole configuration, ready for `json.dumps`. `certificates` is where a gateway with TLS gets its own."""
    return {
        # No way in but the port: no admin endpoint, nothing kept on disk, no certificate management.
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": log.logging(),
        "apps": {
            "tls": {"disable_storage_clean": True, **_certificates(certificates)},
            "http": {
                "shutdown_delay": f"{settings.drain_seconds}s",
                "grace_period": f"{settings.grace_seconds - settings.drain_seconds}s",
                "metrics": {},
                "servers": {"gateway": _server(settings), **_metrics(settings.listen_for_metrics)},
            },
        },
    }


def _server(settings: Settings) -> Json:
    return {
        "listen": [settings.listen],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        **_tls(settings),
        "read_header_timeout": HEADER_TIMEOUT,
        "read_idle_timeout": STALL_TIMEOUT,
        "read_min_rate": LEAST_BYTES_PER_SECOND,
        "write_idle_timeout": STALL_TIMEOUT,
        "idle_timeout": CLIENT_IDLE,
        "max_header_bytes": MAX_HEADER_BYTES,
        "logs": {},
        # One route to Caddy's metrics, which take their time for each that a request passes.
        "routes": [{"handle": [{"handler": "subroute", "routes": _routes(settings)}]}],
        "errors": {"routes": [*headers.answer_routes(), *answers.routes()]},
    }


def _routes(settings: Settings) -> list[Json]:
    """What a request passes, in order."""
    return [
        *headers.routes(),
        *draining.routes(),
        _unless_ordinary(*_of_any_path(settings)),
        _other_host(settings),
        _size(settings.max_body),
        _unless_ordinary(
            *(
                {
                    "match": [{"path_regexp": {"pattern": pattern(role)}}],
                    "handle": upstream.service(settings, role),
                }
                for role in PREFIXES
            )
        ),
        {"handle": upstream.service(settings, ServiceRole.TRACKING)},
    ]


def _unless_ordinary(*routes: Json) -> Json:
    """Routes that look at the path, which they need not for nearly all requests."""
    # Not `path_regexp`, which cleans the path before it looks.
    ordinary: Json = {"vars_regexp": {"{http.request.uri.path}": {"pattern": ORDINARY}}}
    return {"match": [{"not": [ordinary]}], "handle": [{"handler": "subroute", "routes": list(routes)}]}


def _of_any_path(settings: Settings) -> list[Json]:
    return [
        *_merge_slashes(),
        {"match": [{"path_regexp": {"pattern": f"^{LIVE_PATH}$"}}], "handle": _unlogged(answers.live())},
        {
            "match": [{"path_regexp": {"pattern": f"^{READY_PATH}$"}}],
            "handle": _unlogged(upstream.readiness(settings)),
        },
        _other_host(settings),
        {
            "match": [{"vars_regexp": {"{http.request.uri.path}": {"pattern": NOT_PLAIN}}}],
            "handle": [answers.refuse(400)],
        },
        {
            "match": [
                {
                    "not": [{"path_regexp": {"pattern": pattern(ServiceRole.ARTIFACTS)}}],
                    "vars_regexp": {"{http.request.uri.path}": {"pattern": ONLY_IN_NAMES}},
                }
            ],
            "handle": [answers.refuse(400)],
        },
        {
            # A service's own, for who watches it.
            "match": [{"vars_regexp": {"{http.request.uri.path}": {"pattern": f"^{METRICS_PATH}$"}}}],
            "handle": [answers.refuse(404)],
        },
        {
            "match": [{"method": ["PUT"], "path_regexp": {"pattern": pattern(ServiceRole.ARTIFACTS)}}],
            **_size(settings.max_artifact),
        },
    ]


def _other_host(settings: Settings) -> Json:
    return {
        "match": [{"not": [{"header": {"Host": list(settings.public_hosts)}}]}],
        "handle": [answers.refuse(403)],
    }


def _size(most: int) -> Json:
    """The limit of a body. Only the first one that a request meets counts."""
    return {"group": "size", "handle": _limit(most)}


def _tls(settings: Settings) -> Json:
    """A probe of the platform gives no name; it gets the certificate of the gateway's own."""
    if settings.tls is None:
        return {}
    return {"tls_connection_policies": [{"default_sni": settings.tls.host, "fallback_sni": settings.tls.host}]}


def _certificates(url: str | None) -> Json:
    """Ask for it at each handshake, and nobody else for another one."""
    if url is None:
        return {}
    return {"automation": {"policies": [{"get_certificate": [{"via": "http", "url": url}]}]}}


def _merge_slashes() -> list[Json]:
    """Make one of doubled slashes; in a path of artifacts only up to the end of its prefix. `%2F` stays as it is."""

    def merge(find: str, replace: str) -> Json:
        return {"handler": "rewrite", "path_regexp": [{"find": find, "replace": replace}]}

    # The matcher reads the path with merged slashes.
    other_path: Json = {"not": [{"path_regexp": {"pattern": pattern(ServiceRole.ARTIFACTS)}}]}
    return [
        {"match": [other_path], "handle": [merge("/{2,}", "/")]},
        {"handle": [merge(doubled(prefix), f"{prefix}/") for prefix in PREFIXES[ServiceRole.ARTIFACTS]]},
    ]


def _metrics(listen: str | None) -> Json:
    """A server of its own, so that no way leads to it from where clients come in."""
    if listen is None:
        return {}
    served: Json = {"match": [{"path": [METRICS_PATH]}], "handle": [{"handler": "metrics"}]}
    absent: Json = {"handle": [{"handler": "static_response", "status_code": 404}]}
    server: Json = {
        "listen": [listen],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "read_header_timeout": HEADER_TIMEOUT,
        "idle_timeout": CLIENT_IDLE,
        "max_header_bytes": MAX_HEADER_BYTES,
        "routes": [{**served, "terminal": True}, absent],
    }
    return {"metrics": server}


def _unlogged(handler: Json) -> list[Json]:
    """Probes come every few seconds and say nothing that the health log does not."""
    return [{"handler": "vars", "log_skip": True}, handler]


def _limit(size: int) -> list[Json]:
    """Refuse a body that announces more than `size` bytes before any of it is read, and cut one that grows beyond."""
    length = "{http.request.header.Content-Length}"
    too_long: Json = {"match": [{"expression": f"int({length}) > {size}"}], "handle": [answers.refuse(413)]}
    # Of fewer digits are nearly all lengths, and an expression takes an eighth of the gateway's time for a request.
    perhaps: Json = {
        "match": [{"header_regexp": {"Content-Length": {"pattern": f"^[0-9]{{{len(str(size))},}}$"}}}],
        "handle": [{"handler": "subroute", "routes": [too_long]}],
    }
    return [
        {"handler": "vars", answers.LIMIT_VARIABLE: size // MIB},
        {"handler": "subroute", "routes": [perhaps]},
        {"handler": "request_body", "max_size": size},
    ]
