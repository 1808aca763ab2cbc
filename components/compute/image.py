"""The one image, named by its digest."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pulumi

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that never changes: `server` is the registry's login server, `repository` a path in it.

    A tag is refused: what runs would then depend on when it was pulled, and a promotion could not be reviewed.
    `pull_with_identity` is plain: whether services sign in to the registry with their own managed identity, which then
    needs AcrPull; without it the registry must allow anonymous pulls.
    """

    server: pulumi.Input[str]
    repository: str
    digest: str
    pull_with_identity: bool = True

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.repository):
            raise ValueError(
                f"Image.repository: {self.repository!r} is no repository of a registry; allowed: lower-case letters, "
                "digits and . _ - / between them, without a tag; name it as in mlflow-platform or team/mlflow."
            )
        if not _DIGEST.fullmatch(self.digest):
            raise ValueError(
                f"Image.digest: {self.digest!r} is no digest; allowed: sha256: and 64 hexadecimal digits, no tag; "
                "read it with `az acr manifest list-metadata --registry REGISTRY --name REPOSITORY`."
            )

    @property
    def reference(self) -> pulumi.Input[str]:
        """SERVER/REPOSITORY@DIGEST; plain where the server is."""
        tail = f"/{self.repository}@{self.digest}"
        return self.server + tail if isinstance(self.server, str) else pulumi.Output.concat(self.server, tail)
