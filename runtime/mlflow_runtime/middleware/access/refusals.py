"""What a refused caller reads: who they are, what is missing, and who can give it. In MLflow's shape, which its client
shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlflow_runtime.middleware.access.classes import LEAST_ROLE, Class
from mlflow_runtime.middleware.access.settings import Access
from mlflow_runtime.middleware.access.tokens import Caller
from mlflow_runtime.responses import Failure

if TYPE_CHECKING:
    from mlflow_runtime.middleware.access.decision import Allowed


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer instead of MLflow's. `reason` is one word for the audit, `caller` is known once there was a token.

    With `sign_in` a person who opens a page is led to sign in.
    """

    reason: str
    failure: Failure
    caller: Caller | None = None
    workspace: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    sign_in: bool = False


def doubled(name: str) -> Refusal:
    """A header that says who or where came twice, and two readers might read two of them."""
    message = f"The header {name} came more than once; send it once."
    return _refusal("doubled-header", 400, "INVALID_PARAMETER_VALUE", message)


def nobody(access: Access, problem: str, *, sign_in: bool = True) -> Refusal:
    """There is no valid token. `problem` is a sentence. `sign_in` is whether a new token would be another one."""
    message = (
        f"{problem} Send `Authorization: Bearer TOKEN` with an Entra token for {access.client_id}: set "
        "MLFLOW_TRACKING_TOKEN to the output of `az account get-access-token --query accessToken -o tsv --scope "
        f"{access.client_id}/.default`. Without access, ask {access.contact}."
    )
    challenge = f'Bearer authorization_uri="{access.authority}/{access.tenant_id}/oauth2/v2.0/authorize"'
    found = _refusal("not-signed-in", 401, "UNAUTHENTICATED", message, headers={"WWW-Authenticate": challenge})
    return replace(found, sign_in=sign_in)


def no_keys(reason: str) -> Refusal:
    """No token can be judged: the platform is at fault, not the caller."""
    message = (
        f"Sign-in is not available at present, since Entra's keys could not be fetched ({reason}); the request can be "
        "sent again."
    )
    return _refusal("no-keys", 503, "TEMPORARILY_UNAVAILABLE", message)


def other_site(allowed: Allowed) -> Refusal:
    """Another site had the browser send a request with the caller's session."""
    message = (
        "A browser's session serves the platform's own pages, and this request does not say that it comes from one. "
        "Open the page by its address; let a program send `Authorization: Bearer TOKEN`."
    )
    return _refusal("other-site", 403, "PERMISSION_DENIED", message, caller=allowed.caller, workspace=allowed.workspace)


def blocked(access: Access, caller: Caller) -> Refusal:
    """The caller is on the list of the blocked."""
    message = f"{caller.name} ({caller.oid}) is blocked on this platform; ask {access.contact}."
    return _refusal("blocked", 403, "PERMISSION_DENIED", message, caller=caller)


def no_role(access: Access, caller: Caller) -> Refusal:
    """The caller has a role in no workspace."""
    message = (
        f"{caller.name} is signed in and has no role in any workspace of this platform; ask {access.contact} for one, "
        "such as WORKSPACE.Reader, and then get a new token."
    )
    return _refusal("no-role", 403, "PERMISSION_DENIED", message, caller=caller)


def no_route(caller: Caller, method: str) -> Refusal:
    """The application has no such route, or none with a class."""
    message = f"There is no route for this {method} request; check the address, and that the client's version fits."
    return _refusal("no-route", 404, "ENDPOINT_NOT_FOUND", message, caller=caller)


def forbidden(access: Access, caller: Caller, route: str) -> Refusal:
    """A route that nobody may use here."""
    message = f"{route} is switched off on this platform, for every role; ask {access.contact} about what it does."
    return _refusal("forbidden", 403, "PERMISSION_DENIED", message, caller=caller)


def not_a_member(access: Access, caller: Caller, workspace: str) -> Refusal:
    """The caller has no role in this workspace, which may not even exist: the answer is the same."""
    own = ", ".join(sorted(caller.roles))
    message = (
        f"{caller.name} has no role in workspace {workspace!r}, only in: {own}. Name one of these in the header "
        f"X-MLFLOW-WORKSPACE (MLFLOW_WORKSPACE for MLflow's client), or ask {access.contact} for "
        f"{workspace}.Reader."
    )
    return _refusal("not-a-member", 403, "PERMISSION_DENIED", message, caller=caller, workspace=workspace)


def not_shared(access: Access, caller: Caller, workspace: str) -> Refusal:
    """The caller reads some models or artifacts of this workspace, and asks for something else."""
    part = caller.parts[workspace]
    artifacts = f" and artifacts of the experiments {', '.join(part.experiments)}" if part.experiments else ""
    message = (
        f"{caller.name} has no role in workspace {workspace!r} and reads of it only the registered models "
        f"{', '.join(part.models) or '(none)'}{artifacts}. Read one of these by its name, or ask {access.contact} for "
        f"{workspace}.Reader."
    )
    return _refusal("not-shared", 403, "PERMISSION_DENIED", message, caller=caller, workspace=workspace)


def role_too_low(access: Access, caller: Caller, workspace: str, kind: Class) -> Refusal:
    """The caller's role in the workspace does not do such a thing."""
    least = LEAST_ROLE[kind].title
    message = (
        f"{caller.name} is {caller.roles[workspace].title} in workspace {workspace!r}; a request that would {kind} "
        f"needs {least}. Ask {access.contact} for {workspace}.{least}, and then get a new token."
    )
    return _refusal("role-too-low", 403, "PERMISSION_DENIED", message, caller=caller, workspace=workspace)


def artifact_root(caller: Caller, workspace: str) -> Refusal:
    """A path of artifacts that is not inside the caller's workspace."""
    message = (
        f"The artifacts' folder `workspaces` holds those of every team; a path below it must begin with "
        f"workspaces/{workspace}/. Leave the prefix out, or name workspace {workspace!r} in it."
    )
    return _refusal("artifact-root", 403, "PERMISSION_DENIED", message, caller=caller, workspace=workspace)


def _refusal(
    reason: str,
    status: int,
    code: str,
    message: str,
    *,
    caller: Caller | None = None,
    workspace: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Refusal:
    failure = Failure(status=status, code=code, message=message)
    return Refusal(reason=reason, failure=failure, caller=caller, workspace=workspace, headers=headers or {})
