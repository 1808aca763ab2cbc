"""The container for artifacts in the local blob service, as a resource. On Azure it is a resource of the account."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pulumi
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from components.compute.dynamic import Provider
from components.emulators import blobs

_STORAGE = "https://storage.azure.com"
_FIELDS = ("url", "identity_endpoint", "client_id", "identity_header", "ca_bundle")
_WAIT_SECONDS = 30


class BlobContainerError(RuntimeError):
    """The blob service did not make the container in the time given."""


class BlobContainerProvider(Provider):
    """A container that exists. It is never deleted with its resource: its blobs are the users' data."""

    errors = (BlobContainerError,)

    def create(self, props: dict[str, Any]) -> CreateResult:
        with self.message_only():
            _ensure(props)
        return CreateResult(props["url"], props | {"exists": True})

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        with self.message_only():
            _ensure(news)
        return UpdateResult(news | {"exists": True})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        changed = any(olds.get(field) != news.get(field) for field in _FIELDS)
        return DiffResult(changes=changed or not olds.get("exists"))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        # A blob service that does not answer is its process's drift, not this resource's.
        try:
            exists = blobs.container_exists(props["url"], _Token(props), Path(props["ca_bundle"]))
        except (AzureError, OSError):
            exists = bool(props.get("exists"))
        return ReadResult(id_, props | {"exists": exists})


class BlobContainer(Resource, name="BlobContainer", module="local"):
    """A container at `url`, made with the token of the identity that `identity_header`, a file, belongs to."""

    exists: pulumi.Output[bool]

    def __init__(
        self,
        name: str,
        *,
        url: str,
        identity_endpoint: str,
        client_id: str,
        identity_header: str,
        ca_bundle: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            "url": url,
            "identity_endpoint": identity_endpoint,
            "client_id": client_id,
            "identity_header": identity_header,
            "ca_bundle": ca_bundle,
            "exists": None,
        }
        super().__init__(BlobContainerProvider(), name, props, opts)


class _Token:
    """Asks the identity endpoint as azure-identity does, without touching this process's environment."""

    def __init__(self, props: dict[str, Any]) -> None:
        self._props = props

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        query = {"api-version": "2019-08-01", "resource": _STORAGE, "client_id": self._props["client_id"]}
        request = urllib.request.Request(  # noqa: S310 - the address is the stack's own
            f"{self._props['identity_endpoint']}?{urllib.parse.urlencode(query)}",
            headers={"X-IDENTITY-HEADER": Path(self._props["identity_header"]).read_text().strip()},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            token = json.load(answer)
        return AccessToken(token["access_token"], int(token["expires_on"]))


def _ensure(props: dict[str, Any]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            blobs.ensure_container(props["url"], _Token(props), Path(props["ca_bundle"]))
            return
        except (AzureError, OSError) as error:
            if time.monotonic() > deadline:
                raise BlobContainerError(f"The container {props['url']} cannot be made: {error}") from None
        time.sleep(0.5)
