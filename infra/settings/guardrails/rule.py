"""What a guardrail over settings is."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.guardrails.rule import Guardrail
from infra.settings.problems import Problems
from infra.settings.profiles import ProfileName

if TYPE_CHECKING:
    from infra.settings.azure import AzureSettings
    from infra.settings.model import Settings


class Subject(enum.StrEnum):
    """What a rule is about. Its checks are in the module of that name."""

    EXPOSURE = "who reaches the stack"
    DEPLOYMENT = "who deploys it"
    NAMES = "names"
    CONNECTIONS = "database connections"
    AVAILABILITY = "outages"
    RECOVERY = "lost data"
    OPERATION = "logs, alerts and costs"


class Scope(enum.StrEnum):
    """The stacks that a rule looks at."""

    EVERY = "every stack"
    AZURE = "stacks on Azure"
    PROD = "stacks with profile prod"


Check = Callable[[Problems, "Settings"], None]
"""Records each value that breaks the rule, with the values that do not and a command."""


@dataclass(frozen=True, kw_only=True)
class Rule(Guardrail):
    """A rule over the settings of the stacks in its scope."""

    subject: Subject
    scope: Scope
    check: Check

    def applies(self, settings: Settings) -> bool:
        """Whether the rule looks at a stack with these settings."""
        match self.scope:
            case Scope.EVERY:
                return True
            case Scope.AZURE:
                return settings.azure is not None
            case Scope.PROD:
                return settings.azure is not None and settings.profile is ProfileName.PROD


def on_azure(check: Callable[[Problems, AzureSettings], None]) -> Check:
    """Return a check of the Azure settings alone."""

    def of_settings(problems: Problems, settings: Settings) -> None:
        if settings.azure is not None:
            check(problems, settings.azure)

    return of_settings
