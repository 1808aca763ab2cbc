"""What the gateway logs: one JSON object a line on standard output."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

_HEALTH_LOGGER: Final = "http.handlers.reverse_proxy.health_checker.active"
_MINUTE_IN_NANOSECONDS: Final = 60 * 10**9

# Headers and query strings are where credentials travel, under names that nobody can list, so neither is logged.
_FIELDS: Final[Json] = {
    "request>headers": {"filter": "delete"},
    "request>uri": {"filter": "regexp", "regexp": r"\?.*", "value": ""},
    "request>remote_port": {"filter": "delete"},
    "request>client_ip": {"filter": "delete"},
    "resp_headers": {"filter": "delete"},
    "user_id": {"filter": "delete"},
    "uuid": {"filter": "rename", "name": "request_id"},
}


def logging() -> Json:
    """Access log and messages; a replica that stays down is named a few times a minute, not at every check."""
    return {
        "logs": {
            "default": {**_log(), "exclude": [_HEALTH_LOGGER]},
            "health": {
                **_log(),
                "include": [_HEALTH_LOGGER],
                "sampling": {"interval": _MINUTE_IN_NANOSECONDS, "first": 5, "thereafter": 1000},
            },
        }
    }


def _log() -> Json:
    return {
        "level": "INFO",
        "writer": {"output": "stdout"},
        "encoder": {"format": "filter", "wrap": {"format": "json", "time_format": "rfc3339_nano"}, "fields": _FIELDS},
    }
