"""What PostgreSQL's own catalog says of the tables of a database: the fact behind what a migration script says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
           a.atthasdef OR a.attidentity <> ''
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
"""
# PostgreSQL 18 lists NOT NULL there too (type n), which the columns tell already.
_CONSTRAINTS = """
    SELECT c.relname, k.contype, pg_get_constraintdef(k.oid), coalesce(r.relname, ''),
           ARRAY(SELECT attname::text FROM unnest(k.conkey) n
                 JOIN pg_attribute ON attrelid = c.oid AND attnum = n ORDER BY attname)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_class r ON r.oid = k.confrelid
    WHERE c.relnamespace = 'public'::regnamespace AND k.contype IN ('p', 'u', 'f', 'c')
"""
_UNIQUE_INDEXES = """
    SELECT c.relname, 'u', regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING \\S+ ', 'UNIQUE INDEX '), '',
           ARRAY(SELECT attname::text FROM unnest(i.indkey::int2[]) n
                 JOIN pg_attribute ON attrelid = c.oid AND attnum = n ORDER BY attname)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u'))
"""


@dataclass(frozen=True)
class Column:
    """A column. `filled` means that an INSERT which does not name it gets a value."""

    type: str
    nullable: bool
    filled: bool


@dataclass(frozen=True)
class Constraint:
    """A rule over `columns`: `kind` is p (primary key), u (unique), f (foreign key to `target`) or c (check).

    Two with the same definition are the same, whatever their names.
    """

    kind: str
    definition: str
    target: str
    columns: frozenset[str]


@dataclass(frozen=True)
class Table:
    """A table's columns by name, and its constraints."""

    columns: Mapping[str, Column] = field(default_factory=dict)
    constraints: frozenset[Constraint] = frozenset()


def read(connection: Connection) -> Mapping[str, Table]:
    """The tables of schema `public` by name, without alembic's own."""
    columns: dict[str, dict[str, Column]] = {}
    for table, column, type_, nullable, filled in connection.execute(text(_COLUMNS)):
        columns.setdefault(table, {})[column] = Column(type_, nullable, filled)
    constraints: dict[str, set[Constraint]] = {}
    for query in (_CONSTRAINTS, _UNIQUE_INDEXES):
        for table, kind, definition, target, names in connection.execute(text(query)):
            constraints.setdefault(table, set()).add(Constraint(str(kind), definition, target, frozenset(names)))
    return {
        name: Table(found, frozenset(constraints.get(name, ())))
        for name, found in columns.items()
        if name != "alembic_version"
    }
