"""Who may do what: every role assignment of a stack, from one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.azure.federated_subject import FederatedSubject
from components.azure.identity import Identity, IdentityArgs
from components.azure.roles import AzureRole, assign, only_these_grants
from components.mlflow.roles import Role
from infra import rights
from infra.azure.compute import Place
from infra.azure.data import Data
from infra.azure.foundation import Foundation
from infra.settings.azure import GithubSettings


@dataclass(frozen=True, kw_only=True)
class Grant:
    """`holder` may do what `role` says on a part of the data: images, artifacts, their account, vault or one secret of
    the vault."""

    holder: Role
    role: AzureRole
    on: str
    secret: str = ""


def grants(*, clients_reach_blob: bool, services_pull: bool = True, certificate: str | None = None) -> list[Grant]:
    """The least that the platform's identities need on Azure. Rights inside the databases are prepare's to give.

    With `clients_reach_blob` who writes artifacts may sign URLs for others: that right is on an account or nowhere.
    Without `services_pull` whoever runs them pulls their image. `certificate` is the secret that the gateway reads.
    """
    pulls = [Grant(holder=role, role=AzureRole.ACR_PULL, on="images") for role in Role if services_pull]
    reads = [
        Grant(holder=role, role=AzureRole.STORAGE_BLOB_DATA_READER, on="artifacts") for role in rights.BLOB_READERS
    ]
    writes = [
        Grant(holder=role, role=AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR, on="artifacts") for role in rights.BLOB_WRITERS
    ]
    secrets = [
        Grant(holder=role, role=AzureRole.KEY_VAULT_SECRETS_USER, on="secret", secret=secret)
        for role, named in rights.SECRETS.items()
        for secret in named
    ]
    if certificate is not None:
        user = AzureRole.KEY_VAULT_SECRETS_USER
        secrets.append(Grant(holder=Role.GATEWAY, role=user, on="secret", secret=certificate))
    officer = Grant(holder=rights.SECRETS_OFFICER, role=AzureRole.KEY_VAULT_SECRETS_OFFICER, on="vault")
    signs = [
        Grant(holder=role, role=AzureRole.STORAGE_BLOB_DELEGATOR, on="account")
        for role in rights.BLOB_WRITERS
        if clients_reach_blob
    ]
    return [*pulls, *reads, *writes, *signs, *secrets, officer]


def grant_access(base: Foundation, data: Data, *, clients_reach_blob: bool, place: Place) -> Sequence[pulumi.Resource]:
    """Create every grant. Azure takes minutes to honour one, so the services retry what they are refused at first."""
    of_services = grants(
        clients_reach_blob=clients_reach_blob, services_pull=place.pulls is None, certificate=_certificate(place)
    )
    pulls = [
        assign(
            # One name for every cluster: two can have one identity for their nodes, or are one with two namespaces.
            # Azure refuses a second assignment of the same; for another identity the engine creates its own first.
            "identity-cluster-nodes-images",
            scope=data.images.id,
            principal_id=identity.principal_id,
            role=AzureRole.ACR_PULL,
            subscription_id=base.subscription_id,
            parent=identity,
        )
        for identity in (place.pulls,)
        if identity is not None
    ]
    return pulls + [
        assign(
            f"identity-{grant.holder}-{grant.secret or grant.on}",
            scope=_scope(data, grant),
            principal_id=base.identities[grant.holder].principal_id,
            role=grant.role,
            subscription_id=base.subscription_id,
            parent=base.identities[grant.holder],
        )
        for grant in of_services
    ]


def admit_workflows(base: Foundation, github: GithubSettings, place: Place) -> dict[str, pulumi.Output[str]]:
    """Create identities for GitHub's workflows, without a secret: one deploys, one only reads. Return outputs.

    To deploy is to change everything in the resource group, to grant each of the platform's identities its own roles,
    and to take locks off and set them again. Neither identity holds a right on blobs, secrets or the database. Whoever
    deploys can still act as every identity of the group, by what runs as it: see "What deploy can make of itself" in
    docs/azure.md.
    """
    of_services = grants(clients_reach_blob=True, certificate=_certificate(place))
    of_cluster = [(identity.principal_id, role) for identity, role in place.grants]
    admitted = grants_of_the_platform(base.identities, of_services, of_cluster)
    deploy = _workflow(base, "deploy", github.repository, github.deploy_environment)
    preview = _workflow(base, "preview", github.repository, github.preview_environment)
    for holder, name, role, condition in (
        (deploy, "deploy", AzureRole.CONTRIBUTOR, None),
        (deploy, "deploy", AzureRole.RBAC_ADMINISTRATOR, admitted),
        (deploy, "deploy", AzureRole.LOCKS_CONTRIBUTOR, None),
        (preview, "preview", AzureRole.READER, None),
        *((deploy, "deploy", role, None) for role in place.deploy_roles),
        *((preview, "preview", role, None) for role in place.preview_roles),
    ):
        assign(
            f"identity-{name}-{role.name.lower().replace('_', '-')}",
            scope=base.group_id,
            principal_id=holder.principal_id,
            role=role,
            subscription_id=base.subscription_id,
            parent=holder,
            condition=condition,
        )
    return {"deploy_client_id": deploy.client_id, "preview_client_id": preview.client_id}


def grants_of_the_platform(
    identities: Mapping[Role, Identity],
    of_services: Sequence[Grant] | None = None,
    more: Sequence[tuple[pulumi.Input[str], AzureRole]] = (),
) -> pulumi.Output[str]:
    """Return the condition that admits what any stack's file can ask for: no switch in it needs an administrator.

    `of_services` are all that the services may need (default: those of Container Apps), `more` what other identities
    do, each by its principal's id.

    It names principals, which Azure chooses when it creates the identities. So who creates them writes it, and a new or
    recreated identity needs an administrator again: deploy cannot change its own rights.
    """
    wanted = grants(clients_reach_blob=True) if of_services is None else of_services
    own: list[tuple[pulumi.Input[str], AzureRole]] = [
        (identities[grant.holder].principal_id, grant.role) for grant in wanted
    ]
    given = [*own, *more]
    ids = pulumi.Output.all(*(principal for principal, _ in given))

    def condition(known: Sequence[str]) -> str:
        roles: dict[str, list[AzureRole]] = {}
        for principal, (_, role) in zip(known, given, strict=True):
            roles.setdefault(principal, []).append(role)
        return only_these_grants(roles)

    return ids.apply(condition)


def _certificate(place: Place) -> str | None:
    return None if place.gateway_tls is None else place.gateway_tls.secret


def _workflow(base: Foundation, purpose: str, repository: str, environment: str) -> Identity:
    return Identity(
        f"identity-{purpose}",
        IdentityArgs(
            identity_name=base.names.delivery_identity(purpose),
            location=base.location,
            resource_group_name=base.group,
            tags=base.tags,
            federated=[FederatedSubject.github_environment(repository, environment)],
        ),
    )


def _scope(data: Data, grant: Grant) -> pulumi.Output[str]:
    if grant.secret:
        return data.vault.secret_scope(grant.secret)
    scopes = {
        "images": data.images.id,
        "artifacts": data.store.container_id,
        "account": data.store.id,
        "vault": data.vault.id,
    }
    return scopes[grant.on]
