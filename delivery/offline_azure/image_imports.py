"""Imports of images into a registry, and what Azure refuses of them.

Sources: azure-rest-api-specs, Microsoft.ContainerRegistry, Registries_ImportImage (the body; with NoForce a tag that is
there fails the operation before anything is copied); Microsoft Learn, "Import container images to a container registry"
(rights on source and target, trusted services). The words of a failure, and that it ends the operation rather than the
request, by public issues: Azure/azure-cli 10938 (tag), 14337 (tag and digest together), Azure/acr 237 (right on the
source), 181 (sign-in), 571 (network), dotnet/dotnet-buildtools-prereqs-docker 1595 (digest). Codes that none of them
shows are of this module's own.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from delivery.azure_types import type_tokens
from delivery.offline_azure.errors import RefusedError

# The stable ones that have the operation.
_VERSIONS: Final = ("2017-10-01", "2019-05-01", "2021-09-01", "2022-12-01", "2023-07-01", "2025-04-01", "2025-11-01")
_REPOSITORY: Final = r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
_TAG: Final = r"\w[\w.-]{0,127}"
_SOURCE: Final = re.compile(rf"(?P<repository>{_REPOSITORY})(?:@(?P<digest>sha256:[0-9a-f]{{64}})|:{_TAG})?", re.ASCII)
_TARGET: Final = re.compile(rf"(?P<repository>{_REPOSITORY})(?::(?P<tag>{_TAG}))?", re.ASCII)
_MODES: Final = ("NoForce", "Force")

Resources = Mapping[str, dict[str, Any]]


def key(image: str) -> str:
    """Return the key of REGISTRY/REPOSITORY@DIGEST, whose registry's case does not count. Raises ValueError."""
    place, _, digest = image.rpartition("@")
    if not place or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise ValueError(f"{image!r}; expected REGISTRY/REPOSITORY@sha256:... with the digest's 64 digits.")
    return f"{place.lower()}@{digest}"


def request(sent: bytes) -> Mapping[str, Any]:
    """Return the body of an import. Raises RefusedError."""
    try:
        parsed = json.loads(sent)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise RefusedError(400, "InvalidRequestContent", "The request content was invalid: an object is required.")
    return parsed


def refusal(
    registry: str, version: str, body: Mapping[str, Any], published: Mapping[str, bool], resources: Resources
) -> RefusedError | None:
    """Return why Azure does not accept an import."""
    if version not in _VERSIONS:
        message = f"No registered resource provider found for API version '{version}': {', '.join(_VERSIONS)}."
        return RefusedError(400, "NoRegisteredProviderFound", message)
    target = resources.get(registry.lower())
    if target is None or target["type"] != type_tokens.REGISTRY:
        return RefusedError(404, "ResourceNotFound", f"The Resource '{registry}' was not found.")
    if wrong := _wrong(body):
        name, value = wrong
        message = f"Invalid value {value} for property parameters.{name} for resource name {_name(registry)}."
        return RefusedError(400, "BadRequest", message)
    return _linked(registry, str(body["source"].get("resourceId", "")), published, resources)


def _wrong(body: Mapping[str, Any]) -> tuple[str, object] | None:
    """Return a property of the body that Azure does not take, with its value."""
    source = body.get("source")
    if not isinstance(source, Mapping):
        return "Source", source
    if bool(source.get("resourceId")) == bool(source.get("registryUri")):
        return "Source", "with both or neither of resourceId and registryUri"
    if not _SOURCE.fullmatch(str(source.get("sourceImage", ""))):
        return "Source.SourceImage", source.get("sourceImage")
    tags = body.get("targetTags") or []
    if not tags and not body.get("untaggedTargetRepositories"):
        return "TargetTags", tags
    for tag in tags:
        if not _TARGET.fullmatch(str(tag)):
            return "TargetTags", tag
    mode = body.get("mode", _MODES[0])
    return None if mode in _MODES else ("Mode", mode)


def _linked(registry: str, source: str, published: Mapping[str, bool], resources: Resources) -> RefusedError | None:
    """Return why who asks may not name the source: Azure looks at rights on what a request links before it begins."""
    if not source:
        return None
    images = [readable for image, readable in published.items() if image.startswith(f"{source.lower()}/")]
    if source.lower() not in resources and not images:
        return RefusedError(404, "ResourceNotFound", f"The Resource '{source}' was not found.")
    if images and not any(images):
        action = "Microsoft.ContainerRegistry/registries/importImage/action"
        return RefusedError(
            403,
            "LinkedAuthorizationFailed",
            f"The client has permission to perform action '{action}' on scope '{registry}'; however, it does not have "
            f"permission to perform action 'read' on the linked scope(s) '{source}'.",
        )
    return None


def operation(registry: str, resources: Resources) -> str:
    """Return the path of a new operation on a registry."""
    _, _, subscription, *_ = registry.split("/")
    location = resources[registry.lower()]["inputs"].get("location", "westeurope")
    provider = f"/subscriptions/{subscription}/resourceGroups/{registry.split('/')[4]}/providers"
    where = f"Microsoft.ContainerRegistry/locations/{location}/operationResults/operationStatuses"
    return f"{provider}/{where}/registries-{uuid.uuid4()}"


def copy(body: Mapping[str, Any], target: dict[str, Any], published: Mapping[str, bool], resources: Resources) -> None:
    """Put the image of an accepted import into its registry. Raises RefusedError for an operation that fails."""
    source = body["source"]
    origin = str(source.get("resourceId") or source["registryUri"])
    for registry in (target, resources.get(origin.lower())):
        if registry is not None and _closed(registry["inputs"]):
            raise _failed(target, 403, "Forbidden", f"Access to {_name(registry['id'])}.azurecr.io denied.")
    images = target.setdefault("images", {})
    found = [_TARGET.fullmatch(tag) for tag in body.get("targetTags") or []]
    tags = [(one["repository"], one["tag"] or "latest") for one in found if one]
    for repository, tag in tags:
        if body.get("mode", _MODES[0]) == _MODES[0] and tag in images.get(repository, {}):
            message = f"{repository}:{tag} Tag {repository}:{tag} already exists in target registry."
            raise _failed(target, 409, "Conflict", message)
    image = f"{origin}/{source['sourceImage']}"
    readable = published.get(key(image)) if "@" in image else None
    if readable is False:
        errors = '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
        raise _failed(target, 401, "Unauthorized", f"Invalid message Unauthorized Unauthorized {errors}")
    if readable is None:
        errors = '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
        message = f"An error occurred when getting manifest. StatusCode: 404, Reason: Not Found, Details: {errors}"
        raise _failed(target, 400, "ManifestUnknown", message)
    for repository, tag in tags:
        images.setdefault(repository, {})[tag] = image.rpartition("@")[2]


def _closed(inputs: Mapping[str, Any]) -> bool:
    """Whether a registry has no public side and lets Azure's trusted services not in either."""
    return (
        inputs.get("publicNetworkAccess") == "Disabled"
        and inputs.get("networkRuleBypassOptions", "AzureServices") == "None"
    )


def _failed(target: Mapping[str, Any], status: int, code: str, message: str) -> RefusedError:
    return RefusedError(status, code, f"Operation registries failed. Resource {target['id']} {message}")


def _name(registry: str) -> str:
    return registry.rsplit("/", 1)[-1]
