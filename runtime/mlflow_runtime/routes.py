"""Which service answers a path: the one table that the gateway and the services' own route filters are made from.

A path is always the decoded one (`scope["path"]` in ASGI, Go's `URL.Path` in the gateway): decoded once, not cleaned,
case kept, since that is what MLflow routes. Caddy's matchers clean a path before they look at it and MLflow does not,
so a path that cleaning would change could mean two things to them. Such paths are not plain: the gateway refuses them,
and for all others its matchers and `role_of` agree.

Doubled slashes, as a base URL with a slash at its end makes them, are merged by the gateway before anybody reads the
path. Only what follows the prefixes of artifacts stays as it is, since there they would be part of a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class ServiceRole(StrEnum):
    """The kinds of service behind the gateway."""

    TRACKING = "tracking"
    REGISTRY = "registry"
    ARTIFACTS = "artifacts"


ANSWERS: Final[Mapping[ServiceRole, str]] = {
    ServiceRole.TRACKING: "experiments, runs, traces, the UI",
    ServiceRole.REGISTRY: "registered models, model versions, webhooks",
    ServiceRole.ARTIFACTS: "uploads and downloads of artifacts",
}
"""What each service answers, in a few words for people."""

WITH_DATABASES: Final = (ServiceRole.TRACKING, ServiceRole.REGISTRY)
"""The services that open MLflow's databases."""


def _both_apis(path: str) -> tuple[str, str]:
    """The path for clients and its twin for the UI."""
    return f"/api/2.0/{path}", f"/ajax-api/2.0/{path}"


# A service owns each of its prefixes and everything below it. Tracking owns all that nobody else does. MCP servers and
# skills keep their data in the tracking store, whatever their names say.
PREFIXES: Final[Mapping[ServiceRole, tuple[str, ...]]] = {
    ServiceRole.REGISTRY: (
        *_both_apis("mlflow/registered-models"),
        *_both_apis("mlflow/model-versions"),
        *_both_apis("mlflow/webhooks"),
        "/model-versions/get-artifact",
    ),
    ServiceRole.ARTIFACTS: _both_apis("mlflow-artifacts"),
}

LIVE_PATH: Final = "/live"
READY_PATH: Final = "/ready"
METRICS_PATH: Final = "/metrics"

# Written in the syntax that Python's `re` and Go's RE2 share: relative, empty segment, dot segment, NUL.
NOT_PLAIN: Final = r"^[^/]|^$|//|[/\\]\.\.?(?:[/\\\x01-\x1f\x7f]|$)|\x00"
# Control characters and the backslash, which files have in their names, and no path but an artifact's.
ONLY_IN_NAMES: Final = r"[\x01-\x1f\x7f\\]"

ORDINARY: Final = r"^/(?:ajax-)?api/2\.0/mlflow/(?:experiments|metrics|runs)/[a-z-]+$"
"""Paths of tracking that no rule about paths says anything of, in the same syntax. Nearly all requests have one."""

_NOT_PLAIN = re.compile(NOT_PLAIN)
_ONLY_IN_NAMES = re.compile(ONLY_IN_NAMES)


_BELOW: Final = {role: tuple(f"{prefix}/" for prefix in prefixes) for role, prefixes in PREFIXES.items()}


def role_of(path: str) -> ServiceRole:
    """The service that answers `path`."""
    folder = f"{path}/"
    for role, below in _BELOW.items():
        if folder.startswith(below):
            return role
    return ServiceRole.TRACKING


def is_plain(path: str) -> bool:
    """Whether `path` means the same to everybody who reads it.

    False for a path that does not start with `/`, or has an empty, `.` or `..` segment. A backslash and control
    characters are plain in an artifact's path only. One slash at the end is fine.
    """
    if _NOT_PLAIN.search(path):
        return False
    return role_of(path) is ServiceRole.ARTIFACTS or _ONLY_IN_NAMES.search(path) is None


def pattern(role: ServiceRole) -> str:
    """The regular expression of the paths that `role` owns by its prefixes, in the syntax that Python and Go share.

    Raises ValueError for tracking, which owns what is left over.
    """
    if role not in PREFIXES:
        raise ValueError(f"{role} owns only what {' and '.join(PREFIXES)} leave over; ask for one of these.")
    return f"^(?:{'|'.join(map(re.escape, PREFIXES[role]))})(?:/|$)"


def doubled(prefix: str) -> str:
    """The regular expression of a prefix and the slash behind it, each slash once or more often, in the same syntax."""
    return "^" + "/+".join(map(re.escape, f"{prefix}/".split("/")))
