"""Who outside of Azure may act as an identity without a secret. Pure: a setting is checked with no library of Azure."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

import pulumi

GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
AZURE_DEVOPS_ISSUER = "https://vstoken.dev.azure.com"
AZURE_AUDIENCE = "api://AzureADTokenExchange"


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
