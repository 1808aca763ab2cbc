from __future__ import annotations

import time

import psycopg2
import pytest
from azure.identity import ManagedIdentityCredential

from components.emulators.identities import EmulatedIdentity
from tests.support.plane import PREPARE, REGISTRY, TRACKING, Plane, eventually

SCOPE = "https://ossrdbms-aad.database.windows.net/.default"


def _make_principal(plane: Plane, identity: EmulatedIdentity) -> None:
    with plane.sql(PREPARE.name, plane.token(PREPARE)["access_token"]) as cursor:
        cursor.execute(
            "select pgaadauth_create_principal_with_oid(%s, %s, 'service', false, false)",
            (identity.name, identity.principal_id),
        )


def _signs_in(plane: Plane, role: str, token: str) -> bool:
    try:
        with plane.sql(role, token) as cursor:
            cursor.execute("select current_user")
            return cursor.fetchall() == [(role,)]
    except psycopg2.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise
        return False


@pytest.fixture(scope="module")
def served(shared_plane: Plane) -> Plane:
    shared_plane.start_postgres()
    shared_plane.start_azure()
    _make_principal(shared_plane, TRACKING)
    return shared_plane


def test_a_token_from_azures_credential_signs_in(served: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in served.environment(TRACKING).items():
        monkeypatch.setenv(name, value)
    token = ManagedIdentityCredential(client_id=TRACKING.client_id).get_token(SCOPE)
    assert _signs_in(served, TRACKING.name, token.token)
    with served.superuser() as cursor:
        cursor.execute(
            "select extract(epoch from rolvaliduntil)::int from pg_roles where rolname = %s", [TRACKING.name]
        )
        assert cursor.fetchall() == [(token.expires_on,)]


def test_a_token_signs_its_own_identity_in_and_no_other(served: Plane) -> None:
    token = served.token(TRACKING)["access_token"]
    assert not _signs_in(served, PREPARE.name, token)
    assert not _signs_in(served, TRACKING.name, served.token(PREPARE)["access_token"])
    assert not _signs_in(served, TRACKING.name, served.token(TRACKING, "https://vault.azure.net")["access_token"])
    assert _signs_in(served, TRACKING.name, token)


def test_a_role_without_a_token_cannot_sign_in(served: Plane) -> None:
    with served.superuser() as cursor:
        cursor.execute(
            "select pgaadauth_create_principal_with_oid('unused', gen_random_uuid()::text, 'user', false, false)"
        )
    assert not _signs_in(served, "unused", "any")
    assert not _signs_in(served, "unused", served.token(TRACKING)["access_token"])


def test_no_token_reaches_the_servers_log_or_its_statistics(served: Plane) -> None:
    token = served.token(TRACKING)["access_token"]
    with served.superuser() as cursor:
        cursor.execute("alter role all set log_statement = 'all'")
        served.token(TRACKING)
        cursor.execute("alter role all reset log_statement")
    logs = "".join(program.log.read_text() for program in served.programs)
    assert "alter role" in logs
    assert token not in logs
    assert token.partition(".")[2] not in logs


def test_an_expired_token_is_refused_and_a_new_one_accepted(plane: Plane) -> None:
    plane.start_postgres()
    plane.start_azure(lifetime=3)
    first = plane.token(PREPARE)
    with plane.sql(PREPARE.name, first["access_token"]) as cursor:
        # Nobody asks for another token, so it is the expiry that ends this one.
        while time.time() <= int(first["expires_on"]):
            time.sleep(0.1)
        assert not _signs_in(plane, PREPARE.name, first["access_token"])
        cursor.execute("select 'a session outlives its token'")
        assert cursor.fetchall() == [("a session outlives its token",)]
    second = plane.token(PREPARE)
    assert second["access_token"] != first["access_token"]
    assert _signs_in(plane, PREPARE.name, second["access_token"])


def test_a_token_handed_out_before_its_role_exists_is_accepted_once_it_does(plane: Plane) -> None:
    plane.start_postgres()
    azure = plane.start_azure()
    token = plane.token(REGISTRY)["access_token"]
    assert not _signs_in(plane, REGISTRY.name, token)
    assert "no database role belongs to mlflow-registry yet" in azure.log.read_text()
    _make_principal(plane, REGISTRY)
    assert eventually(lambda: _signs_in(plane, REGISTRY.name, token), "sign-in with the previous token")


def test_a_token_handed_out_while_the_database_is_down_is_accepted_once_it_is_up(plane: Plane) -> None:
    azure = plane.start_azure()
    token = plane.token(PREPARE)["access_token"]
    assert "the database is down" in azure.log.read_text()
    plane.start_postgres()
    assert eventually(lambda: _signs_in(plane, PREPARE.name, token), "sign-in with the previous token")


def test_a_token_outlives_kills_of_both_programs(plane: Plane) -> None:
    database, azure = plane.start_postgres(), plane.start_azure()
    token = plane.token(PREPARE)["access_token"]
    database.kill()
    azure.kill()
    plane.start_azure()
    plane.start_postgres()
    assert _signs_in(plane, PREPARE.name, token)


def test_a_token_whose_write_was_cut_off_by_a_kill_is_accepted_after_it(plane: Plane) -> None:
    azure = plane.start_azure()
    token = plane.token(PREPARE)["access_token"]
    azure.kill()
    plane.start_postgres()
    plane.start_azure()
    assert eventually(lambda: _signs_in(plane, PREPARE.name, token), "sign-in with the previous token")
