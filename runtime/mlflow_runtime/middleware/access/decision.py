"""Where a request goes, and whether its caller may. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote

from mlflow_runtime.middleware.access import refusals
from mlflow_runtime.middleware.access.classes import (
    CLASSES,
    LEAST_ROLE,
    SHARED_ARTIFACT_ROUTES,
    SHARED_MODEL_ROUTES,
    Class,
)
from mlflow_runtime.middleware.access.refusals import Refusal
from mlflow_runtime.middleware.access.roles import Part
from mlflow_runtime.middleware.access.settings import DEFAULT_WORKSPACE, Access
from mlflow_runtime.middleware.access.tokens import Caller

_ARTIFACTS: Final = re.compile(
    r"/(?:ajax-)?api/2\.0/mlflow-artifacts/(?:artifacts|mpu/[a-z]+|presigned)(?:/(.*))?", re.DOTALL
)
_SHARED_FOLDER: Final = "workspaces"
_DECODINGS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as far as it matters here. `route` is its name in the table of classes, `artifacts` are the artifact
    paths that it names by its path and its query, `workspace` is the header's, empty if it has none.
    """

    method: str
    route: str | None
    workspace: str
    artifacts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """A request that goes on to MLflow, in this workspace."""

    caller: Caller
    workspace: str
    kind: Class


def decide(access: Access, caller: Caller, asked: Asked) -> Allowed | Refusal:
    """Return what becomes of a request of a caller."""
    if caller.oid in access.blocked:
        return refusals.blocked(access, caller)
    if not caller.roles:
        return refusals.no_role(access, caller)
    kind = CLASSES.get(asked.route or "")
    if asked.route is None or kind is None:
        return refusals.no_route(caller, asked.method)
    if kind is Class.FORBIDDEN:
        return refusals.forbidden(access, caller, asked.route)
    where = workspace_of(caller, asked.workspace)
    if kind is Class.OPEN:
        # Whatever the page has in its header is shown as far as it is the caller's.
        own = where if where in caller.roles else min(caller.roles)
        return Allowed(caller=caller, workspace=own, kind=kind)
    if where not in caller.roles:
        part = caller.parts.get(where)
        if part is None:
            return refusals.not_a_member(access, caller, where)
        if not _is_shared(part, asked, where):
            return refusals.not_shared(access, caller, where)
        return Allowed(caller=caller, workspace=where, kind=kind)
    if caller.roles[where] < LEAST_ROLE[kind]:
        return refusals.role_too_low(access, caller, where, kind)
    if not all(inside(path, where) for path in asked.artifacts):
        return refusals.artifact_root(caller, where)
    return Allowed(caller=caller, workspace=where, kind=kind)


def _is_shared(part: Part, asked: Asked, workspace: str) -> bool:
    """Return whether a request may read what is shared. Whether a model is, patches/shared_parts.py looks at its name,
    which may be in a body; artifacts are looked at there once more.
    """
    if asked.route in SHARED_MODEL_ROUTES:
        return bool(part.models)
    return (
        asked.route in SHARED_ARTIFACT_ROUTES
        and bool(asked.artifacts)
        and all(inside(path, workspace) and part.has_artifacts(path, workspace) for path in asked.artifacts)
    )


def workspace_of(caller: Caller, header: str) -> str:
    """Return the workspace that a request is for: the header's, else the caller's only own one, else `default`.

    Clients without workspaces, such as MLflow's for Java, send no header.
    """
    named = header.strip()
    if named:
        return named
    own = [each for each in caller.roles if each not in caller.shared]
    return own[0] if len(own) == 1 else DEFAULT_WORKSPACE


def artifact_paths(path: str, query: bytes) -> tuple[str, ...]:
    """Return the artifact paths that a request to the artifacts service names. `path` is decoded once."""
    found = _ARTIFACTS.fullmatch(path)
    if found is None:
        return ()
    return tuple(filter(None, (found[1], *parse_qs(query.decode("latin-1")).get("path", ()))))


def inside(path: str, workspace: str) -> bool:
    """Return whether an artifact path is in the workspace, however often it is encoded and however it is spelled.

    It is, unless it leads upwards or into the folder of all teams without going on into the workspace's own.
    """
    seen = path
    for _ in range(_DECODINGS):
        # The empty segments and the dots are those that a store or a proxy would drop.
        segments = [part for part in re.split(r"[/\\]+", seen) if part not in ("", ".")]
        if ".." in segments:
            return False
        if segments[:1] == [_SHARED_FOLDER] and segments[1:2] != [workspace]:
            return False
        decoded = unquote(seen)
        if decoded == seen:
            return True
        seen = decoded
    return False
