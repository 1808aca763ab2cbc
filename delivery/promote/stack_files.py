"""The stacks' files in a commit: what they say, and which releases they had."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from delivery.outcome import CommandError, ExitCode, reported
from delivery.promote import lines, release
from delivery.promote.release import Release
from delivery.pulumi.project import named, own_values
from delivery.repository import Repository
from infra.settings.bootstrap import BOOTSTRAP
from infra.settings.model import Settings, SettingsError, parse
from infra.settings.profiles import ProfileName

_FOLDER: Final = "stacks"
_FILE: Final = re.compile(r"Pulumi\.(.+)\.yaml")
_RANKS: Final = (ProfileName.DEV, ProfileName.STAGING, ProfileName.PROD)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack's file in a commit: its bytes, and what they say."""

    name: str
    content: bytes
    values: Mapping[str, Any]

    @property
    def path(self) -> str:
        return path(self.name)

    @property
    def release(self) -> Release | None:
        return release.of(self.values)

    @property
    def profile(self) -> str:
        return str(self.values.get("profile", ""))

    @property
    def rank(self) -> int:
        """Its place in the order in which releases travel, by its profile; -1 without one of them."""
        return next((rank for rank, name in enumerate(_RANKS) if name == self.profile), -1)

    def settings(self) -> Settings:
        """Raises CommandError with every problem of the file."""
        with reported(SettingsError):
            return parse(self.values, self.name)


@dataclass(frozen=True, kw_only=True)
class Files:
    """The stacks' files in one commit of a repository."""

    repository: Repository
    commit: str

    @functools.cached_property
    def project(self) -> str:
        content = self.repository.content(self.commit, "Pulumi.yaml")
        if content is None:
            raise CommandError(f"{self.commit[:12]} has no Pulumi.yaml; run this in a checkout of the platform.")
        return named(content)

    @functools.cached_property
    def names(self) -> list[str]:
        """The stacks on Azure that run a release: the bootstrap stack runs none."""
        found = (_FILE.fullmatch(name) for name in self.repository.names(self.commit, _FOLDER))
        return sorted(one[1] for one in found if one and one[1] not in (ProfileName.LOCAL, BOOTSTRAP))

    def stack(self, name: str) -> Stack:
        """Raises CommandError if there is no such stack, or its file cannot be read."""
        content = self.repository.content(self.commit, path(name)) if name in self.names else None
        if content is None:
            raise CommandError(
                f"stack {name!r} has no file {path(name)} on Azure in {self.commit[:12]}; expected one of "
                f"{', '.join(self.names) or 'none yet'}.",
                ExitCode.USAGE,
            )
        return Stack(name=name, content=content, values=self.values(name, content))

    def values(self, name: str, content: bytes) -> dict[str, Any]:
        """Return what a stack's file says, without the namespace."""
        try:
            document = lines.loaded(content)
        except lines.EditError as error:
            raise CommandError(f"{path(name)}: {error}.") from error
        return own_values(document, self.project)

    def releases(self, name: str) -> list[Release]:
        """Return the releases of a stack's file, the present one first, back to where it named no image."""
        found: list[Release] = []
        for commit in self.repository.versions(self.commit, path(name)):
            content = self.repository.content(commit, path(name))
            try:
                one = release.of(self.values(name, content)) if content is not None else None
            except CommandError:
                continue  # an old file that was broken says nothing
            if one is None:
                break
            found.append(one)
        return found


def path(stack: str) -> str:
    """Return where a stack's file is in the repository."""
    return f"{_FOLDER}/Pulumi.{stack}.yaml"
