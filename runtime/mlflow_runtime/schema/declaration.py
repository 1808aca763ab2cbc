"""What prepare tells replicas of older images about the schema that it migrated to: which of them it still serves.

An older image cannot know a migration that is younger than itself. The newer image does, so its prepare writes down
which revisions' code runs on the schema, as a comment on alembic's own table: every role may read it, no grant is
needed, MLflow does not look at it, and it goes with the database through a backup and a restore.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

_EXISTS = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_READ = text(
    "SELECT version_num, obj_description('alembic_version'::regclass, 'pg_class') FROM alembic_version ORDER BY 1"
)


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """The schema at `revision` serves the code of the revisions `serves`. It says nothing about any other schema."""

    revision: str
    serves: frozenset[str]

    @property
    def comment(self) -> str:
        """The text that is kept; the same for the same declaration."""
        return json.dumps({"revision": self.revision, "serves": sorted(self.serves)})


@dataclass(frozen=True, kw_only=True)
class Found:
    """A database's revisions (one, when all is well) and the declaration in it, if there is one that can be read."""

    revisions: tuple[str, ...]
    declaration: Declaration | None

    def serves(self, head: str) -> bool:
        """Whether it is declared that code which needs revision `head` runs on this very schema."""
        declared = self.declaration
        return declared is not None and self.revisions == (declared.revision,) and head in declared.serves


def parse(comment: str | None) -> Declaration | None:
    """The declaration in a comment, or None if it is something else: somebody else may have written there."""
    try:
        content = json.loads(comment or "")
        return Declaration(revision=str(content["revision"]), serves=frozenset(map(str, content["serves"])))
    except (ValueError, KeyError, TypeError):
        return None


def read(connection: Connection) -> Found:
    """Read the revisions and the declaration; there is neither where alembic's table is missing."""
    if not connection.scalar(_EXISTS):
        return Found(revisions=(), declaration=None)
    rows: Sequence[tuple[str, str | None]] = [(str(row[0]), row[1]) for row in connection.execute(_READ)]
    return Found(
        revisions=tuple(revision for revision, _ in rows),
        declaration=parse(rows[0][1]) if rows else None,
    )


def write(connection: Connection, declaration: Declaration) -> bool:
    """Keep the declaration in the database unless it is there already; tells whether it was written.

    It may be written before the migration to its revision: until then it says nothing of the schema that is there.
    """
    if read(connection).declaration == declaration:
        return False
    # COMMENT takes no parameters; the text is JSON of revisions, and PostgreSQL itself quotes it.
    quoted = connection.scalar(text("SELECT quote_literal(:comment)"), {"comment": declaration.comment})
    connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS {quoted}".replace("%", "%%"))
    return True
