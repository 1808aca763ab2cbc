"""The managed identities of the local stack: ids that stay the same, and what each identity may do."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mlflow-platform:local")

TENANT_ID = str(uuid.uuid5(_NAMESPACE, "tenant"))
"""The Entra tenant that every token of the local stack names."""


def client_id(stack: str, name: str) -> str:
    """The client id (application id) of a stack's identity: what a workload asks tokens for."""
    return str(uuid.uuid5(_NAMESPACE, f"client/{stack}/{name}"))


def principal_id(stack: str, name: str) -> str:
    """The principal id (object id) of a stack's identity: what roles and grants refer to."""
    return str(uuid.uuid5(_NAMESPACE, f"principal/{stack}/{name}"))


def header_file(state: Path, name: str) -> Path:
    """Where the value of IDENTITY_HEADER of an identity is kept, by the program that made it at its first start."""
    return state / "identity-headers" / name


class BlobAccess(enum.StrEnum):
    """What an identity may do to the blobs of the container: nothing, what a Storage Blob Data Reader may, or what a
    Storage Blob Data Contributor may."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, kw_only=True)
class EmulatedIdentity:
    """An identity and its grants.

    `secrets` are the Key Vault secrets it may read, as Key Vault Secrets User on each of them; `manage_secrets` lets it
    read, list, set, update, delete, recover and purge all of them, as Key Vault Secrets Officer on the vault.
    """

    name: str
    client_id: str
    principal_id: str
    secrets: tuple[str, ...] = ()
    manage_secrets: bool = False
    blobs: BlobAccess = BlobAccess.NONE

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise ValueError(f"Identity.name: {self.name!r} must be usable as a file name; leave out '/' and dots.")
        for field in ("client_id", "principal_id"):
            try:
                uuid.UUID(getattr(self, field))
            except ValueError as error:
                raise ValueError(
                    f"Identity.{field} of {self.name}: {getattr(self, field)!r} is no UUID; use {field}()."
                ) from error

    @classmethod
    def of(
        cls,
        stack: str,
        name: str,
        *,
        secrets: Iterable[str] = (),
        manage_secrets: bool = False,
        blobs: BlobAccess = BlobAccess.NONE,
    ) -> EmulatedIdentity:
        """The identity of that name in a stack, under its stable ids."""
        return cls(
            name=name,
            client_id=client_id(stack, name),
            principal_id=principal_id(stack, name),
            secrets=tuple(secrets),
            manage_secrets=manage_secrets,
            blobs=blobs,
        )


def dump(identities: Iterable[EmulatedIdentity]) -> str:
    """The JSON that `load` reads: the configuration of the data plane's programs."""
    return json.dumps({"identities": [dataclasses.asdict(identity) for identity in identities]}, indent=2) + "\n"


def configuration() -> str:
    """Return the text of the environment variable IDENTITIES, for `load`. Raises ValueError if it is not set."""
    try:
        return os.environ["IDENTITIES"]
    except KeyError:
        raise ValueError("There are no identities to serve: set the environment variable IDENTITIES.") from None


def load(text: str) -> tuple[EmulatedIdentity, ...]:
    """Read what `dump` wrote. Refuses unknown keys, bad ids, and two identities of one name or id."""
    entries = json.loads(text)["identities"]
    known = {field.name for field in dataclasses.fields(EmulatedIdentity)}
    identities = []
    for entry in entries:
        if unknown := sorted(set(entry) - known):
            raise ValueError(f"Identity {entry.get('name')!r}: unknown {unknown}; allowed are {sorted(known)}.")
        values = {**entry, "secrets": tuple(entry.get("secrets", ())), "blobs": BlobAccess(entry.get("blobs", "none"))}
        identities.append(EmulatedIdentity(**values))
    for field in ("name", "client_id", "principal_id"):
        values_of = [getattr(identity, field) for identity in identities]
        if repeated := sorted({value for value in values_of if values_of.count(value) > 1}):
            raise ValueError(f"identities: {field} {repeated} given more than once; each identity needs its own.")
    return tuple(identities)
