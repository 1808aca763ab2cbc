"""What the local stack stores of artifacts, listed as its deployer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError

from components.emulators import azurite, blobs
from components.emulators.azure.managed_identity import STORAGE
from components.emulators.data_plane import ca_bundle
from delivery.local.configuration import LocalStack
from delivery.local.sign_in import identity_token
from delivery.outcome import CommandError
from delivery.stacks import LOCAL
from infra import local
from infra.naming import ARTIFACT_CONTAINER
from infra.settings.model import parse

_SECONDS = 300


def sizes(stack: LocalStack) -> Iterator[tuple[str, int]]:
    """Yield name and bytes of each file. Raises CommandError where the stack does not answer."""
    url = azurite.container_url(local.data_ports(parse(stack.values, LOCAL)).blobs, ARTIFACT_CONTAINER)
    try:
        yield from blobs.sizes(url, _Deployer(stack), ca_bundle(stack.root))
    except (AzureError, OSError) as error:
        raise CommandError(f"quotas: the local stack does not answer ({error}). Run: make up") from error


class _Deployer:
    """Signs in as the stack's deployer."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Return a token for the container."""
        return AccessToken(identity_token(self._stack, STORAGE), int(time.time()) + _SECONDS)
