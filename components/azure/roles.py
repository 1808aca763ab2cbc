"""Azure's built-in roles that the platform assigns, and assignments whose names stay the same.

Sources: Microsoft Learn, "Azure built-in roles" (names and ids, which are the same in every tenant) and "Assign Azure
roles using Azure Resource Manager templates" (an assignment's name is a GUID, unique per scope, principal and role);
for conditions "Azure role assignment condition format and syntax", "Delegate Azure role assignment management to others
with conditions" and "Examples to delegate Azure role assignment management with conditions".
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Sequence

import pulumi
from pulumi_azure_native import authorization

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mlflow-platform:role-assignments")
_CONDITION_VERSION = "2.0"
_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
# An assignment that is made is described by the request; one that is taken away, by what is there.
_SOURCES = {"write": "@Request", "delete": "@Resource"}


class AzureRole(enum.StrEnum):
    """Built-in role definitions by id; a member's comment is the role's name on Microsoft's page."""

    ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"  # AcrPull
    CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"  # Contributor
    KEY_VAULT_SECRETS_OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"  # Key Vault Secrets Officer
    KEY_VAULT_SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"  # Key Vault Secrets User
    LOCKS_CONTRIBUTOR = "28bf596f-4eb7-45ce-b5bc-6cf482fec137"  # Locks Contributor
    RBAC_ADMINISTRATOR = "f58310d9-a9f6-439a-9e8d-f62e7b41a168"  # Role Based Access Control Administrator
    READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"  # Reader
    STORAGE_BLOB_DATA_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"  # Storage Blob Data Contributor
    STORAGE_BLOB_DATA_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"  # Storage Blob Data Reader
    STORAGE_BLOB_DELEGATOR = "db58b8e5-c6ad-4a2a-8342-4190687cbf4a"  # Storage Blob Delegator


def role_definition_id(subscription_id: pulumi.Input[str], role: AzureRole) -> pulumi.Output[str]:
    """The ARM id of a built-in role as a subscription sees it.

    Azure answers with the subscription's form of the id also where the short form was given, so only this one does not
    show as a difference at the next preview.
    """
    return pulumi.Output.concat(
        "/subscriptions/", subscription_id, "/providers/Microsoft.Authorization/roleDefinitions/", role.value
    )


def assignment_name(scope: str, principal_id: str, role: AzureRole) -> str:
    """The GUID of an assignment: the same for the same three, whatever their upper and lower case, and no other.

    ARM ids and GUIDs are case-insensitive, and Azure is not consistent in the case that it answers with.
    """
    return str(uuid.uuid5(_NAMESPACE, "\n".join((scope.rstrip("/").lower(), principal_id.lower(), role.value))))


def assign(
    name: str,
    *,
    scope: pulumi.Input[str],
    principal_id: pulumi.Input[str],
    role: AzureRole,
    subscription_id: pulumi.Input[str],
    parent: pulumi.Resource,
    condition: str | None = None,
) -> authorization.RoleAssignment:
    """Give a managed identity a role on a scope, under a name that previews and new state files agree on.

    A random name would make a lost or repeated assignment a conflict (RoleAssignmentExists). It takes minutes until
    Azure honours an assignment: what depends on it must retry. The principal is always a service principal: people get
    their rights outside of this program, and with the type given Azure does not look for an identity that is too new
    to be found. `condition` narrows what the role allows, such as `only_these_roles`, and is no part of the name: it
    can be changed in place.
    """
    stable = pulumi.Output.all(scope, principal_id).apply(lambda of: assignment_name(of[0], of[1], role))
    return authorization.RoleAssignment(
        name,
        role_assignment_name=stable,
        scope=scope,
        principal_id=principal_id,
        principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
        role_definition_id=role_definition_id(subscription_id, role),
        condition=condition,
        condition_version=None if condition is None else _CONDITION_VERSION,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def only_these_roles(roles: Sequence[AzureRole]) -> str:
    """The condition under which an RBAC administrator gives and takes these roles alone, to service principals alone.

    It is for an assignment of `AzureRole.RBAC_ADMINISTRATOR`: so a deploying identity can grant the platform's
    identities their rights, and neither a person nor itself any others. The order of the roles does not matter.

        assign("deploy-grants-roles", scope=group.id, principal_id=deploy.principal_id, subscription_id=subscription_id,
               role=AzureRole.RBAC_ADMINISTRATOR, condition=only_these_roles([AzureRole.ACR_PULL]), parent=deploy)

    Raises ValueError for no role at all, and for RBAC_ADMINISTRATOR among them: whoever may give that can give it
    without a condition, and then everything.
    """
    if not roles:
        raise ValueError("roles: none; at least one is needed. Name them, or assign no administrator.")
    if AzureRole.RBAC_ADMINISTRATOR in roles:
        raise ValueError(
            "roles: RBAC_ADMINISTRATOR is among them; allowed: any other role, since it could be given on without a "
            "condition. Leave it out."
        )
    ids = ", ".join(sorted(set(roles)))
    return " AND ".join(
        f"((!(ActionMatches{{'{_ASSIGNMENTS}/{verb}'}})) OR "
        f"({source}[{_ASSIGNMENTS}:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{ids}}}"
        f" AND {source}[{_ASSIGNMENTS}:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase"
        f" {{'{authorization.PrincipalType.SERVICE_PRINCIPAL.value}'}}))"
        for verb, source in _SOURCES.items()
    )
