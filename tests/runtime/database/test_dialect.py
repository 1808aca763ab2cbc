"""`postgresql+entra` against a real PostgreSQL whose passwords are the identities' tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError

from mlflow_runtime.azure import identity
from mlflow_runtime.database.dialect import SCOPE
from tests.support.services import BY_ROLE, Platform

ROLE = BY_ROLE["tracking"].name


@pytest.fixture
def database(as_tracking: Platform) -> Iterator[Engine]:
    """An engine that signs in again for each connection."""
    engine = create_engine(as_tracking.database_url("tracking", "tracking"), poolclass=NullPool)
    yield engine
    engine.dispose()


def who(database: Engine) -> str:
    with database.connect() as connection:
        return str(connection.execute(text("select current_user")).scalar_one())


def test_it_signs_in_with_the_token_and_is_postgresql_to_mlflow(database: Engine) -> None:
    assert who(database) == ROLE
    assert (database.dialect.name, database.dialect.driver) == ("postgresql", "entra")


def test_the_token_is_in_neither_the_url_nor_what_is_printed(database: Engine) -> None:
    assert who(database) == ROLE
    token = identity.current().get_token(SCOPE).token
    assert token.count(".") == 2
    assert token not in f"{database.url!r} {database!r} {database.url.render_as_string(hide_password=False)}"


def test_a_refused_token_is_renewed_and_the_connect_tried_again(as_tracking: Platform, database: Engine) -> None:
    assert who(database) == ROLE
    before = identity.current()._credential
    with as_tracking.plane.superuser() as cursor:
        cursor.execute(f"alter role \"{ROLE}\" password 'another'")
    assert who(database) == ROLE  # the endpoint sets the password with each token that it hands out
    renewed = identity.current()._credential
    assert renewed is not before
    assert who(database) == ROLE
    assert identity.current()._credential is renewed, "a token that is accepted is kept"


def test_a_role_that_may_not_sign_in_is_tried_twice_and_no_more(as_tracking: Platform) -> None:
    url = make_url(as_tracking.database_url("tracking", "tracking")).set(username="mlflow-registry")
    with pytest.raises(OperationalError, match="authentication failed"):
        who(create_engine(url, poolclass=NullPool))


def test_a_failure_that_is_no_refusal_is_not_tried_again(as_tracking: Platform) -> None:
    before = identity.current()._credential
    url = make_url(as_tracking.database_url("tracking", "nowhere"))
    with pytest.raises(OperationalError, match=r'database "nowhere" does not exist'):
        who(create_engine(url, poolclass=NullPool))
    assert identity.current()._credential is before


def test_no_token_is_like_no_database_to_callers(
    as_tracking: Platform, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    with pytest.raises(OperationalError, match="gives no token for the database"):
        who(database)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+entra://role:hunter2@127.0.0.1/tracking",
        "postgresql+entra://role@127.0.0.1/tracking?password=hunter2",
    ],
)
def test_a_url_with_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ArgumentError, match="must not hold a password") as raised:
        create_engine(url).connect()
    assert "hunter2" not in str(raised.value)


def test_a_password_beside_the_url_is_refused(as_tracking: Platform) -> None:
    url = as_tracking.database_url("tracking", "tracking")
    with pytest.raises(ArgumentError, match="must not hold a password"):
        create_engine(url, connect_args={"password": "hunter2"}).connect()


def test_limits_have_defaults_that_the_url_may_change() -> None:
    dialect = create_engine("postgresql+entra://role@127.0.0.1/tracking").dialect
    url = make_url("postgresql+entra://role@db.example.com/tracking?sslmode=verify-full&connect_timeout=1")
    _, options = dialect.create_connect_args(url)
    assert options["connect_timeout"] == "1"
    assert options["tcp_user_timeout"] == "15000"


def test_verify_full_has_authorities_to_verify_with(monkeypatch: pytest.MonkeyPatch) -> None:
    dialect = create_engine("postgresql+entra://role@127.0.0.1/tracking").dialect
    url = make_url("postgresql+entra://role@db.example.com/tracking?sslmode=verify-full")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert dialect.create_connect_args(url)[1]["sslrootcert"].endswith(".pem")
    monkeypatch.setenv("SSL_CERT_FILE", "/platform/bundle.pem")
    assert dialect.create_connect_args(url)[1]["sslrootcert"] == "/platform/bundle.pem"
    own = url.update_query_dict({"sslrootcert": "/own.pem"})
    assert dialect.create_connect_args(own)[1]["sslrootcert"] == "/own.pem"


def test_every_lost_connection_is_an_operational_error(database: Engine) -> None:
    with database.connect() as connection:
        assert connection.connection.dbapi_connection is not None
        connection.connection.dbapi_connection.close()  # psycopg2 says InterfaceError, which MLflow answers with 400
        with pytest.raises(OperationalError, match="connection already closed"):
            connection.execute(text("select 1"))
        assert connection.invalidated


def test_a_mistake_in_sql_stays_what_it_is(database: Engine) -> None:
    with database.connect() as connection, pytest.raises(Exception, match="does not exist") as raised:
        connection.execute(text("select * from nowhere"))
    assert not isinstance(raised.value, OperationalError)
