"""Who is in the tenant: people, applications, and the platform that they sign in to."""

from __future__ import annotations

import dataclasses
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.emulators.identities import TENANT_ID

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""Azure CLI's own application, by which Azure's clients sign people in, in every tenant."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mlflow-platform:entra")


def stable_id(kind: str, name: str) -> str:
    """Return the id of a thing of the directory: the same each time."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}/{name}"))


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A person or an application, as far as a token speaks of it.

    `roles` are its app roles on the platform, `groups` the ids of its groups. A disabled one cannot sign in.
    """

    name: str
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    enabled: bool = True

    @property
    def object_id(self) -> str:
        """The `oid` of its tokens."""
        return stable_id("principal", self.name)


@dataclass(frozen=True, kw_only=True)
class Application(Principal):
    """An application that signs in as itself: with a secret, or as the managed identities of `federated` object ids."""

    secret: str | None = None
    federated: tuple[str, ...] = ()

    @property
    def client_id(self) -> str:
        """The application id."""
        return stable_id("application", self.name)


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The application registration of the platform, to which all tokens are issued.

    `federated` are the object ids of the managed identities that may exchange a code for it. With `assignment_required`
    whoever has no role cannot sign in. `groups_claim` puts groups into tokens. The applications of `preauthorized` get
    tokens for people, who are not asked for consent.
    """

    client_id: str = field(default_factory=lambda: stable_id("application", "mlflow"))
    redirects: tuple[str, ...] = ()
    federated: tuple[str, ...] = ()
    preauthorized: tuple[str, ...] = (AZURE_CLI,)
    assignment_required: bool = False
    groups_claim: bool = False
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class Directory:
    """A tenant."""

    platform: Platform = field(default_factory=Platform)
    people: tuple[Principal, ...] = ()
    applications: tuple[Application, ...] = ()
    tenant_id: str = TENANT_ID

    def person(self, object_id: str) -> Principal | None:
        """Return the person of an object id."""
        return next((each for each in self.people if each.object_id == object_id), None)

    def application(self, client_id: str) -> Application | None:
        """Return the application of a client id."""
        return next((each for each in self.applications if each.client_id == client_id.lower()), None)


def dump(directory: Directory) -> str:
    """Return the JSON that `load` reads."""
    return json.dumps(dataclasses.asdict(directory))


def configuration() -> str:
    """Return the text of the environment variable DIRECTORY, for `load`. Raises ValueError if it is not set."""
    try:
        return os.environ["DIRECTORY"]
    except KeyError:
        raise ValueError("There is nobody to sign in: set the environment variable DIRECTORY.") from None


def load(text: str) -> Directory:
    """Read what `dump` wrote. Raises ValueError for anything else."""
    found: dict[str, Any] = json.loads(text)
    try:
        return Directory(
            platform=Platform(**_tuples(found.pop("platform"))),
            people=tuple(Principal(**_tuples(each)) for each in found.pop("people")),
            applications=tuple(Application(**_tuples(each)) for each in found.pop("applications")),
            **found,
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"DIRECTORY: {error}; write it with components.emulators.azure.entra.directory.") from error


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
