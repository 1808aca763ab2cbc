"""What a release is: an image by its digest, and what its labels say of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from components.mlflow import runtime_contract
from delivery.image.build import BUILD
from delivery.promote import lines
from mlflow_runtime.schema import history
from mlflow_runtime.schema.versions import LABEL as MLFLOW_LABEL

IMAGE: Final = "image"
REVISION_LABEL: Final = "org.opencontainers.image.revision"

_ALGORITHM: Final = "sha256:"
_SHORT: Final = 12
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


class ReleaseError(ValueError):
    """What was given is no release. The message says what is missing, and where it comes from."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """An image by its digest, with the commit it is built from, its MLflow, the schema it needs and its contract.

    In a stack's file that names a digest alone the others are empty, and `contract` is 0.
    """

    digest: str
    commit: str = ""
    mlflow: str = ""
    schema: str = ""
    contract: int = 0

    @property
    def short(self) -> str:
        """The first 12 digits of the digest, as branches and messages name a release."""
        return self.digest.removeprefix(_ALGORITHM)[:_SHORT]

    @property
    def whole(self) -> bool:
        """Whether more than the digest is known."""
        return bool(self.commit and self.mlflow and self.schema and self.contract)

    def values(self, project: str) -> dict[lines.Path, lines.Value]:
        """Return the values of a stack's file that name the release."""
        place = ("config", f"{project}:{IMAGE}")
        return {
            (*place, "digest"): self.digest,
            (*place, "commit"): self.commit,
            (*place, "mlflow"): self.mlflow,
            (*place, "schema"): self.schema,
            (*place, "contract"): self.contract,
        }


def of(values: Mapping[str, Any]) -> Release | None:
    """Return the release in a stack's configuration (without its namespace); None if it names no image."""
    image = values.get(IMAGE)
    digest = image.get("digest") if isinstance(image, Mapping) else None
    if not isinstance(image, Mapping) or not _DIGEST.fullmatch(str(digest)):
        return None
    commit, contract = str(image.get("commit", "")), str(image.get("contract", ""))
    return Release(
        digest=str(digest),
        # It becomes an argument of git.
        commit=commit if _COMMIT.fullmatch(commit) else "",
        mlflow=str(image.get("mlflow", "")),
        schema=str(image.get("schema", "")),
        contract=int(contract) if contract.isdecimal() else 0,
    )


@dataclass(frozen=True, kw_only=True)
class Build:
    """What a build says of its image: the document that `make image` prints, as `.local/image/image.json`.

    `number` is another text for each build; empty for an image that a registry has, of which nobody says who built it.
    """

    digest: str
    labels: Mapping[str, str]
    number: str = ""

    @property
    def release(self) -> Release:
        """The release that the image is. Raises ReleaseError for labels that do not say it."""
        mlflow, contract = self.labels.get(MLFLOW_LABEL, ""), self.labels.get(runtime_contract.LABEL, "")
        commit = self.labels.get(REVISION_LABEL, "")
        if commit.endswith("-changed"):
            raise ReleaseError(
                f"the image is built from files that differ from {commit[:_SHORT]}; commit, and build again"
            )
        if not (mlflow and _COMMIT.fullmatch(commit) and contract.isdecimal()):
            wanted = f"{REVISION_LABEL}, {MLFLOW_LABEL} and {runtime_contract.LABEL}"
            raise ReleaseError(f"the image lacks one of the labels {wanted}; build it with `make image`")
        try:
            schema = history.known().head_of(mlflow)
        except history.UnknownVersionError as error:
            raise ReleaseError(str(error)) from error
        return Release(digest=self.digest, commit=commit, mlflow=mlflow, schema=schema, contract=int(contract))


def build(file: Path) -> Build:
    """Read the document of a build. Raises ReleaseError for what is no such document."""
    try:
        document = json.loads(file.read_text())
        digest, labels = str(document["digest"]), dict(document["labels"])
        number = str(document.get(BUILD, ""))
        if not _DIGEST.fullmatch(digest):
            raise ValueError(digest)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ReleaseError(
            f"{file}: got no document of an image ({type(error).__name__}); expected what `make image JSON=1` prints, "
            "as in .local/image/image.json"
        ) from error
    return Build(digest=digest, labels={str(key): str(value) for key, value in labels.items()}, number=number)
