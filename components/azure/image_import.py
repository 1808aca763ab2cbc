"""The copy of an image from another registry, by its digest, awaited to its end.

Azure copies by itself, so the registry may be private, and whoever asks needs no container engine. The copy gets a tag
that is made of its digest. So no other image is ever given that tag, retention does not delete the copy, and Azure's
refusal to move an existing tag says that the image is there already.

Sources: azure-rest-api-specs, Microsoft.ContainerRegistry 2025-11-01, operation Registries_ImportImage (body, 202 with
a Location); Microsoft Learn, "Import container images to a container registry" (rights, networks). What Azure says in
a failure, by public issues: the tag (Azure/azure-cli 10938), the right on the source (Azure/acr 237), a private source
without credentials (Azure/acr 181), an unknown digest (dotnet/dotnet-buildtools-prereqs-docker 1595).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from components.azure.arm import Answer, Arm, ArmError
from components.azure.image_source import ImageSource
from components.compute.dynamic import Provider

API_VERSION = "2025-11-01"
# An image of a gigabyte is copied in a few minutes.
DEADLINE_SECONDS = 1800
# An image whose layers are there already is copied at once: the waits double from the first, where Azure names none.
FIRST_POLL_SECONDS = 1.0
POLL_SECONDS = 8.0

THERE = "already exists in target registry"
_FAILED = ("Failed", "Canceled")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageImportError(RuntimeError):
    """An image could not be imported. The message says what Azure said and what to do."""


@dataclass(frozen=True, kw_only=True)
class WantedImage:
    """The image that the registry with the id `registry_id` is to have in its `repository`."""

    registry_id: str
    repository: str
    digest: str
    source: ImageSource

    @property
    def tag(self) -> str:
        """The copy's tag, which is of this digest alone."""
        return self.digest.replace(":", "-")


def import_image(arm: Arm, wanted: WantedImage) -> bool:
    """Have the image copied, wait for the end, and return whether that was needed: False if it was there.

    Raises ImageImportError. Whoever was interrupted asks again: a second copy of the same digest changes nothing.
    """
    try:
        _wait(arm, arm.post(f"{wanted.registry_id}/importImage", _body(wanted)))
    except ArmError as error:
        if THERE in str(error):
            return False
        raise ImageImportError(_advice(wanted, error)) from None
    return True


def _body(wanted: WantedImage) -> Mapping[str, Any]:
    source = wanted.source
    place = {"resourceId": source.registry_id} if source.registry_id else {"registryUri": source.address}
    return {
        "source": {**place, "sourceImage": f"{source.repository}@{wanted.digest}"},
        "targetTags": [f"{wanted.repository}:{wanted.tag}"],
        "mode": "NoForce",
    }


def _wait(arm: Arm, answer: Answer) -> None:
    deadline = arm.clock() + DEADLINE_SECONDS
    location, pause = answer.headers.get("location", ""), FIRST_POLL_SECONDS
    while answer.status == 202 or answer.body.get("status") not in (None, "Succeeded"):
        if answer.body.get("status") in _FAILED:
            error = answer.body.get("error") or {}
            raise ArmError(f"{error.get('code', '')} {error.get('message', '')}".strip() or "no reason was given")
        path = arm.relative(location)
        if path is None:
            raise ArmError(f"Azure accepted the import and names no operation of it: {location!r}")
        if arm.clock() > deadline:
            raise ArmError(f"the copy is still under way after {DEADLINE_SECONDS} s")
        arm.sleep(_asked_for(answer) or pause)
        pause = min(pause * 2, POLL_SECONDS)
        answer = arm.get(path)
        location = answer.headers.get("location", location)


def _asked_for(answer: Answer) -> float:
    said = answer.headers.get("retry-after", "")
    return min(float(said), 60.0) if said.isdigit() else 0.0


def _advice(wanted: WantedImage, error: ArmError) -> str:
    """The message: which image, what Azure said, and what the words of Azure mean."""
    return f"Image import: {wanted.source.words}@{wanted.digest} is not in the stack's registry. {error}\n" + _remedy(
        wanted, str(error), error.status
    )


_REPEAT = "It is safe to repeat: run `up` again."


def _remedy(wanted: WantedImage, said: str, status: int) -> str:
    source, target = wanted.source, wanted.registry_id
    if "linked scope" in said or "LinkedAuthorizationFailed" in said:
        return (
            "Who deploys may not read the source. Run, with your object id for ID: "
            f"az role assignment create --role Reader --assignee-object-id ID --scope {source.registry_id}"
        )
    if status in (401, 403) and "importImage/action" in said:
        return (
            "Who deploys may not import. Run, with your object id for ID: "
            f"az role assignment create --role Contributor --assignee-object-id ID --scope {target}"
        )
    if "MANIFEST_UNKNOWN" in said or "Not Found" in said or "ResourceNotFound" in said or "manifest digest" in said:
        return (
            f"The source has no such image: correct `image.digest`, or push the image to {source.words} first. "
            f"Its digests: {_listing(source)}"
        )
    if "UNAUTHORIZED" in said or "Unauthorized" in said or "DENIED" in said or "denied" in said:
        return (
            f"Azure may not read {source.words}, and settings hold no credentials: make it public, or copy the image "
            "to an Azure registry of this tenant, name that one's id as `image.source`, and give who deploys the role "
            "Reader on it. A private registry must admit Azure's trusted services."
        )
    return _REPEAT


def _listing(source: ImageSource) -> str:
    if source.registry_id:
        name = source.registry_id.rsplit("/", 1)[-1]
        return f"az acr manifest list-metadata --registry {name} --name {source.repository}"
    return f"docker buildx imagetools inspect {source.address}/{source.repository}:TAG"


class ImageImportProvider(Provider):
    """An image that is in a registry. It is imported again when its digest changes, and only then.

    The state holds names and the digest. There is nothing to read: the registry may be out of reach from here. A delete
    leaves the image, as another stack's rollback may need it; it goes with its registry.
    """

    errors = (ImageImportError,)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(f"{props['registryId']}/repositories/{props['repository']}", self._imported(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._imported(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        replaces = [key for key in ("registryId", "repository") if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(replaces) or olds.get("digest") != news.get("digest"), replaces=replaces)

    def _imported(self, props: dict[str, Any]) -> dict[str, Any]:
        wanted = WantedImage(
            registry_id=props["registryId"],
            repository=props["repository"],
            digest=props["digest"],
            source=ImageSource.named(props["source"], props["repository"]),
        )
        with self.message_only():
            import_image(Arm(api_version=API_VERSION, final=(THERE,)), wanted)
        return props | {"tag": wanted.tag}


class ImageImport(Resource, name="ImageImport", module="container_registry"):
    """An image in an Azure registry, copied from `source`; what runs it depends on this.

    `source` is a registry's ARM id, or HOST/REPOSITORY of a registry that needs no sign-in. Who deploys needs
    Contributor on the registry, and Reader on a source that is named by its id. `tag` is the copy's tag. Raises
    ValueError for a source or a digest of another form.

        ImageImport("image", registry_id=registry.id, repository="shop", digest="sha256:...",
                    source="ghcr.io/acme/shop")
    """

    tag: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        registry_id: pulumi.Input[str],
        repository: str,
        digest: str,
        source: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"digest: {digest!r}; allowed: sha256: and 64 hexadecimal digits, no tag.")
        ImageSource.named(source, repository)
        inputs = {
            "registryId": registry_id,
            "repository": repository,
            "digest": digest,
            "source": source,
            "tag": None,
        }
        super().__init__(ImageImportProvider(), name, inputs, opts)
