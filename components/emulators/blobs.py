"""Blob containers of the local stack, made with a token as on Azure.

Nothing is retried: storage on this machine answers or is down.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from azure.core.credentials import TokenCredential
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient


def ensure_container(url: str, credential: TokenCredential, ca: Path | None = None) -> None:
    """Make the container at `url` unless it exists. `ca` is the PEM file to trust, by default REQUESTS_CA_BUNDLE's."""
    with _client(url, credential, ca) as client:
        try:
            client.create_container()
        except ResourceExistsError:
            return


def container_exists(url: str, credential: TokenCredential, ca: Path | None = None) -> bool:
    """Whether there is a container at `url`. Raises azure.core's errors when the storage does not answer."""
    with _client(url, credential, ca) as client:
        return client.exists()


def sizes(url: str, credential: TokenCredential, ca: Path | None = None) -> Iterator[tuple[str, int]]:
    """Yield name and bytes of each blob in the container. Raises azure.core's errors without an answer."""
    with _client(url, credential, ca) as client:
        yield from ((blob.name, blob.size) for blob in client.list_blobs())


def _client(url: str, credential: TokenCredential, ca: Path | None) -> ContainerClient:
    verify = True if ca is None else str(ca)
    return ContainerClient.from_container_url(url, credential=credential, connection_verify=verify, retry_total=0)
