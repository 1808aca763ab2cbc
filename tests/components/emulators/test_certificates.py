from __future__ import annotations

import contextlib
import datetime
import multiprocessing
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.emulators import certificates
from components.emulators.certificates import Certificates


def test_files_are_made_once_and_keys_are_private(tmp_path: Path) -> None:
    files = certificates.ensure(tmp_path)
    before = {path: path.read_bytes() for path in (files.authority, files.server, files.server_key, files.bundle)}
    assert certificates.ensure(tmp_path) == files
    assert {path: path.read_bytes() for path in before} == before
    assert {path.stat().st_mode & 0o777 for path in files.server.parent.glob("*.key")} == {0o600}


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_client_with_the_bundle_trusts_the_server(tmp_path: Path, name: str) -> None:
    files = certificates.ensure(tmp_path)
    assert _handshake(_serving(files.server, files.server_key), _trusting(files.bundle), name) is None


def test_a_client_without_the_bundle_does_not(tmp_path: Path) -> None:
    files = certificates.ensure(tmp_path)
    refusal = _handshake(_serving(files.server, files.server_key), ssl.create_default_context(), "localhost")
    assert refusal is not None
    assert "unable to get local issuer" in refusal


def test_the_bundle_also_trusts_the_public_roots(tmp_path: Path) -> None:
    roots = _trusting(certificates.ca_bundle(tmp_path)).cert_store_stats()["x509_ca"]
    assert roots > 100


def test_the_authority_cannot_vouch_for_another_name(tmp_path: Path) -> None:
    files = certificates.ensure(tmp_path)
    refusal = _handshake(_impostor(files, tmp_path), _trusting(files.bundle), "example.com")
    assert refusal is not None
    assert "permitted subtree violation" in refusal


@pytest.mark.parametrize("name", ["server.pem", "server.key", "ca.pem", "ca.key"])
def test_a_broken_file_is_made_again(tmp_path: Path, name: str) -> None:
    files = certificates.ensure(tmp_path)
    (tmp_path / "certificates" / name).write_bytes(b"")
    certificates.ensure(tmp_path)
    assert _handshake(_serving(files.server, files.server_key), _trusting(files.bundle), "localhost") is None


def test_a_certificate_near_its_end_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "_SERVER_LIFE", datetime.timedelta(days=100))
    files = certificates.ensure(tmp_path)
    short, authority = files.server.read_bytes(), files.authority.read_bytes()
    monkeypatch.undo()
    certificates.ensure(tmp_path)
    assert files.server.read_bytes() != short
    assert files.authority.read_bytes() == authority


def test_several_starting_at_once_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.map(_bundle, [tmp_path] * 8)
    assert len(set(found)) == 1


def _bundle(state: Path) -> bytes:
    return certificates.ca_bundle(state).read_bytes()


def _serving(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _trusting(bundle: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(bundle)
    return context


def _impostor(files: Certificates, folder: Path) -> ssl.SSLContext:
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    authority_key = serialization.load_pem_private_key((files.authority.parent / "ca.key").read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("example.com")]), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "impostor.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "impostor.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return _serving(folder / "impostor.pem", folder / "impostor.key")


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str | None:
    """Why the client refuses the server; None when it does not."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(10):
        try:
            client_side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        else:
            return None
        with contextlib.suppress(ssl.SSLWantReadError):
            server_side.do_handshake()
    raise AssertionError("the handshake does not end")
