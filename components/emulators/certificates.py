"""TLS of the local stack: a certificate authority that can vouch for this machine's loopback names and nothing else.

Files in `STATE/certificates`: `ca.pem` and `server.pem` with their keys, and `bundle.pem`, the public roots plus the
local CA, for REQUESTS_CA_BUNDLE and SSL_CERT_FILE: a process with that still reaches public HTTPS addresses.
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from components.emulators import durable

_AUTHORITY_LIFE = datetime.timedelta(days=3650)
_SERVER_LIFE = datetime.timedelta(days=825)
# A program may run this long after it loaded its certificate.
_RENEW_BEFORE = datetime.timedelta(days=180)
_BACKDATE = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Certificates:
    """The files that a server needs, and the one that its clients need."""

    authority: Path
    server: Path
    server_key: Path
    bundle: Path


def ca_bundle(state: Path) -> Path:
    """The PEM file that a client of the local stack trusts. Made when missing."""
    return ensure(state).bundle


def ensure(state: Path) -> Certificates:
    """The stack's certificates, made when missing, broken or within 180 days of their end.

    A new authority is made only together with a new server certificate; clients then have to be started again.
    """
    base = state / "certificates"
    files = Certificates(base / "ca.pem", base / "server.pem", base / "server.key", base / "bundle.pem")
    authority_key = base / "ca.key"
    with durable.locked(base / ".lock"):
        authority = _usable(files.authority, authority_key)
        if authority is None:
            authority = _make_authority()
            _save(authority, files.authority, authority_key)
        server = _usable(files.server, files.server_key)
        if server is None or not _issued(authority[0], server[0]):
            _save(_make_server(*authority), files.server, files.server_key)
        bundle = Path(certifi.where()).read_bytes().rstrip() + b"\n" + files.authority.read_bytes()
        if not files.bundle.exists() or files.bundle.read_bytes() != bundle:
            durable.write(files.bundle, bundle)
        files.bundle.chmod(0o644)  # public, and read by another user in containers
    return files


def _usable(path: Path, key_path: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    renew_at = certificate.not_valid_after_utc - _RENEW_BEFORE
    return (certificate, key) if datetime.datetime.now(datetime.UTC) < renew_at else None


def _issued(authority: x509.Certificate, server: x509.Certificate) -> bool:
    try:
        server.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _make_authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    # The serial number in the name tells two generations of the authority apart.
    serial = x509.random_serial_number()
    name = _name(f"mlflow-platform local CA {serial:x}"[:64])
    loopback_only = x509.NameConstraints(
        permitted_subtrees=[x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_network("127.0.0.1/32"))],
        excluded_subtrees=None,
    )
    builder = (
        _builder(name, name, key, _AUTHORITY_LIFE)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(loopback_only, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()), key


def _make_server(
    authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = (
        _builder(_name("localhost"), authority.subject, key, _SERVER_LIFE)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    return builder.sign(authority_key, hashes.SHA256()), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + life)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _save(pair: tuple[x509.Certificate, ec.EllipticCurvePrivateKey], path: Path, key_path: Path) -> None:
    certificate, key = pair
    pem = serialization.Encoding.PEM
    # Key first: a crash in between leaves a pair that does not match, and is made again.
    durable.write(key_path, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    durable.write(path, certificate.public_bytes(pem))
