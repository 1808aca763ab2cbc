from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess

import psutil
import psycopg2
import pytest

from components.emulators import postgres
from components.emulators.azure.database import scram_verifier
from components.emulators.identities import TENANT_ID
from components.emulators.postgres.entra import Administrator
from tests.support.plane import PREPARE, TRACKING, Plane, eventually

CREATE_PRINCIPAL = "select * from pgaadauth_create_principal_with_oid(%s, %s, %s, %s, %s)"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to switch to another user")


@pytest.fixture(scope="module")
def served(shared_plane: Plane) -> Plane:
    shared_plane.start_postgres()
    with shared_plane.superuser() as cursor:
        cursor.execute("alter role \"mlflow-prepare\" password 'secret'")
    return shared_plane


def test_settings_are_as_promised(served: Plane) -> None:
    expected = {
        "listen_addresses": "127.0.0.1",
        "shared_buffers": "64MB",
        "max_connections": "400",
        "fsync": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "password_encryption": "scram-sha-256",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
    }
    with served.superuser() as cursor:
        found = {}
        for name in expected:
            cursor.execute(f"show {name}")
            found[name] = cursor.fetchall()[0][0]
    assert found == expected


def test_the_superuser_is_reached_over_the_private_socket_only(served: Plane) -> None:
    assert stat.S_IMODE(served.sockets.stat().st_mode) == 0o700
    with pytest.raises(psycopg2.OperationalError, match=r'pg_hba\.conf rejects connection .* user "postgres"'):
        served.sql("postgres", "any").__enter__()
    with pytest.raises(psycopg2.OperationalError, match=r"pg_hba\.conf rejects connection"):
        psycopg2.connect(host=str(served.sockets), port=served.postgres_port, user=PREPARE.name, dbname="postgres")


def test_only_with_a_password_over_tcp(served: Plane) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        served.sql(PREPARE.name, "wrong").__enter__()


def test_the_administrator_may_what_azures_may(served: Plane) -> None:
    with served.sql(PREPARE.name, "secret") as cursor:
        cursor.execute("select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user")
        assert cursor.fetchall() == [(False, True, True)]
        cursor.execute("select pg_has_role('azure_pg_admin', 'usage')")
        assert cursor.fetchall() == [(True,)]
        cursor.execute(CREATE_PRINCIPAL, ("a-service", TRACKING.principal_id, "service", False, False))
        assert cursor.fetchall() == [('Created role for "a-service"',)]
        cursor.execute("select * from pgaadauth_list_principals(false) where rolname = 'a-service'")
        assert cursor.fetchall() == [("a-service", "service", TRACKING.principal_id, TENANT_ID, False, False)]
        cursor.execute("select rolname from pgaadauth_list_principals(true)")
        assert cursor.fetchall() == [(PREPARE.name,)]
        cursor.execute("create database made")
        cursor.execute('grant connect on database made to "a-service"')
        cursor.execute('alter role "a-service" connection limit 50')
        cursor.execute('grant "a-service" to "mlflow-prepare" with inherit false, set true')


def test_the_administrator_has_no_rights_of_the_roles_it_makes(served: Plane) -> None:
    with served.sql(PREPARE.name, "secret") as cursor:
        cursor.execute(CREATE_PRINCIPAL, ("owner", TRACKING.principal_id, "service", False, False))
    with served.superuser() as cursor:
        cursor.execute("create table of_owner (x int)")
        cursor.execute("alter table of_owner owner to owner")
    with served.sql(PREPARE.name, "secret") as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute("select * from of_owner")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("mlflow-prepare", TRACKING.principal_id, "service", False, False), psycopg2.errors.DuplicateObject),
        (("other", "no-uuid", "service", False, False), psycopg2.errors.InvalidTextRepresentation),
        (("other", TRACKING.principal_id, "machine", False, False), psycopg2.errors.InvalidParameterValue),
    ],
)
def test_a_wrong_principal_is_refused_and_leaves_no_role(
    served: Plane, arguments: tuple[object, ...], error: type[psycopg2.Error]
) -> None:
    with served.sql(PREPARE.name, "secret") as cursor:
        with pytest.raises(error):
            cursor.execute(CREATE_PRINCIPAL, arguments)
        cursor.execute("select count(*) from pg_roles where rolname = 'other'")
        assert cursor.fetchall() == [(0,)]


def test_an_admin_principal_is_an_administrator_too(served: Plane) -> None:
    with served.sql(PREPARE.name, "secret") as cursor:
        cursor.execute(CREATE_PRINCIPAL, ("second'\"admin", TRACKING.principal_id, "User", True, False))
        cursor.execute("select rolname, isadmin, principaltype from pgaadauth_list_principals(true) order by 1 desc")
        assert cursor.fetchall()[0] == ("second'\"admin", True, "user")
        cursor.execute("select pg_has_role('second''\"admin', 'azure_pg_admin', 'usage')")
        assert cursor.fetchall() == [(True,)]


def test_other_roles_may_neither_make_principals_nor_see_them(served: Plane) -> None:
    with served.superuser() as cursor:
        cursor.execute("create role plain login password 'secret'")
    with served.sql("plain", "secret") as cursor:
        for statement in (
            f"select pgaadauth_create_principal_with_oid('x', '{TRACKING.principal_id}', 'service', true, false)",
            "select * from pgaadauth_list_principals(false)",
            "select * from pgaadauth.principals",
        ):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)


