"""Certificates as Key Vault holds them: chain and private key together, in one secret.

A certificate of Key Vault is also a secret of the same name, in PEM or, as Azure's default, in PKCS#12 as base64
(Microsoft Learn, "About Azure Key Vault certificates"). Nothing here writes a private key anywhere.
"""

from __future__ import annotations

import base64
import datetime
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

WARNING_DAYS: Final = 14
CONTENT_TYPE: Final = "application/x-pem-file"
"""What Key Vault calls the secret of a certificate in PEM."""

# The longest that clients of Apple take, from an authority that their user trusts too.
_LIFE: Final = datetime.timedelta(days=825)
_BACKDATE: Final = datetime.timedelta(hours=1)
_LONGEST_COMMON_NAME: Final = 64

_PRIVATE: Final = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A server's certificate. `pem` is its chain, the server's own first, and its private key."""

    pem: str = field(repr=False)
    names: tuple[str, ...]
    begins: datetime.datetime
    ends: datetime.datetime

    def problem(self, host: str, now: datetime.datetime) -> str:
        """Return why clients of `host` refuse it, or will within 14 days; empty if they do not."""
        end = f"{self.ends:%Y-%m-%d %H:%M} UTC"
        if not any(_matches(host, name) for name in self.names):
            return f"is for {', '.join(self.names) or 'no name'} and not for {host}"
        if now < self.begins:
            return f"is not valid before {self.begins:%Y-%m-%d %H:%M} UTC"
        if now >= self.ends:
            return f"has expired on {end}"
        if now >= self.ends - datetime.timedelta(days=WARNING_DAYS):
            return f"expires in {(self.ends - now).days} days, on {end}"
        return ""


def read(value: str) -> Certificate:
    """Return the certificate of a secret's value. Raises ValueError, without the value, for anything else."""
    try:
        chain, key = _of_pem(value) if value.lstrip().startswith("-----") else _of_pkcs12(value)
    except (ValueError, TypeError):
        # From None, and without its words: they may show a part of the key.
        raise ValueError(
            "is neither PEM with a certificate and its private key, nor PKCS#12 without a password"
        ) from None
    own = chain[0]
    if key.public_key() != own.public_key():
        raise ValueError("has a private key that is not the one of its first certificate")
    try:
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    texts = [part.public_bytes(serialization.Encoding.PEM).decode() for part in chain]
    return Certificate(
        pem="".join([*texts, key.private_bytes(*_PRIVATE).decode()]),
        names=tuple(names.get_values_for_type(x509.DNSName)),
        begins=own.not_valid_before_utc,
        ends=own.not_valid_after_utc,
    )


def self_signed(host: str, now: datetime.datetime | None = None) -> str:
    """Return chain and key, in PEM, of a certificate that nobody but its own holder vouches for."""
    moment = now or datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:_LONGEST_COMMON_NAME])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - _BACKDATE)
        .not_valid_after(moment + _LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode() + key.private_bytes(*_PRIVATE).decode()


def _of_pem(value: str) -> tuple[list[x509.Certificate], PrivateKeyTypes]:
    chain = x509.load_pem_x509_certificates(value.encode())
    return chain, serialization.load_pem_private_key(value.encode(), None)


def _of_pkcs12(value: str) -> tuple[list[x509.Certificate], PrivateKeyTypes]:
    bundle = pkcs12.load_pkcs12(base64.b64decode(value, validate=True), None)
    if bundle.cert is None or bundle.key is None:
        raise ValueError("incomplete")
    return [bundle.cert.certificate, *(extra.certificate for extra in bundle.additional_certs)], bundle.key


def _matches(host: str, name: str) -> bool:
    """A star stands for one label, the first."""
    wanted, given = host.lower().split("."), name.lower().split(".")
    if len(wanted) != len(given):
        return False
    return wanted[1:] == given[1:] and (given[0] == "*" or wanted[0] == given[0])
