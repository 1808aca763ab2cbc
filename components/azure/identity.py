"""A user-assigned managed identity, which subjects outside of Azure may act as without a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import managedidentity

from components.azure.federated_subject import FederatedSubject

_CREDENTIAL_LIMIT = 20  # of one identity, by Microsoft's "Workload identity federation considerations"


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """`federated` decides which credentials exist and is plain. `identity_name`: 3 to 128 characters.

    `exists`, plain, means that another program made the identity: it is looked up by `subscription_id`, group and name.
    """

    location: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    identity_name: pulumi.Input[str]
    federated: Sequence[FederatedSubject] = ()
    exists: bool = False
    subscription_id: str = ""

    def __post_init__(self) -> None:
        if len(self.federated) > _CREDENTIAL_LIMIT:
            raise ValueError(
                f"federated: {len(self.federated)} subjects were given, an identity takes {_CREDENTIAL_LIMIT}; "
                "share them out among more identities."
            )
        subjects = [subject.subject for subject in self.federated]
        if repeated := sorted({subject for subject in subjects if subjects.count(subject) > 1}):
            raise ValueError(f"federated: {repeated} given more than once; give each subject once.")


class Identity(pulumi.ComponentResource):
    """One identity for one purpose: a service, prepare, or a delivery job. It has no rights until `roles.assign`.

    Deploying and previewing are two identities, so that a pull request's job never holds what a deployment may do.

        deploy = Identity("deploy", IdentityArgs(
            location="westeurope", resource_group_name=group.name, tags=tags, identity_name="id-shop-deploy",
            federated=[FederatedSubject.github_environment("acme/shop", "prod")],
        ))
        roles.assign("deploy-contributor", scope=group.id, principal_id=deploy.principal_id,
                     role=AzureRole.CONTRIBUTOR, …)

    It refuses wildcards, repeated subjects, and more credentials than Azure takes. Sources: Microsoft Learn, "Workload
    identity federation considerations"; GitHub Docs, "OpenID Connect reference" (subjects).
    """

    id: pulumi.Output[str]
    client_id: pulumi.Output[str]
    principal_id: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:azure:Identity", name, {}, opts)
        self._own_name, self._args = name, args
        self._credentials: list[pulumi.Resource] = []
        identity = self._found(name, args) if args.exists else self._created(name, args)
        self.id = identity.id
        self.client_id = identity.client_id
        self.principal_id = identity.principal_id
        self.name = identity.name
        for subject in args.federated:
            self.federate(subject)
        self.register_outputs(
            {"id": self.id, "client_id": self.client_id, "principal_id": self.principal_id, "name": self.name}
        )

    def federate(self, subject: FederatedSubject) -> managedidentity.FederatedIdentityCredential:
        """Let a subject act as the identity: for one whose issuer comes later than the identity, such as a cluster."""
        credential = managedidentity.FederatedIdentityCredential(
            f"{self._own_name}-{subject.credential_name}",
            federated_identity_credential_resource_name=subject.credential_name,
            resource_name_=self.name,
            resource_group_name=self._args.resource_group_name,
            issuer=subject.issuer,
            subject=subject.subject,
            audiences=[subject.audience],
            # One after the other: Azure refuses two writes to the credentials of one identity at the same time.
            opts=pulumi.ResourceOptions(parent=self, depends_on=self._credentials[-1:]),
        )
        self._credentials.append(credential)
        return credential

    def _created(self, name: str, args: IdentityArgs) -> managedidentity.UserAssignedIdentity:
        return managedidentity.UserAssignedIdentity(
            f"{name}-identity",
            resource_name_=args.identity_name,
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _found(self, name: str, args: IdentityArgs) -> managedidentity.UserAssignedIdentity:
        identifier = pulumi.Output.concat(
            f"/subscriptions/{args.subscription_id}/resourceGroups/",
            args.resource_group_name,
            "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/",
            args.identity_name,
        )
        return managedidentity.UserAssignedIdentity.get(
            f"{name}-identity", identifier, opts=pulumi.ResourceOptions(parent=self)
        )
