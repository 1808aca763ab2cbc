"""Which roles a stack assigns, and the holder of each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.guardrails.resource import UNKNOWN, Resource
from infra.guardrails.rule import Broken, differs

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# The identities that pipelines sign in with; every other one runs a service.
_OF_PIPELINES = re.compile(r"(?:.*-)?(?:deploy|preview|build)")


def role_is_of_the_table(resource: Resource) -> Iterator[Broken]:
    """Refuse a role that the program's own table does not have, such as Owner and User Access Administrator."""
    from components.azure.roles import AzureRole

    role = _role(resource)
    if role is not None and role not in set(AzureRole):
        names = ", ".join(one.name for one in AzureRole)
        yield Broken(path="roleDefinitionId", value=role, allowed=f"the roles of AzureRole: {names}")


def services_have_no_broad_role(resource: Resource) -> Iterator[Broken]:
    """Refuse a role over whole resource groups for the identity of a service."""
    # Imported here: the SDK takes its time, and a stack on one machine has no roles.
    from components.azure.roles import AzureRole

    broad = (AzureRole.CONTRIBUTOR, AzureRole.RBAC_ADMINISTRATOR, AzureRole.LOCKS_CONTRIBUTOR)
    role = _role(resource)
    if role in broad and not _OF_PIPELINES.fullmatch(resource.parent):
        yield Broken(
            path="roleDefinitionId",
            value=AzureRole(role).name,
            allowed=f"for {resource.parent or resource.name} a role on its data; this one is a pipeline's",
        )


def administrator_has_a_condition(resource: Resource) -> Iterator[Broken]:
    """Refuse an administrator of rights who could grant any right to anybody."""
    from components.azure.roles import AzureRole

    if _role(resource) == AzureRole.RBAC_ADMINISTRATOR and not resource.at("condition"):
        yield Broken(path="condition", value=None, allowed="the roles and identities that may be granted")


def holder_is_an_identity(resource: Resource) -> Iterator[Broken]:
    """Refuse a right of a person or a group: those are given outside of the stack, where somebody reviews them."""
    yield from differs(resource, "principalType", "ServicePrincipal")


def _role(resource: Resource) -> str | None:
    found = resource.at("roleDefinitionId")
    if found is UNKNOWN or found is None:
        return None
    matched = _GUID.search(str(found).rpartition("/")[2])
    return matched[0].lower() if matched else str(found)
