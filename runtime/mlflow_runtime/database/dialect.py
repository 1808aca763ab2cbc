"""`postgresql+entra://ROLE@HOST/DATABASE`: PostgreSQL by psycopg2, signed in with a token of the managed identity.

A token is taken at each connect, so a pool outlives the tokens: a connection stays open when its token ends, and the
next one gets a token that is valid then. As a dialect it reaches every engine that MLflow and Alembic make from a URL.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final

import certifi
import psycopg2
from azure.core.exceptions import AzureError
from sqlalchemy import URL, Engine, Pool, event
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from mlflow_runtime.azure import identity, refusals
from mlflow_runtime.metrics import database as metrics
from mlflow_runtime.reasons import first_line

SCOPE: Final = "https://ossrdbms-aad.database.windows.net/.default"

# A dead server is noticed in seconds: an unanswered connect, an idle connection whose peer is gone, and sent data that
# nobody acknowledges (milliseconds). The URL's query may say otherwise.
_LIMITS: Final = {
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}

# libpq keeps the SQLSTATE of a failed connect (28P01, 28000) to itself; its message is all there is.
_REFUSED = re.compile(r"authentication failed|access token|token .*expired", re.IGNORECASE)


class EntraDialect(PGDialect_psycopg2):
    """The dialect behind the entry point `postgresql.entra`. A URL or argument with a password is an ArgumentError."""

    driver = "entra"
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        """Pools that are seen in the metrics, for engines that choose none."""
        return metrics.pool_class(url)

    def create_connect_args(self, url: URL) -> tuple[list[str], dict[str, Any]]:
        """The arguments of a connect, without a token."""
        arguments, options = super().create_connect_args(url)  # type: ignore[no-untyped-call]
        if options.get("password") is not None:
            raise ArgumentError(
                f"A {url.drivername} URL must not hold a password (for role {url.username!r} at {url.host}); leave it "
                "out, the managed identity's token is used."
            )
        return arguments, {**_LIMITS, **_trust(options), **options}

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """Connect with the identity's token; a token that the server refuses is renewed, once.

        A token that cannot be had is an OperationalError like a server that cannot be reached: callers retry both.
        """
        if "password" in options:
            raise ArgumentError("connect_args must not hold a password; the managed identity's token is used.")
        try:
            token = str(identity.current().get_token(SCOPE).token)
            try:
                return super().connect(*arguments, **options, password=token)
            except psycopg2.OperationalError as error:
                if not is_refused(error):
                    raise
                renewed = identity.current().renewed_token(SCOPE, token)
                try:
                    return super().connect(*arguments, **options, password=renewed)
                except psycopg2.OperationalError as refusal:
                    if is_refused(refusal):
                        refusals.log("PostgreSQL refuses a new token of the identity", first_line(refusal))
                    raise
        except AzureError as error:
            raise psycopg2.OperationalError(
                f"The managed identity {identity.current().client_id} gives no token for the database: {error.message}"
            ) from error


def is_refused(error: psycopg2.OperationalError) -> bool:
    """Whether a connect failed for its token."""
    return bool(_REFUSED.search(str(error)))


def _trust(options: dict[str, Any]) -> dict[str, str]:
    """Where libpq finds the authorities for verify-full; by itself it looks for a file in the user's home only."""
    if options.get("sslmode") not in ("verify-full", "verify-ca"):
        return {}
    return {"sslrootcert": os.environ.get("SSL_CERT_FILE") or certifi.where()}


@event.listens_for(Engine, "handle_error")
def _lost_connection(context: ExceptionContext) -> None:
    """Give a lost connection one name. psycopg2 has three for it; MLflow answers OperationalError with 503, which
    clients retry, and the others with 400, which ends their run."""
    error = context.sqlalchemy_exception
    if (
        context.is_disconnect
        and isinstance(error, DBAPIError)
        and not isinstance(error, OperationalError)
        and isinstance(context.dialect, EntraDialect)
    ):
        raise OperationalError(
            error.statement,
            error.params,
            context.original_exception,
            hide_parameters=error.hide_parameters,
            connection_invalidated=True,
        ) from error
