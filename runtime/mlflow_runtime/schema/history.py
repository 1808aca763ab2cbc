"""MLflow's migrations in their order, with what each changes, and the newest one of each released version."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

ADDS_TABLE: Final = "table added"
ADDS_COLUMN: Final = "column added"

_RELEASE: Final = re.compile(r"\d+\.\d+\.\d+")


class UnknownVersionError(ValueError):
    """A version or revision that the table does not hold; the message says which it does and how one is added."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of one table. `columns` are those that it is about; `kind` and `detail` are for people.

    `breaks` means that code from before it fails on it or breaks its rules, if that code knows the table and columns.
    """

    table: str
    columns: tuple[str, ...]
    kind: str
    detail: str
    breaks: bool

    def __str__(self) -> str:
        where = ".".join((self.table, *self.columns)) if self.kind == ADDS_COLUMN else self.table
        return f"{where}: {self.kind}{f', {self.detail}' if self.detail else ''}"


@dataclass(frozen=True, kw_only=True)
class Migration:
    """A revision of the schema, by MLflow's own title, and what changes with it."""

    revision: str
    title: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True)
class History:
    """All migrations, oldest first (MLflow's are one line without branches), and each version's newest revision."""

    migrations: tuple[Migration, ...]
    heads: Mapping[str, str]

    def head_of(self, version: str) -> str:
        """The revision that a version of MLflow needs; UnknownVersionError for an unknown one.

        A patch release between two others of the same minor one that need the same revision needs it too. Nothing
        follows across minor releases: 3.0.1 needs a newer revision than 3.1.0.
        """
        if version in self.heads:
            return self.heads[version]
        wanted = release(version)
        near = {release(name): head for name, head in self.heads.items() if release(name)[:2] == wanted[:2]}
        below = [near[name] for name in sorted(near) if name < wanted]
        above = [near[name] for name in sorted(near) if name > wanted]
        if below and above and below[-1] == above[0]:
            return above[0]
        raise UnknownVersionError(
            f"the schema of MLflow {version} is not known here; known are {', '.join(self.heads)}. "
            f"In a checkout, add it with `python -m delivery.schema.generate {version}`."
        )

    def position(self, revision: str) -> int:
        """Where a revision is in the line; UnknownVersionError for one that is not in it."""
        for position, migration in enumerate(self.migrations):
            if migration.revision == revision:
                return position
        raise UnknownVersionError(
            f"revision {revision} is not among the {len(self.migrations)} that are known here; in a checkout, "
            "bring the table up to date with `python -m delivery.schema.generate`."
        )

    def between(self, older: str, newer: str) -> Sequence[Migration]:
        """The migrations from one revision to another; none if the second is not the newer one."""
        return self.migrations[self.position(older) + 1 : self.position(newer) + 1]


def release(version: str) -> tuple[int, ...]:
    """The numbers of a released version; UnknownVersionError for anything else."""
    if not _RELEASE.fullmatch(version):
        raise UnknownVersionError(f"{version!r} is no released version of MLflow; give one such as 3.17.2.")
    return tuple(map(int, version.split(".")))


def parse(document: Mapping[str, Any]) -> History:
    """The history in a document of the form of `migrations.json`."""
    migrations = tuple(
        Migration(
            revision=entry["revision"],
            title=entry["title"],
            changes=tuple(Change(**{**change, "columns": tuple(change["columns"])}) for change in entry["changes"]),
        )
        for entry in document["migrations"]
    )
    return History(migrations=migrations, heads=document["heads"])


@functools.cache
def known() -> History:
    """The history that comes with this package."""
    return parse(json.loads(resources.files(__package__).joinpath("migrations.json").read_text()))
