"""Who may do what in which database: the table, and the arithmetic from it to SQL. No input or output here.

Sources of the table's narrow rows, all in MLflow 3.17.2:
- Creating a model version for a logged model tags that model in the tracking database (server/handlers.py,
  `_create_model_version` -> `set_model_versions_tags`): an INSERT … ON CONFLICT DO UPDATE of `logged_model_tags`, and
  the only write that the registry's handlers make there.
- `secrets` holds the gateway's encrypted provider keys, which no handler of the registry reads.
- `alembic_version` is read by a store when it opens, and written by migrations alone.
MLflow needs no temporary tables and no DDL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from mlflow_runtime.prepare.connection import quoted


class Store(StrEnum):
    """A database of the platform; also the service that owns its content."""

    TRACKING = "tracking"
    REGISTRY = "registry"


_NOTHING: frozenset[str] = frozenset()
_READ = frozenset({"SELECT"})
_CHANGE = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_UPSERT = frozenset({"SELECT", "INSERT", "UPDATE"})
_COUNT = frozenset({"USAGE"})


@dataclass(frozen=True, kw_only=True)
class Access:
    """Verbs of one service in one database: on tables, on sequences, and on the tables that differ from the rest."""

    tables: frozenset[str]
    sequences: frozenset[str] = _NOTHING
    exceptions: Mapping[str, frozenset[str]] = field(default_factory=dict)


# database -> service -> access
ACCESS: Mapping[Store, Mapping[Store, Access]] = {
    Store.TRACKING: {
        Store.TRACKING: Access(tables=_CHANGE, sequences=_COUNT, exceptions={"alembic_version": _READ}),
        Store.REGISTRY: Access(tables=_READ, exceptions={"logged_model_tags": _UPSERT, "secrets": _NOTHING}),
    },
    Store.REGISTRY: {
        Store.REGISTRY: Access(tables=_CHANGE, sequences=_COUNT, exceptions={"alembic_version": _READ}),
        Store.TRACKING: Access(tables=_READ),
    },
}

PUBLIC = ""  # the grantee that stands for every role
MLFLOW_SCHEMA = "public"


class Kind(StrEnum):
    """What a privilege is on, in the word that GRANT uses; FUTURE ones are default privileges of the migrating role."""

    DATABASE = "DATABASE"
    SCHEMA = "SCHEMA"
    TABLE = "TABLE"
    COLUMN = "COLUMN"
    SEQUENCE = "SEQUENCE"
    FUTURE_TABLES = "TABLES"
    FUTURE_SEQUENCES = "SEQUENCES"


class Privilege(NamedTuple):
    """One verb on one thing for one grantee. `name` is (database), (schema), (schema, relation[, column]) or ()."""

    kind: Kind
    name: tuple[str, ...]
    grantee: str
    verb: str
    grantable: bool = False


def wanted(
    database: str, tables: Collection[str], sequences: Collection[str], access: Mapping[str, Access]
) -> frozenset[Privilege]:
    """All that the roles of `access` hold in `database`; whatever else they or PUBLIC hold is too much."""
    found: set[Privilege] = set()
    for role, rights in access.items():
        found.add(Privilege(Kind.DATABASE, (database,), role, "CONNECT"))
        found.add(Privilege(Kind.SCHEMA, (MLFLOW_SCHEMA,), role, "USAGE"))
        for table in tables:
            verbs = rights.exceptions.get(table, rights.tables)
            found |= {Privilege(Kind.TABLE, (MLFLOW_SCHEMA, table), role, verb) for verb in verbs}
        for sequence in sequences:
            found |= {Privilege(Kind.SEQUENCE, (MLFLOW_SCHEMA, sequence), role, verb) for verb in rights.sequences}
        found |= {Privilege(Kind.FUTURE_TABLES, (MLFLOW_SCHEMA,), role, verb) for verb in rights.tables}
        found |= {Privilege(Kind.FUTURE_SEQUENCES, (MLFLOW_SCHEMA,), role, verb) for verb in rights.sequences}
    return frozenset(found)


def statements(held: frozenset[Privilege], due: frozenset[Privilege]) -> list[str]:
    """The SQL that turns what is held into what is due: revokes first, one statement a thing and grantee, in order."""
    return [_revoke(group) for group in _by_thing(held - due)] + [_grant(group) for group in _by_thing(due - held)]


def _by_thing(privileges: Iterable[Privilege]) -> list[list[Privilege]]:
    return [list(group) for _, group in groupby(sorted(privileges), key=lambda one: (one.kind, one.name, one.grantee))]


def _grant(group: list[Privilege]) -> str:
    return f"{_prefix(group[0])}GRANT {_verbs(group)} ON {_thing(group[0])} TO {_grantee(group[0])}"


def _revoke(group: list[Privilege]) -> str:
    # CASCADE takes along what a holder with grant option has passed on.
    return f"{_prefix(group[0])}REVOKE {_verbs(group)} ON {_thing(group[0])} FROM {_grantee(group[0])} CASCADE"


def _prefix(one: Privilege) -> str:
    if one.kind not in (Kind.FUTURE_TABLES, Kind.FUTURE_SEQUENCES):
        return ""
    where = f" IN SCHEMA {quoted(one.name[0])}" if one.name else ""
    return f"ALTER DEFAULT PRIVILEGES{where} "


def _thing(one: Privilege) -> str:
    match one.kind:
        case Kind.FUTURE_TABLES | Kind.FUTURE_SEQUENCES:
            return one.kind.value
        case Kind.COLUMN:
            return f"TABLE {'.'.join(map(quoted, one.name[:2]))}"
        case _:
            return f"{one.kind.value} {'.'.join(map(quoted, one.name))}"


def _verbs(group: list[Privilege]) -> str:
    column = f" ({quoted(group[0].name[2])})" if group[0].kind is Kind.COLUMN else ""
    return ", ".join(sorted({one.verb + column for one in group}))


def _grantee(one: Privilege) -> str:
    return "PUBLIC" if one.grantee == PUBLIC else quoted(one.grantee)
