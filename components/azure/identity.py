"""A user-assigned managed identity, and who outside of Azure may act as it without a secret."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import managedidentity

GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
AZURE_DEVOPS_ISSUER = "https://vstoken.dev.azure.com"
AZURE_AUDIENCE = "api://AzureADTokenExchange"

_CREDENTIAL_LIMIT = 20  # of one identity, by Microsoft's "Workload identity federation considerations"


@dataclass(frozen=True, kw_only=True)
class FederatedSubject:
    """A token that is taken instead of a secret: from `issuer`, about exactly `subject`, for `audience`.

    `label` and `subject` are plain, as they name the credential. A subject with `*` is refused: Azure compares exactly,
    so it would match nothing and look as if it matched all.
    """

    label: str
    subject: str
    issuer: pulumi.Input[str] = GITHUB_ISSUER
    audience: str = AZURE_AUDIENCE

    def __post_init__(self) -> None:
        if not self.label:
            raise ValueError("label: must not be empty; give a word that says who signs in.")
        if not self.subject or "*" in self.subject or len(self.subject) > 600:
            raise ValueError(
                f"subject: {self.subject!r} must have 1 to 600 characters and no '*', since Azure compares it exactly."
            )

    @classmethod
    def github_environment(cls, repository: str, environment: str) -> FederatedSubject:
        """Jobs of a GitHub repository (`owner/name`) that run in one of its environments, and no other jobs.

        Only with an environment do its reviewers and branch rules stand before the sign-in; so there is no form for
        branches or pull requests.
        """
        # GitHub's longest names: an owner's has 39 characters, a repository's 100.
        if not re.fullmatch(r"[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}", repository):
            raise ValueError(f"repository: {repository!r} is not of the form owner/name; give it as GitHub shows it.")
        if not environment or "*" in environment or len(environment) > 255:
            raise ValueError(
                f"environment: {environment!r} must be the name of one GitHub environment, 1 to 255 characters, no '*'."
            )
        # GitHub writes a colon in a name so, in order that the parts of a subject stay apart.
        return cls(
            label=f"github-{environment}", subject=f"repo:{repository}:environment:{environment.replace(':', '%3A')}"
        )

    @classmethod
    def azure_devops(
        cls, *, organization: str, organization_id: str, project: str, connection: str
    ) -> FederatedSubject:
        """Pipelines of an Azure DevOps project that use one of its service connections, and no others.

        The connection's own checks, such as approvals, stand before the sign-in. Source, Microsoft Learn: "Manually set
        a workload identity service connection".
        """
        try:
            uuid.UUID(organization_id)
        except ValueError:
            raise ValueError(
                f"organization_id: {organization_id!r} is no GUID; read it as `instanceId` at "
                f"https://dev.azure.com/{organization}/_apis/connectionData."
            ) from None
        return cls(
            label=f"azure-devops-{connection}",
            subject=f"sc://{organization}/{project}/{connection}",
            issuer=f"{AZURE_DEVOPS_ISSUER}/{organization_id.lower()}",
        )

    @classmethod
    def service_account(
        cls, *, issuer: pulumi.Input[str], namespace: str, account: str, cluster: str
    ) -> FederatedSubject:
        """Pods of a Kubernetes cluster that run as one account of a namespace. `cluster` names the credential.

        A cluster beside it, with the same account, gets a credential of its own. Source, Microsoft Learn: "Use
        Microsoft Entra Workload ID with AKS".
        """
        return cls(label=f"{cluster}-{account}", subject=f"system:serviceaccount:{namespace}:{account}", issuer=issuer)

    @property
    def credential_name(self) -> str:
        """Physical name: readable, legal, and different for two subjects (3 to 120 letters, digits, `-` and `_`)."""
        readable = re.sub(r"[^A-Za-z0-9_-]+", "-", self.label).strip("-_")[:80]
        mark = uuid.uuid5(uuid.NAMESPACE_URL, f"urn:mlflow-platform:subject:{self.subject}").hex[:8]
        return f"{readable or 'subject'}-{mark}"


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
