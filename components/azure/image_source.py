"""Where an image is copied from: what a setting names in one text. No call is made here."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REGISTRY_ID = re.compile(
    r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[^/\s]{1,90}"
    r"/providers/Microsoft\.ContainerRegistry/registries/[a-z0-9]{5,50}",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]+)?)/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
)


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Where an image is copied from: a `repository` of the registry with this ARM id or else at this address."""

    repository: str
    registry_id: str = ""
    address: str = ""

    @classmethod
    def named(cls, source: str, repository: str) -> ImageSource:
        """Return the source that one text names: a registry's ARM id, or HOST/REPOSITORY of any other registry.

        `repository` is the one in a registry that is named by its id. Raises ValueError for any other text: a tag or
        a digest is no part of a source.
        """
        if _REGISTRY_ID.fullmatch(source):
            return cls(repository=repository, registry_id=source)
        if found := _ADDRESS.fullmatch(source):
            return cls(repository=found["repository"], address=found["host"])
        raise ValueError(
            f"{source!r} names no source of images; allowed: the id of an Azure registry, or HOST/REPOSITORY without "
            "a tag, as in ghcr.io/example/shop"
        )

    @property
    def words(self) -> str:
        """Registry and repository, for a message."""
        return f"{self.address or self.registry_id}/{self.repository}"
