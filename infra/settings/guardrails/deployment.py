"""Who deploys a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.settings.problems import Problems
from infra.settings.profiles import ProfileName

if TYPE_CHECKING:
    from infra.settings.model import Settings


def deploys_itself(problems: Problems, settings: Settings) -> None:
    """Refuse another repository than the one whose workflow runs the program."""
    github = settings.azure.github if settings.azure else None
    repository_is_this_one(problems, "github.repository", github.repository if github else None, settings.checkout)


def repository_is_this_one(problems: Problems, field: str, repository: str | None, checkout: str) -> None:
    """Refuse another repository in a field; their names do not differ by case on GitHub."""
    if repository is not None and checkout and repository.lower() != checkout.lower():
        allowed = f"{checkout}, whose workflow runs this program"
        problems.note(field, repository, allowed, problems.set(field, checkout))


# The environments of the workflows that deploy no stack: .github/workflows.
_OF_NO_STACK = ("bootstrap", "build", "promote")


def environments_are_the_stacks(problems: Problems, settings: Settings) -> None:
    """Refuse an environment in which other jobs run. GitHub's names of environments do not differ by case."""
    github = settings.azure.github if settings.azure else None
    if github is None:
        return
    own = {name for each in (settings.stack, settings.profile) for name in _environments(each)}
    others = {*_OF_NO_STACK, *(name for profile in ProfileName for name in _environments(profile))} - own
    for key, environment in (
        ("deployEnvironment", github.deploy_environment),
        ("previewEnvironment", github.preview_environment),
    ):
        if environment.lower() in others:
            field = f"github.{key}"
            allowed = f"an environment of this stack's own, as in {settings.stack}"
            problems.note(field, environment, allowed, problems.remove(field))


def _environments(stack: str) -> tuple[str, str]:
    return stack, f"{stack}-preview"
