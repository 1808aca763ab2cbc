"""How the gateway reaches a service: balance, health, retries, connections."""

from __future__ import annotations

from typing import Any, Final

from mlflow_runtime.gateway import answers, headers
from mlflow_runtime.gateway.settings import Settings
from mlflow_runtime.routes import READY_PATH, ServiceRole

Json = dict[str, Any]

# Below the 75 s after which a service closes an idle connection: whoever closes first cannot meet a request under way.
UPSTREAM_IDLE_SECONDS: Final = 60
UPSTREAM_IDLE_CONNECTIONS: Final = 64

DIAL_TIMEOUT: Final = "2s"
# From the last byte of a request to the first of its answer. Below the 240 s after which Container Apps ends a request
# (Microsoft Learn, "Ingress in Azure Container Apps"), so that the client gets an error of the gateway's, with an id.
ANSWER_TIMEOUT: Final = "220s"

# Two failed checks a second apart take a replica out. Retries go on for longer than that, so that a request which met
# a dead replica outlives the time until all know. A busy replica gets time to answer its check.
HEALTH_INTERVAL: Final = "1s"
HEALTH_TIMEOUT: Final = "5s"
HEALTH_FAILS: Final = 2
RETRIES: Final = 12
RETRY_INTERVAL: Final = "250ms"

SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")

# Worth the processor time, and never an artifact: those come with Content-Disposition.
_COMPRESSED_TYPES: Final = (
    "application/javascript*",
    "application/json*",
    "application/manifest+json*",
    "application/wasm*",
    "font/ttf*",
    "image/svg+xml*",
    "text/css*",
    "text/html*",
    "text/javascript*",
    "text/plain*",
)


def service(settings: Settings, role: ServiceRole) -> list[Json]:
    """Hand a request to a replica of `role`.

    A request that could not be sent is sent to another replica whatever its method. One that was sent and broke off is
    sent again only if it is safe. There is no passive health check: Caddy counts a client's broken upload as a failure
    of the replica, so anybody could take all replicas out; and where the one address is a balancer's, the service.
    """
    proxy: Json = {
        **_proxy(settings, role),
        "load_balancing": {
            "selection_policy": {"policy": "least_conn"},
            "retries": RETRIES,
            "try_interval": RETRY_INTERVAL,
            "retry_match": [{"method": list(SAFE_METHODS)}],
        },
    }
    steps: list[Json] = [
        {"handler": "vars", answers.SERVICE_VARIABLE: role.value},
        {"handler": "log_append", "key": "service", "value": role.value},
        {"handler": "log_append", "key": "upstream", "value": "{http.reverse_proxy.upstream.hostport}"},
        {"handler": "log_append", "key": "retries", "value": "{http.reverse_proxy.retries}"},
    ]
    if role is not ServiceRole.ARTIFACTS:
        steps.append(_compress())
    return [*steps, proxy]


def readiness(settings: Settings) -> Json:
    """Whether one tracking replica at least is ready; asks one that passed its last check, and no second one twice.

    Without checks the gateway is ready when it runs: this question too would reach the platform's balancer as a
    request, every few seconds, and keep a replica of tracking for nobody.
    """
    if not settings.upstream_checks:
        return answers.ready()
    return {
        "handler": "subroute",
        "routes": [
            {
                "handle": [
                    {"handler": "vars", answers.SERVICE_VARIABLE: ServiceRole.TRACKING.value},
                    {
                        **_proxy(settings, ServiceRole.TRACKING),
                        "load_balancing": {
                            "selection_policy": {"policy": "round_robin"},
                            "retries": len(settings.upstreams[ServiceRole.TRACKING]),
                            "try_interval": "50ms",
                            "retry_match": [{"method": list(SAFE_METHODS)}],
                        },
                        "rewrite": {"method": "GET", "uri": READY_PATH},
                        "handle_response": [
                            {"match": {"status_code": [2]}, "routes": [{"handle": [answers.ready()]}]},
                            {"routes": [{"handle": [answers.refuse(503)]}]},
                        ],
                    },
                ]
            }
        ],
    }


def _proxy(settings: Settings, role: ServiceRole) -> Json:
    addresses = settings.upstreams[role]
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": address} for address in addresses],
        "transport": _transport(tls=settings.upstream_tls, keep_alive=_keep_alive(settings)),
        "headers": headers.to_service(_host_for(addresses) if settings.upstream_tls else None),
        **({"health_checks": {"active": _check()}} if settings.upstream_checks else {}),
    }


def _check() -> Json:
    return {
        "uri": READY_PATH,
        "interval": HEALTH_INTERVAL,
        "timeout": HEALTH_TIMEOUT,
        "fails": HEALTH_FAILS,
        "max_size": 64 * 1024,
    }


def _keep_alive(settings: Settings) -> Json:
    """Keep idle connections, but to an address in a cluster.

    There a pod is chosen for each connection, so that a kept one would send everything to the same pod, also when
    others are added. A balancer that speaks TLS chooses for each request.
    """
    if not (settings.upstream_checks or settings.upstream_tls):
        return {"enabled": False}
    return {"idle_timeout": f"{UPSTREAM_IDLE_SECONDS}s", "max_idle_conns_per_host": UPSTREAM_IDLE_CONNECTIONS}


def _transport(*, tls: bool, keep_alive: Json) -> Json:
    transport: Json = {
        "protocol": "http",
        "versions": ["1.1"],
        "dial_timeout": DIAL_TIMEOUT,
        "response_header_timeout": ANSWER_TIMEOUT,
        # What the client accepts goes to the service as it is; nothing is unpacked on the way.
        "compression": False,
        "keep_alive": keep_alive,
    }
    return {**transport, "tls": {}} if tls else transport


def _host_for(addresses: tuple[str, ...]) -> str:
    """Host for services behind TLS, where it chooses the service. The public one is then X-Forwarded-Host."""
    part = "host" if all(address.endswith(":443") for address in addresses) else "hostport"
    return f"{{http.reverse_proxy.upstream.{part}}}"


def _compress() -> Json:
    return {
        "handler": "encode",
        "encodings": {"zstd": {}, "gzip": {}},
        "prefer": ["zstd", "gzip"],
        "minimum_length": 1024,
        "match": {"headers": {"Content-Type": list(_COMPRESSED_TYPES), "Content-Disposition": None}},
    }
