"""The settings of the bootstrap stack, which makes what the others depend on: state, keys, registry, identities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from components.azure.federated_subject import FederatedSubject
from infra.naming import LONGEST_STACK, Names
from infra.settings import consistency, guardrails
from infra.settings.azure import TagSettings
from infra.settings.fields import NOT_SET, Section, Switch, described, keys, text
from infra.settings.problems import Problems, path
from infra.settings.reading import read

BOOTSTRAP = "bootstrap"
"""The profile of the stack."""
OWN_CLUSTER = "own"
"""What `bootstrap.clusters` has for a stack with a cluster of its own."""
_REPOSITORY = r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+"
_GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_DEVOPS_NAME = r"[^/*\s][^/*]{0,63}"

StackName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=LONGEST_STACK)]


class AzureDevOpsSettings(Section):
    """The Azure DevOps project whose pipelines sign in, by connections mlflow-STACK and mlflow-STACK-preview."""

    organization: str = text("The organization", _DEVOPS_NAME, "its name, as in its URL", example="example")
    organization_id: str = text(
        "The organization's id",
        _GUID,
        "a GUID: `instanceId` at https://dev.azure.com/ORGANIZATION/_apis/connectionData",
        example="00000000-0000-0000-0000-000000000000",
    )
    project: str = text("The project", _DEVOPS_NAME, "its name", example="mlflow")


class BootstrapSettings(Section):
    """The stacks that get state, keys, groups and identities, and who administers them."""

    stacks: tuple[StackName, ...] = described(
        "The stacks that it serves",
        "names of 1 to 20 lower-case letters, digits and single '-', as in dev",
        example="dev",
        default=("dev", "staging", "prod"),
        min_length=1,
    )
    clusters: Mapping[StackName, Annotated[str, Field(pattern=rf"^(?:{OWN_CLUSTER}|{_GUID})$")]] = described(
        "Those of the stacks that have compute aks: own for a cluster of the stack's own, or the object id of the "
        "identity with which the nodes of another owner's cluster pull images",
        "names of stacks, each with own or a GUID, as `az aks show --name NAME --resource-group GROUP --query "
        "identityProfile.kubeletidentity.objectId` prints it",
        default={},
    )
    administrators: str = text(
        "Object id of the Entra group that may read and write the state of every stack, to run this one",
        _GUID,
        "a GUID, as `az ad group show --group NAME --query id` prints it",
        example="00000000-0000-0000-0000-000000000000",
    )
    github: str | None = text(
        "The GitHub repository whose workflows sign in, in the environments STACK, STACK-preview, build and promote",
        _REPOSITORY,
        "owner/name, as GitHub shows it",
        example="example/mlflow-platform",
        default=None,
    )
    azure_devops: AzureDevOpsSettings | None = None


class BootstrapFile(Section):
    """The file of a bootstrap stack."""

    profile: Literal["bootstrap"] = described("What the stack is", BOOTSTRAP, example=BOOTSTRAP)
    location: str = text("The region", r"[a-z][a-z0-9]+", "a region, as in westeurope", example="westeurope")
    tags: TagSettings
    bootstrap: BootstrapSettings
    protect: Switch = described("Locks on state, keys and images, and protection from deletion", default=True)
    name_generation: str = text(
        "Changes the globally unique names, to make the stack again while the old names are taken",
        r"[a-z0-9]{0,8}",
        "up to 8 lower-case letters and digits",
        default="",
    )


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """All that decides what a bootstrap stack is. `checkout` is as in Settings."""

    stack: str
    file: BootstrapFile
    checkout: str = ""


def parse(values: Mapping[str, Any], stack: str, *, secrets: Sequence[str] = (), checkout: str = "") -> Bootstrap:
    """Return the settings of a bootstrap stack. Raises SettingsError with every problem found, as for other stacks."""
    problems = Problems(stack, values)
    consistency.refuse_secrets(problems, values, secrets)
    given = {key: value for key, value in values.items() if value not in NOT_SET}
    known = keys(BootstrapFile)
    for key in given.keys() - known.keys():
        problems.note(
            key, given[key], f"the keys {', '.join(known)} with profile bootstrap", problems.remove(path(key))
        )
    file = read(problems, BootstrapFile, {}, {key: value for key, value in given.items() if key in known})
    found = Bootstrap(stack=stack, file=file, checkout=checkout)
    _check(problems, found)
    problems.finish()
    return found


def _check(problems: Problems, found: Bootstrap) -> None:
    wanted = found.file.bootstrap
    if found.stack in wanted.stacks or len(set(wanted.stacks)) < len(wanted.stacks):
        allowed = f"names without {found.stack}, each once"
        problems.note("bootstrap.stacks", list(wanted.stacks), allowed, problems.remove("bootstrap.stacks"))
    for name in sorted(wanted.clusters.keys() - {*wanted.stacks}):
        field = path("bootstrap", "clusters", name)
        problems.note(field, wanted.clusters[name], "stacks of bootstrap.stacks", problems.remove(field))
    for index, name in enumerate((found.stack, *wanted.stacks)):
        field = f"bootstrap.stacks[{index - 1}]" if index else "stack"
        remedy = problems.set(field, "dev") if index else problems.rename(BOOTSTRAP)
        problems.built(field, name, remedy, partial(Names, stack=name, suffix="aaaaa"))
    consistency.check_tags(problems, found.file.tags)
    consistency.region_is_public(problems, found.file.location)
    guardrails.check_bootstrap(problems, location=found.file.location, github=wanted.github, checkout=found.checkout)


def subjects(wanted: BootstrapSettings, environment: str) -> list[FederatedSubject]:
    """Return who signs in as the identity of an environment: jobs of GitHub in it, pipelines by their connection."""
    found = []
    if wanted.github is not None:
        found.append(FederatedSubject.github_environment(wanted.github, environment))
    if (devops := wanted.azure_devops) is not None:
        found.append(
            FederatedSubject.azure_devops(
                organization=devops.organization,
                organization_id=devops.organization_id,
                project=devops.project,
                connection=f"mlflow-{environment}",
            )
        )
    return found
