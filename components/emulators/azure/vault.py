"""The secrets of one Key Vault with versions and soft delete, kept in one JSON file."""

from __future__ import annotations

import copy
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.emulators import durable

RECOVERABLE_DAYS = 90
_DAY = 24 * 60 * 60
_VALUE_LIMIT = 25 * 1024

Document = dict[str, Any]


class VaultError(Exception):
    """What Key Vault answers in place of a result."""

    def __init__(self, status: int, code: str, message: str, inner: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner


def bad_parameter(message: str) -> VaultError:
    """A request that Key Vault does not understand."""
    return VaultError(400, "BadParameter", message)


class Vault:
    """A vault whose secrets have ids below `url`. Every change is on disk before it is answered.

    Names are the same in any case, as in Azure, and keep the case that they were first written in.
    """

    def __init__(self, file: Path, url: str) -> None:
        self._file = file
        self._url = url
        self._lock = threading.Lock()
        self._secrets: dict[str, Document] = json.loads(file.read_text())["secrets"] if file.exists() else {}

    def set(self, name: str, body: Document) -> Document:
        """Add a version, which becomes the current one."""
        value = body.get("value")
        if not isinstance(value, str):
            raise bad_parameter("The parameter value is required and must be a string.")
        if len(value.encode()) > _VALUE_LIMIT:
            raise bad_parameter(f"The secret value has a maximum size of {_VALUE_LIMIT} bytes.")
        with self._changing() as secrets:
            secret = secrets.setdefault(name.lower(), {"name": name, "versions": [], "deleted": None})
            if secret["deleted"]:
                message = (
                    f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; "
                    "in this state, the secret can only be recovered or purged."
                )
                raise VaultError(409, "Conflict", message, "ObjectIsDeletedButRecoverable")
            now = int(time.time())
            version = {"version": uuid.uuid4().hex, "value": value, "attributes": {"enabled": True, "created": now}}
            _apply(version, body, now)
            secret["versions"].append(version)
            return self._bundle(secret, version, with_value=True)

    def get(self, name: str, version: str) -> Document:
        """A version with its value; the current one when `version` is empty."""
        with self._reading() as secrets:
            secret, found = _find(secrets, name, version)
            if not found["attributes"]["enabled"]:
                message = "Operation get is not allowed on a disabled secret."
                raise VaultError(403, "Forbidden", message, "SecretDisabled")
            return self._bundle(secret, found, with_value=True)

    def update(self, name: str, version: str, body: Document) -> Document:
        """Change attributes, content type or tags of a version; what is not given stays."""
        with self._changing() as secrets:
            secret, found = _find(secrets, name, version)
            _apply(found, body, int(time.time()))
            return self._bundle(secret, found)

    def current(self) -> list[Document]:
        """Every secret, without value and version."""
        with self._reading() as secrets:
            present = [secret for _, secret in sorted(secrets.items()) if not secret["deleted"]]
            return [self._item(secret, secret["versions"][-1]) for secret in present]

    def versions(self, name: str) -> list[Document]:
        """Every version of a secret, without values; none for a name that is not there."""
        with self._reading() as secrets:
            secret = secrets.get(name.lower())
            if secret is None or secret["deleted"]:
                return []
            return [self._bundle(secret, version) for version in secret["versions"]]

    def delete(self, name: str) -> Document:
        """Soft delete: the secret can be recovered for 90 days, and its name cannot be used."""
        with self._changing() as secrets:
            secret, current = _find(secrets, name, "")
            now = int(time.time())
            secret["deleted"] = {"deletedDate": now, "scheduledPurgeDate": now + RECOVERABLE_DAYS * _DAY}
            return self._deleted(secret, self._bundle(secret, current))

    def get_deleted(self, name: str) -> Document:
        """A deleted secret, without its value."""
        with self._reading() as secrets:
            secret = _find_deleted(secrets, name)
            return self._deleted(secret, self._bundle(secret, secret["versions"][-1]))

    def list_deleted(self) -> list[Document]:
        """Every deleted secret."""
        with self._reading() as secrets:
            deleted = [secret for _, secret in sorted(secrets.items()) if secret["deleted"]]
            return [self._deleted(secret, self._item(secret, secret["versions"][-1])) for secret in deleted]

    def recover(self, name: str) -> Document:
        """Undo a delete, with all versions."""
        with self._changing() as secrets:
            secret = _find_deleted(secrets, name)
            secret["deleted"] = None
            return self._bundle(secret, secret["versions"][-1])

    def purge(self, name: str) -> None:
        """Forget a deleted secret for good."""
        with self._changing() as secrets:
            _find_deleted(secrets, name)
            del secrets[name.lower()]

    @contextmanager
    def _reading(self) -> Iterator[dict[str, Document]]:
        with self._lock:
            now = time.time()
            yield {
                key: secret
                for key, secret in self._secrets.items()
                if not secret["deleted"] or secret["deleted"]["scheduledPurgeDate"] > now
            }

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Document]]:
        with self._reading() as secrets:
            changed = copy.deepcopy(secrets)
            yield changed
            durable.write(self._file, json.dumps({"secrets": changed}, indent=1).encode())
            self._secrets = changed

    def _item(self, secret: Document, version: Document) -> Document:
        return self._bundle(secret, version) | {"id": f"{self._url}/secrets/{secret['name']}"}

    def _bundle(self, secret: Document, version: Document, *, with_value: bool = False) -> Document:
        bundle = {"value": version["value"]} if with_value else {}
        if "contentType" in version:
            bundle["contentType"] = version["contentType"]
        bundle["id"] = f"{self._url}/secrets/{secret['name']}/{version['version']}"
        bundle["attributes"] = version["attributes"] | {
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": RECOVERABLE_DAYS,
        }
        if "tags" in version:
            bundle["tags"] = version["tags"]
        return bundle

    def _deleted(self, secret: Document, described: Document) -> Document:
        recovery: Document = {"recoveryId": f"{self._url}/deletedsecrets/{secret['name']}"}
        deletion: Document = secret["deleted"]
        return recovery | deletion | described


