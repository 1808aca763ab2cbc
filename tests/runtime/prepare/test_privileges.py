"""The arithmetic from the table of rights to SQL."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from mlflow.store.db.base_sql_model import Base
from mlflow.store.db.utils import _all_tables_exist

from mlflow_runtime.prepare.privileges import ACCESS, Access, Kind, Privilege, Store, statements, wanted

_KINDS = {
    Kind.DATABASE: ("d",),
    Kind.SCHEMA: ("s",),
    Kind.TABLE: ("s", "t"),
    Kind.SEQUENCE: ("s", "q"),
    Kind.FUTURE_TABLES: ("s",),
    Kind.FUTURE_SEQUENCES: (),
}
_privileges = st.builds(
    lambda kind, grantee, verb: Privilege(kind, _KINDS[kind], grantee, verb),
    st.sampled_from(list(_KINDS)),
    st.sampled_from(["", "a", 'b"c']),
    st.sampled_from(["SELECT", "USAGE", "INSERT"]),
)
_sets = st.frozensets(_privileges, max_size=12)

_FORM = re.compile(
    r'(?:ALTER DEFAULT PRIVILEGES(?: IN SCHEMA "(?P<schema>s)")? )?(?P<act>GRANT|REVOKE) (?P<verbs>[A-Z, ]+) '
    r'ON (?P<kind>\w+)(?: (?P<name>[^ ]+))? (?:TO|FROM) (?P<grantee>PUBLIC|"(?:[^"]|"")+")(?: CASCADE)?'
)


def apply(held: frozenset[Privilege], sql: list[str]) -> frozenset[Privilege]:
    """What a server would make of the statements."""
    for statement in sql:
        match = _FORM.fullmatch(statement)
        assert match, statement
        grantee = "" if match["grantee"] == "PUBLIC" else match["grantee"][1:-1].replace('""', '"')
        kind = Kind(match["kind"])
        named = match["name"] or match["schema"] or ""
        name = tuple(part.strip('"') for part in named.split(".") if part)
        changed = {Privilege(kind, name, grantee, verb) for verb in match["verbs"].split(", ")}
        held = held | changed if match["act"] == "GRANT" else held - changed
    return held


@given(_sets, _sets)
def test_the_statements_turn_what_is_held_into_what_is_due(
    held: frozenset[Privilege], due: frozenset[Privilege]
) -> None:
    assert apply(held, statements(held, due)) == due


@given(_sets)
def test_nothing_is_run_when_all_is_in_order(held: frozenset[Privilege]) -> None:
    assert statements(held, held) == []


def test_one_statement_for_one_thing_and_grantee_with_revokes_first() -> None:
    held = frozenset({Privilege(Kind.COLUMN, ("public", "t", "c"), "", "UPDATE")})
    due = wanted("d", ["t"], [], {"x": Access(tables=frozenset({"SELECT", "DELETE"}))})
    assert statements(held, due)[0] == 'REVOKE UPDATE ("c") ON TABLE "public"."t" FROM PUBLIC CASCADE'
    assert 'GRANT DELETE, SELECT ON TABLE "public"."t" TO "x"' in statements(held, due)
    assert 'ALTER DEFAULT PRIVILEGES IN SCHEMA "public" GRANT DELETE, SELECT ON TABLES TO "x"' in statements(held, due)


def test_a_verb_with_grant_option_is_revoked_and_granted_without() -> None:
    due = frozenset({Privilege(Kind.TABLE, ("public", "t"), "x", "SELECT")})
    held = frozenset({next(iter(due))._replace(grantable=True)})
    assert statements(held, due) == [
        'REVOKE SELECT ON TABLE "public"."t" FROM "x" CASCADE',
        'GRANT SELECT ON TABLE "public"."t" TO "x"',
    ]


def test_the_exceptions_name_tables_that_mlflow_has() -> None:
    assert callable(_all_tables_exist)  # its module registers every table
    known = {*Base.metadata.tables, "alembic_version"}
    for services in ACCESS.values():
        for access in services.values():
            assert set(access.exceptions) <= known


def test_every_service_has_its_own_database_to_change_and_may_change_no_revision() -> None:
    for store in Store:
        assert "DELETE" in ACCESS[store][Store(store)].tables
        for access in ACCESS[store].values():
            assert access.exceptions.get("alembic_version", access.tables) == {"SELECT"}
