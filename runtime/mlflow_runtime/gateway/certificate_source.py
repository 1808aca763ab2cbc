"""Where Caddy gets the gateway's certificate: a process beside it, which reads it from Key Vault every few minutes.

Caddy asks at each handshake and keeps nothing, so a renewed certificate is served from the next connection on, and none
that is open ends. The private key is in the memory of the two processes alone: Caddy asks on the loopback address, by a
path that nobody else knows.
"""

from __future__ import annotations

import contextlib
import datetime
import hmac
import http.server
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from mlflow_runtime.azure import certificates, identity, refusals
from mlflow_runtime.azure.certificates import Certificate
from mlflow_runtime.deadline import Deadline
from mlflow_runtime.gateway.settings import CertificateError, Tls
from mlflow_runtime.reasons import first_line

# Below the two minutes that the gateway has for its start.
WAIT_SECONDS = 90.0
POLL_SECONDS = 300.0
_HOUR: Final = 3600.0

_log = logging.getLogger(__name__)


class Source:
    """The certificate as it was last read. Threads share it.

    A certificate that clients refuse is served all the same, since theirs says why; each hour a line of level ERROR or
    WARNING says so too.
    """

    def __init__(self, tls: Tls, vault: SecretClient, *, clock: Callable[[], float] = time.time) -> None:
        self._tls, self._vault, self._clock = tls, vault, clock
        self._said = 0.0
        self._current: Certificate | None = None

    @property
    def pem(self) -> str:
        """Chain and private key."""
        return self._current.pem if self._current else ""

    def start(self, within: float) -> None:
        """Read the certificate for the first time. Raises CertificateError when it cannot be read for that long."""
        deadline = Deadline(within)
        what = f"certificate {self._tls.secret}"
        try:
            self._take(deadline.attempt(self._read, retried=(AzureError,), what=what))
        except (AzureError, ValueError) as error:
            raise CertificateError(self._why(error)) from error

    def renew(self) -> None:
        """Read it again. One that cannot be read leaves the previous one in service."""
        try:
            self._take(self._read())
        except (AzureError, ValueError) as error:
            self._say(logging.WARNING, f"{self._why(error)} The gateway serves the previous one.")

    def _read(self) -> Certificate:
        return certificates.read(self._vault.get_secret(self._tls.secret).value or "")

    def _take(self, found: Certificate) -> None:
        if self._current is not None and found.pem != self._current.pem:
            _log.info("certificate %s: renewed, valid until %s", self._tls.secret, found.ends.date())
            self._said = 0.0
        self._current = found
        now = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)
        if problem := found.problem(self._tls.host, now):
            level = logging.WARNING if found.begins <= now < found.ends else logging.ERROR
            self._say(level, f"{self._what} {problem}. {self._remedy}")

    def _say(self, level: int, text: str) -> None:
        if self._clock() - self._said >= _HOUR:
            self._said = self._clock()
            _log.log(level, "%s", text)

    def _why(self, error: Exception) -> str:
        if isinstance(error, ResourceNotFoundError):
            return f"{self._what}: there is none. {self._remedy}"
        if isinstance(error, HttpResponseError) and error.status_code == 403:
            refusals.log_if_refused(f"Key Vault does not serve secret {self._tls.secret!r}", error)
            who = identity.current().client_id
            return (
                f"{self._what}: {first_line(error)} Check that the secret is enabled, and that identity {who} has role "
                "Key Vault Secrets User on it."
            )
        if isinstance(error, AzureError):
            return f"{self._what}: {first_line(error)} Check that this network reaches the vault."
        return f"{self._what} {error}. {self._remedy}"

    @property
    def _what(self) -> str:
        return f"certificate {self._tls.secret} in {self._tls.vault_url}"

    @property
    def _remedy(self) -> str:
        vault = (urlsplit(self._tls.vault_url).hostname or "").partition(".")[0]
        where = f"--vault-name {vault} --name {self._tls.secret} --file FILE"
        return (
            f"Run, with its chain and key in PEM in FILE: az keyvault certificate import {where}; or, for a plain "
            f"secret as prepare makes it: az keyvault secret set {where}. The gateway takes it within minutes, without "
            "a restart."
        )


def serve(tls: Tls, vault: SecretClient) -> str:
    """Read the certificate, then serve it from a process that ends with this one; return the URL.

    Raises CertificateError without one.
    """
    source = Source(tls, vault)
    source.start(WAIT_SECONDS)
    listener = socket.create_server(("127.0.0.1", 0))
    path = f"/{secrets.token_urlsafe(32)}"
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(write)
        _child(source, listener, path, read)
    os.close(read)
    # Held by whatever this process becomes: its end is the end of the other one.
    os.set_inheritable(write, True)
    port = listener.getsockname()[1]
    listener.close()
    return f"http://127.0.0.1:{port}{path}"


def server(source: Source, listener: socket.socket, path: str) -> http.server.ThreadingHTTPServer:
    """Return a server on a socket that listens; it answers at `path` alone."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer: the second of two would wait for the first one's acknowledgement

        def do_GET(self) -> None:
            known = hmac.compare_digest(urlsplit(self.path).path, path)
            body = source.pem.encode() if known else b""
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: each handshake is a request."""

    made = http.server.ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
    made.socket.close()
    made.socket = listener
    return made


def _child(source: Source, listener: socket.socket, path: str, parent: int) -> None:
    """Serve until the parent ends. A stop is the parent's matter: connections come until it is over."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        threading.Thread(target=server(source, listener, path).serve_forever, daemon=True).start()
        threading.Thread(target=partial(_renew_forever, source), daemon=True).start()
        with contextlib.suppress(OSError):
            os.read(parent, 1)
        code = 0
    finally:
        os._exit(code)


def _renew_forever(source: Source) -> None:
    while True:
        time.sleep(POLL_SECONDS)
        source.renew()