def _find(secrets: dict[str, Document], name: str, version: str) -> tuple[Document, Document]:
    secret = secrets.get(name.lower())
    if secret is not None and not secret["deleted"]:
        for found in reversed(secret["versions"]):
            if version in ("", found["version"]):
                return secret, found
    message = (
        f"A secret with (name/id) {name}{'/' if version else ''}{version} was not found in this key vault. "
        "If you recently deleted this secret you may be able to recover it using the correct recovery command. "
        "For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
    )
    raise VaultError(404, "SecretNotFound", message)


def _find_deleted(secrets: dict[str, Document], name: str) -> Document:
    secret = secrets.get(name.lower())
    if secret is None or not secret["deleted"]:
        raise VaultError(404, "SecretNotFound", f"Deleted Secret not found: {name}")
    return secret


def _apply(version: Document, body: Document, now: int) -> None:
    attributes = body.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise bad_parameter("The parameter attributes must be an object.")
    enabled = attributes.get("enabled")
    if enabled is not None:
        if not isinstance(enabled, bool):
            raise bad_parameter("The attribute enabled must be true or false.")
        version["attributes"]["enabled"] = enabled
    for name in ("nbf", "exp"):
        moment = attributes.get(name)
        if moment is not None:
            if not isinstance(moment, int):
                raise bad_parameter(f"The attribute {name} must be seconds since 1970.")
            version["attributes"][name] = moment
    content_type, tags = body.get("contentType"), body.get("tags")
    if content_type is not None:
        version["contentType"] = str(content_type)
    if tags is not None:
        if not isinstance(tags, dict) or len(tags) > 15:
            raise bad_parameter("The parameter tags must be an object of at most 15 tags.")
        version["tags"] = {str(key): str(value) for key, value in tags.items()}
    version["attributes"]["updated"] = now
