"""Azure's built-in roles that the platform assigns, and assignments whose names stay the same.

Sources: Microsoft Learn, "Azure built-in roles" (names and ids, which are the same in every tenant) and "Assign Azure
roles using Azure Resource Manager templates" (an assignment's name is a GUID, unique per scope, principal and role);
for conditions "Azure role assignment condition format and syntax", "Delegate Azure role assignment management to others
with conditions" and "Examples to delegate Azure role assignment management with conditions".
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Collection, Mapping, Sequence

import pulumi
from pulumi_azure_native import authorization

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mlflow-platform:role-assignments")
_CONDITION_VERSION = "2.0"
_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
# An assignment that is made is described by the request; one that is taken away, by what is there.
_SOURCES = {"write": "@Request", "delete": "@Resource"}
# Learn, "Azure role assignment condition format and syntax": a condition has at most 8 KB.
_LONGEST_CONDITION = 8 * 1024


class AzureRole(enum.StrEnum):
    """Built-in role definitions by id; a member's comment is the role's name on Microsoft's page."""

    ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"  # AcrPull
    ACR_PUSH = "8311e382-0749-4cb8-b61a-304f252e45ec"  # AcrPush
    AKS_CLUSTER_ADMIN = "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b"  # Azure Kubernetes Service RBAC Cluster Admin
    AKS_CLUSTER_USER = "4abbcc35-e782-43d8-92c5-2d3f1bd2253f"  # Azure Kubernetes Service Cluster User Role
    AKS_READER = "7f6c6a51-bcf8-42ba-9220-52d62157d7db"  # Azure Kubernetes Service RBAC Reader
    CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"  # Contributor
    # Managed Identity Federated Identity Credential Contributor
    IDENTITY_FEDERATION_CONTRIBUTOR = "7e559ce2-48d7-4b27-9128-fa1b247f1308"
    KEY_VAULT_CRYPTO_USER = "12338af0-0e69-4776-bea7-57ae8d297424"  # Key Vault Crypto User
    KEY_VAULT_SECRETS_OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"  # Key Vault Secrets Officer
    KEY_VAULT_SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"  # Key Vault Secrets User
    LOCKS_CONTRIBUTOR = "28bf596f-4eb7-45ce-b5bc-6cf482fec137"  # Locks Contributor
    MANAGED_IDENTITY_OPERATOR = "f1a07417-d97a-45cb-824c-7a7467783830"  # Managed Identity Operator
    NETWORK_CONTRIBUTOR = "4d97b98b-1d4f-4787-a291-c67834d212e7"  # Network Contributor
    RBAC_ADMINISTRATOR = "f58310d9-a9f6-439a-9e8d-f62e7b41a168"  # Role Based Access Control Administrator
    READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"  # Reader
    STORAGE_BLOB_DATA_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"  # Storage Blob Data Contributor
    STORAGE_BLOB_DATA_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"  # Storage Blob Data Reader
    STORAGE_BLOB_DELEGATOR = "db58b8e5-c6ad-4a2a-8342-4190687cbf4a"  # Storage Blob Delegator


