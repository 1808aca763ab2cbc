"""A gateway that takes TLS itself: a real Caddy, with a certificate out of the Key Vault of the local stack."""

from __future__ import annotations

import base64
import datetime
import http.client
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from components.emulators.identities import EmulatedIdentity
from mlflow_runtime.azure import certificates
from mlflow_runtime.routes import ServiceRole
from tests.runtime.gateway.stack import ARTIFACT_PATH, PATIENCE_SECONDS, Gateway, Upstream
from tests.support.plane import PREPARE, STACK, Plane
from tests.support.ports import first_of_free_ports
from tests.support.waiting import until

HOST = "mlflow-dev.internal"
SECRET = "gateway-tls"
# As the image starts it, with less patience.
START = """
import os, sys
from mlflow_runtime import gateway
from mlflow_runtime.gateway import certificate_source
certificate_source.WAIT_SECONDS, certificate_source.POLL_SECONDS = 2.0, 0.3
sys.exit(gateway.run(os.environ))
"""
IDENTITY = EmulatedIdentity.of(STACK, "gateway", secrets=[SECRET])
NOW = datetime.datetime.now(datetime.UTC)


@dataclass
class Secure(Gateway):
    """A gateway that is called by its public name over TLS, by a client that trusts one certificate."""

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def host(self) -> str:
        return HOST

    def connection(self, trusted: str) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cadata=trusted.partition("-----BEGIN PRIVATE")[0])
        made = http.client.HTTPSConnection(HOST, self.port, timeout=PATIENCE_SECONDS, context=context)
        # The name is nobody's: its connection goes to this machine.
        made._create_connection = lambda *_: self.connect()  # type: ignore[attr-defined]
        return made

    def serves(self, trusted: str) -> bool:
        """Whether a new connection meets the certificate."""
        try:
            connection = self.connection(trusted)
            connection.request("GET", "/live")
            return connection.getresponse().status == 200
        except (ssl.SSLCertVerificationError, ConnectionError):
            return False

    def said(self, words: str) -> bool:
        return words in self.log_file.read_text()


@pytest.fixture(scope="module")
def plane() -> Iterator[Plane]:
    made = Plane(Path(tempfile.mkdtemp(prefix="plane-")), first_of_free_ports(4))
    try:
        made.start_azure(known=[IDENTITY, PREPARE])
        yield made
    finally:
        made.stop_all()


@pytest.fixture
def gateway(plane: Plane, tmp_path: Path) -> Iterator[Secure]:
    upstreams = {role.value: [Upstream(f"{role}-1")] for role in ServiceRole}
    for (replica,) in upstreams.values():
        replica.start()
    settings = {"MLFLOW_RUNTIME_KEY_VAULT_URL": plane.vault_url, "MLFLOW_RUNTIME_TLS_CERTIFICATE": SECRET}
    made = Secure(upstreams, tmp_path / "gateway.log", {**settings, **plane.environment(IDENTITY)})
    yield made
    made.stop()
    for (replica,) in upstreams.values():
        replica.stop()


def put(plane: Plane, value: str) -> None:
    """Write a version of the secret, as somebody who renews a certificate."""
    token = plane.token(PREPARE, "https://vault.azure.net")["access_token"]
    answer = requests.put(
        f"{plane.vault_url}/secrets/{SECRET}?api-version=7.6",
        json={"value": value},
        headers={"Authorization": f"Bearer {token}"},
        verify=str(plane.ca),
        timeout=PATIENCE_SECONDS,
    )
    assert answer.status_code == 200, answer.text


def in_pkcs12(pem: str) -> str:
    """As Key Vault holds a certificate by default."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    key = serialization.load_pem_private_key(pem.encode(), None)
    packed = pkcs12.serialize_key_and_certificates(None, key, certificate, None, serialization.NoEncryption())  # type: ignore[arg-type]
    return base64.b64encode(packed).decode()


def test_a_life_of_certificates(plane: Plane, gateway: Secure) -> None:
    gateway.start()
    assert gateway.process is not None
    assert gateway.process.wait(PATIENCE_SECONDS) == 1
    assert gateway.said(f"certificate {SECRET} in {plane.vault_url}: there is none.")

    first, second, expired = (
        certificates.self_signed(HOST),
        certificates.self_signed(HOST),
        certificates.self_signed(HOST, NOW - datetime.timedelta(days=900)),
    )
    put(plane, first)
    gateway.start()
    until(lambda: gateway.serves(first), "it serves the certificate of the vault", PATIENCE_SECONDS)
    # A probe says no name, and checks none.
    assert b"CERTIFICATE" in ssl.get_server_certificate(("127.0.0.1", gateway.port)).encode()

    upload = gateway.connection(first)
    upload.putrequest("PUT", ARTIFACT_PATH, skip_host=True)
    for name, value in {"Host": HOST, "Content-Length": "20"}.items():
        upload.putheader(name, value)
    upload.endheaders(b"0123456789")

    put(plane, in_pkcs12(second))
    until(lambda: gateway.serves(second), "it serves the renewed certificate", PATIENCE_SECONDS)
    assert not gateway.serves(first)
    put(plane, "no certificate")
    until(lambda: gateway.said("neither PEM"), "it says what is wrong", PATIENCE_SECONDS)
    assert gateway.serves(second)

    upload.send(b"0123456789")
    assert upload.getresponse().status == 200

    put(plane, expired)
    until(lambda: gateway.said("has expired on"), "it says that the certificate has expired", PATIENCE_SECONDS)
    assert "PRIVATE KEY" not in gateway.log_file.read_text()

    (beside,) = psutil.Process(gateway.pid).children()
    gateway.process.kill()
    gateway.process.wait()
    until(lambda: not beside.is_running(), "what reads the vault ends with Caddy", PATIENCE_SECONDS)
