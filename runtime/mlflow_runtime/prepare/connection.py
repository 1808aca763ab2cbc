"""How prepare connects: unpooled engines with bounded waits, and the wait for a database that is not there yet."""

from __future__ import annotations

from azure.core.exceptions import AzureError
from sqlalchemy import URL, Engine, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from mlflow_runtime.deadline import Deadline
from mlflow_runtime.prepare.errors import PrepareError
from mlflow_runtime.reasons import first_line

# pg_stat_activity shows this name; the lock finds the sessions of a dead prepare by it.
APPLICATION_NAME = "mlflow-prepare"

# lock_timeout: a migration that waits for a table lock blocks every query behind it, so it rather fails and is run
# again. The others let the server notice a client that died without a word, and with that release its locks.
_SESSION_OPTIONS = {
    "lock_timeout": "30s",
    "client_connection_check_interval": "5s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


def database_url(admin_url: URL, database: str) -> URL:
    """The address of `database` on the same server and as the same role, with prepare's session options."""
    return admin_url.set(database=database).update_query_dict(
        {
            "application_name": APPLICATION_NAME,
            "connect_timeout": "10",
            "keepalives_idle": "30",
            "options": " ".join(f"-c {name}={value}" for name, value in _SESSION_OPTIONS.items()),
        }
    )


def engine(admin_url: URL, database: str) -> Engine:
    """An engine without a pool: no session outlives its use, and each one gets a token that is valid now."""
    return create_engine(database_url(admin_url, database), poolclass=NullPool)


def quoted(identifier: str) -> str:
    """An SQL identifier, always in double quotes (role names have hyphens)."""
    return '"' + identifier.replace('"', '""') + '"'


def wait_until_reachable(target: Engine, *, within: float) -> None:
    """Connect until it works; PrepareError after `within` seconds.

    A refused connection, a refused login and a missing identity are all retried: on Azure, role assignments and the
    database's Entra administrator take minutes to be in effect. Anything else (a bad URL, a missing driver) is raised.
    """
    retried = (OperationalError, AzureError)
    try:
        Deadline(within).attempt(lambda: _connect(target), retried=retried, what="the database")
    except retried as error:
        where = f"{target.url.host}:{target.url.port or 5432} as {target.url.username!r}"
        raise PrepareError(
            f"the database at {where} could not be reached in {within:g} s; the last reason was: {first_line(error)}",
            "check that the server runs, that this job's network reaches it, and that this role is the "
            "server's Entra administrator under exactly this name",
        ) from error


def _connect(target: Engine) -> None:
    with target.connect() as connection:
        connection.execute(text("SELECT 1"))