def role_definition_id(subscription_id: pulumi.Input[str], role: AzureRole) -> pulumi.Input[str]:
    """The ARM id of a built-in role as a subscription sees it; plain where the subscription is.

    Azure answers with the subscription's form of the id also where the short form was given, so only this one does not
    show as a difference at the next preview.
    """
    tail = f"/providers/Microsoft.Authorization/roleDefinitions/{role.value}"
    if isinstance(subscription_id, str):
        return f"/subscriptions/{subscription_id}{tail}"
    return pulumi.Output.concat("/subscriptions/", subscription_id, tail)


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
    condition: pulumi.Input[str] | None = None,
    principal_type: authorization.PrincipalType = authorization.PrincipalType.SERVICE_PRINCIPAL,
) -> authorization.RoleAssignment:
    """Give a managed identity a role on a scope, under a name that previews and new state files agree on.

    A random name would make a lost or repeated assignment a conflict (RoleAssignmentExists). It takes minutes until
    Azure honours an assignment: what depends on it must retry. The principal is a service principal unless said
    otherwise: with the type given Azure does not look for an identity that is too new to be found. `condition` narrows
    what the role allows, such as `only_these_grants`, and is no part of the name: it can be changed in place.
    """
    stable = pulumi.Output.all(scope, principal_id).apply(lambda of: assignment_name(of[0], of[1], role))
    return authorization.RoleAssignment(
        name,
        role_assignment_name=stable,
        scope=scope,
        principal_id=principal_id,
        principal_type=principal_type,
        role_definition_id=role_definition_id(subscription_id, role),
        condition=condition,
        condition_version=None if condition is None else _CONDITION_VERSION,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def only_these_grants(grants: Mapping[str, Collection[AzureRole]]) -> str:
    """Return the condition under which an RBAC administrator creates and deletes these grants alone.

    `grants` names the roles of each principal by its id. The condition is for an assignment of
    `AzureRole.RBAC_ADMINISTRATOR`: a deploying identity can then grant each of the platform's identities its own roles,
    and no role to itself, to a person or to anybody else. The order of principals and roles does not matter.

        assign("deploy-grants-roles", scope=group.id, principal_id=deploy.principal_id, subscription_id=subscription_id,
               role=AzureRole.RBAC_ADMINISTRATOR, parent=deploy,
               condition=reader.principal_id.apply(lambda id: only_these_grants({id: [AzureRole.ACR_PULL]})))

    Raises ValueError for no grant at all, a principal that is no GUID, RBAC_ADMINISTRATOR among the roles (it could be
    granted on without a condition), and a condition longer than Azure takes.
    """
    for principal, roles in grants.items():
        _require_guid(principal)
        if AzureRole.RBAC_ADMINISTRATOR in roles:
            raise ValueError(
                f"grants: RBAC_ADMINISTRATOR is among those of {principal}; allowed: any other role, since it could be "
                "granted on without a condition. Leave it out."
            )
    allowed = _alternatives(grants)
    if not allowed:
        raise ValueError("grants: none; at least one is needed. Name them, or assign no administrator.")
    condition = " AND ".join(
        f"((!(ActionMatches{{'{_ASSIGNMENTS}/{verb}'}})) OR {' OR '.join(_of(source, *each) for each in allowed)})"
        for verb, source in _SOURCES.items()
    )
    if len(condition) > _LONGEST_CONDITION:
        raise ValueError(
            f"grants: their condition has {len(condition)} characters, Azure takes {_LONGEST_CONDITION}; share the "
            "principals out among more assignments."
        )
    return condition


def _require_guid(principal: str) -> None:
    try:
        uuid.UUID(principal)
    except ValueError:
        raise ValueError(
            f"grants: {principal!r} is no principal's id, which is a GUID; take principal_id of the identity."
        ) from None


def _alternatives(grants: Mapping[str, Collection[AzureRole]]) -> list[tuple[list[str], list[str]]]:
    """Return roles and the principals that may have each of them: no pair is in it that `grants` has not."""
    holders: dict[tuple[str, ...], list[str]] = {}
    for role in sorted({role for roles in grants.values() for role in roles}):
        principals = tuple(sorted(principal.lower() for principal, roles in grants.items() if role in roles))
        holders.setdefault(principals, []).append(role)
    return [(roles, [*principals]) for principals, roles in sorted(holders.items())]


def _of(source: str, roles: Sequence[str], principals: Sequence[str]) -> str:
    attributes = {"RoleDefinitionId": roles, "PrincipalId": principals}
    equal = (
        f"{source}[{_ASSIGNMENTS}:{attribute}] ForAnyOfAnyValues:GuidEquals {{{', '.join(values)}}}"
        for attribute, values in attributes.items()
    )
    return f"({' AND '.join(equal)})"
