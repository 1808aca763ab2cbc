"""Makes PostgreSQL accept a managed identity's database token, until that token expires and no longer.

Azure's PostgreSQL checks tokens itself. Here the token becomes the password of the identity's roles, valid until the
token's end, written over PostgreSQL's private socket as its superuser. Sent as a SCRAM verifier: the token itself is
in no statement, and so in no log of the server.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import logging
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql

from components.emulators.azure.tokens import Token
from components.emulators.identities import EmulatedIdentity

RETRY_SECONDS = 1.0
_CONNECT_SECONDS = 3
_STATEMENT_MILLISECONDS = 5000
_ITERATIONS = 4096

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Write:
    """A token to be written. One that nobody asked for is dropped when its identity has no role."""

    identity: EmulatedIdentity
    token: Token
    asked: bool


class DatabaseSignIns:
    """Writes tokens into PostgreSQL at `sockets`/`port`.

    A token is handed out even while the database is down or the role does not exist, as on Azure. It is then written as
    soon as that changes, because whoever got it keeps using it.
    """

    def __init__(self, sockets: Path, port: int) -> None:
        self._sockets = sockets
        self._port = port
        self._pending: dict[str, _Write] = {}
        # PostgreSQL refuses two changes of one role at the same time.
        self._writing = threading.Lock()
        self._waiting = threading.Event()

    def admit(self, identity: EmulatedIdentity, token: Token) -> None:
        """Make the token the password of the identity's roles, now if it can be done."""
        with self._writing:
            self._pending[identity.name] = _Write(identity, token, asked=True)
            self._write_pending(quiet=False)

    def restore(self, current: Iterable[tuple[EmulatedIdentity, Token]]) -> None:
        """Write tokens that may have been handed out just before this program was killed."""
        with self._writing:
            for identity, token in current:
                self._pending.setdefault(identity.name, _Write(identity, token, asked=False))
            self._write_pending(quiet=True)

    def retry_forever(self) -> None:
        """Write what could not be written at once. Runs in a thread of its own."""
        while True:
            self._waiting.wait()
            time.sleep(RETRY_SECONDS)
            with self._writing:
                self._write_pending(quiet=True)

    def _write_pending(self, *, quiet: bool) -> None:
        level = logging.DEBUG if quiet else logging.WARNING
        try:
            connection = psycopg2.connect(
                host=str(self._sockets),
                port=self._port,
                user="postgres",
                dbname="postgres",
                connect_timeout=_CONNECT_SECONDS,
            )
        except psycopg2.Error as error:
            log.log(level, "database tokens are not accepted yet, the database is down: %s", str(error).strip())
        else:
            try:
                self._write_to(connection, level)
            except psycopg2.Error as error:
                log.log(level, "database tokens are not accepted yet: %s", str(error).strip())
            finally:
                connection.close()
        if self._pending:
            self._waiting.set()
        else:
            self._waiting.clear()

    def _write_to(self, connection: psycopg2.extensions.connection, level: int) -> None:
        for name, write in list(self._pending.items()):
            with connection, connection.cursor() as cursor:
                cursor.execute(sql.SQL("set local statement_timeout = {}").format(sql.Literal(_STATEMENT_MILLISECONDS)))
                cursor.execute(
                    "select r.rolname from pgaadauth.principals p join pg_roles r on r.oid = p.role"
                    " where p.object_id = %s",
                    (write.identity.principal_id,),
                )
                roles = [row[0] for row in cursor.fetchall()]
                for role in roles:
                    cursor.execute(_password_statement(role, write.token))
            if roles:
                log.info("PostgreSQL accepts the token of %s until %s", name, write.token.expires_on)
                del self._pending[name]
            elif not write.asked:
                del self._pending[name]
            else:
                log.log(level, "no database role belongs to %s yet; its token is accepted once there is one", name)


def scram_verifier(password: str, salt: bytes) -> str:
    """What PostgreSQL stores for a password under scram-sha-256 (RFC 5803). The password must be plain ASCII."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    parts = (salt, hashlib.sha256(client_key).digest(), server_key)
    encoded_salt, stored, server = (base64.b64encode(part).decode() for part in parts)
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded_salt}${stored}:{server}"


def _password_statement(role: str, token: Token) -> sql.Composed:
    until = datetime.datetime.fromtimestamp(token.expires_on, datetime.UTC).isoformat()
    return sql.SQL("alter role {} password {} valid until {}").format(
        sql.Identifier(role), sql.Literal(scram_verifier(token.value, os.urandom(16))), sql.Literal(until)
    )