def test_a_verifier_made_here_is_postgresqls_own(served: Plane) -> None:
    with served.superuser() as cursor:
        cursor.execute("create role verified login")
        cursor.execute("alter role verified password %s", (scram_verifier("a long secret" * 100, os.urandom(16)),))
    with served.sql("verified", "a long secret" * 100) as cursor:
        cursor.execute("select current_user")
        assert cursor.fetchall() == [("verified",)]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        served.sql("verified", "a long secret").__enter__()


def test_a_second_one_is_refused_and_the_first_serves_on(served: Plane) -> None:
    second = Plane(served.folder, served.base_port)
    program = second.start_postgres(ready=False)
    assert program.exit_code() == 1
    assert f"is run by process {served.programs[0].process.pid}; stop that first" in program.log.read_text()
    assert postgres.is_ready(served.postgres_port)


def test_it_stops_in_order_though_clients_are_connected(plane: Plane) -> None:
    program = plane.start_postgres()
    with plane.superuser():
        assert program.stop(getattr(signal, f"SIG{postgres.STOP_SIGNAL}")) == 0
    assert "database system is shut down" in program.log.read_text()
    assert not postgres.is_ready(plane.postgres_port)


def test_what_was_committed_survives_a_kill_in_the_middle_of_work(plane: Plane) -> None:
    program = plane.start_postgres()
    with plane.superuser() as cursor:
        cursor.execute("create table kept as select 1 as x")
        backend = cursor.connection.get_backend_pid()
    with plane.superuser() as cursor:
        backend = cursor.connection.get_backend_pid()
        # A backend that is stopped cannot notice that its server has gone: the worst that a killed server leaves.
        os.kill(backend, signal.SIGSTOP)
        program.kill()
        again = plane.start_postgres()
    assert _gone(backend)
    with plane.superuser() as cursor:
        cursor.execute("select x from kept")
        assert cursor.fetchall() == [(1,)]
    assert again.process.poll() is None


def test_a_process_that_got_the_id_of_the_killed_server_is_no_obstacle(plane: Plane) -> None:
    program = plane.start_postgres()
    server = psutil.Process(program.process.pid).uids().real
    files = (
        plane.state / "postgres" / "data" / "postmaster.pid",
        plane.sockets / f".s.PGSQL.{plane.postgres_port}.lock",
    )
    program.kill()
    other = subprocess.Popen(["sleep", "600"], user=server)
    try:
        for file in files:
            _, _, rest = file.read_text().partition("\n")
            file.write_text(f"{other.pid}\n{rest}")
        plane.start_postgres()
    finally:
        other.kill()
        other.wait()


def test_a_kill_in_the_middle_of_the_first_start_leaves_nothing_that_is_trusted(plane: Plane) -> None:
    program = plane.start_postgres(ready=False)
    root = plane.state / "postgres"
    eventually(lambda: list(root.glob("data.new-*/base")), "initdb at work")
    program.kill()
    assert not (root / "data").exists()
    plane.start_postgres()
    assert not list(root.glob("data.new-*"))
    with plane.superuser() as cursor:
        cursor.execute("select rolname from pgaadauth_list_principals(true)")
        assert cursor.fetchall() == [(PREPARE.name,)]


@pytest.mark.parametrize("moment", ["data", "data/postmaster.pid", "data/pg_hba.conf"])
def test_a_kill_at_any_moment_of_the_first_start_is_repaired(plane: Plane, moment: str) -> None:
    program = plane.start_postgres(ready=False)
    eventually(lambda: (plane.state / "postgres" / moment).exists(), moment)
    program.kill()
    plane.start_postgres()
    with plane.superuser() as cursor:
        cursor.execute("select rolname from pgaadauth_list_principals(true)")
        assert cursor.fetchall() == [(PREPARE.name,)]


def test_a_taken_port_ends_the_program_with_the_reason(plane: Plane) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", plane.postgres_port))
        other.listen()
        program = plane.start_postgres(ready=False)
        assert program.exit_code() == 1
    assert 'could not bind IPv4 address "127.0.0.1": Address already in use' in program.log.read_text()


def test_a_long_socket_folder_is_refused_before_anything_is_made(plane: Plane) -> None:
    long = plane.folder / ("x" * 90)
    arguments = ("--port", str(plane.postgres_port), "--administrator", f"a:{PREPARE.principal_id}")
    program = plane.start("postgres", "--sockets", str(long), *arguments)
    assert program.exit_code() == 1
    assert "is too long for a Unix socket" in program.log.read_text()
    assert not long.exists()


@root_only
def test_a_socket_folder_of_somebody_else_is_refused(plane: Plane) -> None:
    plane.sockets.mkdir()
    os.chown(plane.sockets, 12345, 12345)
    program = plane.start_postgres(ready=False)
    assert program.exit_code() == 1
    assert "is not a folder of this user" in program.log.read_text()


@pytest.mark.parametrize("text", ["role", "role:x", f"Role:{PREPARE.principal_id}", f'a"b:{PREPARE.principal_id}'])
def test_a_malformed_administrator_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="administrator: "):
        Administrator.parse(text)


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
