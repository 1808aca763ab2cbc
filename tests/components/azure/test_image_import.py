"""An image is imported by its digest and awaited; a refusal of Azure says what is to be done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from components.azure import arm, image_import
from components.azure.arm import Arm
from components.azure.image_import import ImageImport, ImageImportError, ImageImportProvider, WantedImage, import_image
from components.azure.image_source import ImageSource
from tests.support.arm_server import NOT_FOUND, ArmServer, Clock, client_of
from tests.support.json_server import Answer

REGISTRY = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/crshop"
BUILD = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/b/providers"
    "/Microsoft.ContainerRegistry/registries/crbuild"
)
OPERATION = "/subscriptions/s/providers/Microsoft.ContainerRegistry/locations/l/operationResults/registries-1"
DIGEST = "sha256:" + "ab" * 32
TAG = "sha256-" + "ab" * 32
THERE = f"Tag shop:{TAG} already exists in target registry."


class Registry(ArmServer):
    """Answers an import by `accepted` and looks at its operation by the `looks`, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted: Answer | None = None
        self.looks: list[Answer] = [(200, {}, {})]

    def answer(self, method: str, path: str) -> Answer | None:
        if method == "POST" and path == f"{REGISTRY}/importImage":
            return self.accepted or (202, {}, {"Location": f"{self.url}{OPERATION}?api-version=2025-11-01"})
        if path == OPERATION:
            return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return NOT_FOUND


def refused(status: int, code: str, message: str) -> Answer:
    return status, {"error": {"code": code, "message": message}}, {}


@pytest.fixture
def azure() -> Iterator[Registry]:
    server = Registry()
    with server.serving():
        yield server


@pytest.fixture
def client(azure: Registry, clock: Clock) -> Arm:
    return client_of(azure, clock, api_version=image_import.API_VERSION, final=(image_import.THERE,))


def wanted(source: str = "ghcr.io/acme/shop") -> WantedImage:
    return WantedImage(
        registry_id=REGISTRY, repository="shop", digest=DIGEST, source=ImageSource.named(source, "team/shop")
    )


def fails(client: Arm, source: str = "ghcr.io/acme/shop") -> str:
    with pytest.raises(ImageImportError) as error:
        import_image(client, wanted(source))
    return str(error.value)


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        ("ghcr.io/acme/shop", {"registryUri": "ghcr.io", "sourceImage": f"acme/shop@{DIGEST}"}),
        (BUILD, {"resourceId": BUILD, "sourceImage": f"team/shop@{DIGEST}"}),
    ],
    ids=["address", "id"],
)
def test_an_image_is_imported_by_its_digest_and_awaited(
    azure: Registry, client: Arm, clock: Clock, source: str, sent: dict[str, str]
) -> None:
    azure.looks = [(202, {}, {"Retry-After": "7"}), (202, {}, {}), (200, {}, {})]
    assert import_image(client, wanted(source)) is True
    assert azure.bodies == [{"source": sent, "targetTags": [f"shop:{TAG}"], "mode": "NoForce"}]
    assert azure.calls == [f"POST {REGISTRY}/importImage", *[f"GET {OPERATION}"] * 3]
    assert clock.slept == [1, 7, 4]


def test_an_import_that_ends_at_once_is_not_looked_at(azure: Registry, client: Arm) -> None:
    azure.accepted = (200, {}, {})
    assert import_image(client, wanted()) is True
    assert azure.calls == [f"POST {REGISTRY}/importImage"]


@pytest.mark.parametrize("late", [False, True], ids=["at once", "as the end of the operation"])
@pytest.mark.parametrize("status", [400, 409])
def test_an_image_that_is_there_is_not_imported(
    azure: Registry, client: Arm, clock: Clock, status: int, late: bool
) -> None:
    there = refused(status, "Conflict", THERE)
    if late:
        azure.looks = [there]
    else:
        azure.accepted = there
    assert import_image(client, wanted()) is False
    assert clock.slept == [1] * late  # a refusal that is an answer is not repeated


def test_an_operation_that_says_that_it_is_there_in_its_body(azure: Registry, client: Arm) -> None:
    azure.looks = [(200, {"status": "Failed", "error": {"code": "Conflict", "message": THERE}}, {})]
    assert import_image(client, wanted()) is False


@pytest.mark.parametrize("status", [409, 429])
def test_what_passes_is_repeated(azure: Registry, client: Arm, clock: Clock, status: int) -> None:
    azure.refusals = [("POST", status, {}), ("POST", status, {})]
    assert import_image(client, wanted()) is True
    assert clock.slept[:2] == [2, 4]


def test_a_copy_without_an_end_is_given_up_after_the_deadline(azure: Registry, client: Arm, clock: Clock) -> None:
    azure.looks = [(202, {}, {"Retry-After": "60"})]
    said = fails(client)
    assert "still under way after 1800 s" in said
    assert "run `up` again" in said
    assert clock.now <= image_import.DEADLINE_SECONDS + 120


def test_an_operation_elsewhere_gets_no_token(azure: Registry, client: Arm) -> None:
    azure.accepted = (202, {}, {"Location": "https://elsewhere.example/operation"})
    assert "names no operation" in fails(client)


LINKED = (
    "The client 'c' has permission to perform action 'Microsoft.ContainerRegistry/registries/importImage/action' on "
    f"scope '{REGISTRY}'; however, it does not have permission to perform action 'read' on the linked scope(s) "
    f"'{BUILD}'."
)
MISSING = (
    "An error occurred when getting manifest. StatusCode: 404, Reason: Not Found, Details: "
    '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'
)
PRIVATE = 'Invalid message Unauthorized Unauthorized {"errors":[{"code":"UNAUTHORIZED"}]}'
FORBIDDEN = (
    "The client 'c' does not have authorization to perform action "
    f"'Microsoft.ContainerRegistry/registries/importImage/action' over scope '{REGISTRY}'."
)


@pytest.mark.parametrize(
    ("answer", "source", "advice"),
    [
        (
            refused(403, "LinkedAuthorizationFailed", LINKED),
            BUILD,
            f"--role Reader --assignee-object-id ID --scope {BUILD}",
        ),
        (
            refused(403, "AuthorizationFailed", FORBIDDEN),
            BUILD,
            f"--role Contributor --assignee-object-id ID --scope {REGISTRY}",
        ),
        (
            refused(400, "BadRequest", MISSING),
            BUILD,
            "az acr manifest list-metadata --registry crbuild --name team/shop",
        ),
        (refused(400, "BadRequest", MISSING), "ghcr.io/acme/shop", "correct `image.digest`"),
        (refused(400, "BadRequest", PRIVATE), "ghcr.io/acme/shop", "make it public, or copy the image"),
        (refused(400, "BadRequest", "something else"), "ghcr.io/acme/shop", "run `up` again"),
    ],
    ids=["source", "target", "digest of an id", "digest of an address", "private", "unknown"],
)
def test_a_refusal_says_what_is_missing(azure: Registry, client: Arm, answer: Answer, source: str, advice: str) -> None:
    azure.looks = [answer]
    said = fails(client, source)
    assert DIGEST in said
    assert answer[1]["error"]["message"] in said
    assert advice in said


@pytest.mark.parametrize(
    "source",
    [
        "",
        "ghcr.io",
        "acme/shop",
        "ghcr.io/acme/shop:1",
        f"ghcr.io/acme/shop@{DIGEST}",
        "https://ghcr.io/acme/shop",
        "user:password@ghcr.io/acme/shop",
        "/subscriptions/x",
        f"{BUILD}/replications/a",
        "ghcr.io/Acme/shop",
    ],
)
def test_a_source_of_another_form_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="names no source of images; allowed: the id of an Azure registry, or HOST"):
        ImageSource.named(source, "shop")


def test_a_tag_in_the_place_of_a_digest_is_refused() -> None:
    with pytest.raises(ValueError, match="digest: 'latest'; allowed: sha256:"):
        ImageImport("image", registry_id=REGISTRY, repository="shop", digest="latest", source="ghcr.io/acme/shop")


PROPS: dict[str, Any] = {
    "registryId": REGISTRY,
    "repository": "shop",
    "digest": DIGEST,
    "source": "ghcr.io/acme/shop",
    "tag": None,
}


@pytest.mark.parametrize(
    ("changes", "replaces"),
    [
        ({}, None),
        ({"source": BUILD}, None),
        ({"digest": "sha256:" + "cd" * 32}, []),
        ({"repository": "other"}, ["repository"]),
        ({"registryId": BUILD}, ["registryId"]),
    ],
    ids=["nothing", "source", "digest", "repository", "registry"],
)
def test_it_is_imported_again_for_another_digest_alone(changes: dict[str, str], replaces: list[str] | None) -> None:
    found = ImageImportProvider().diff("id", {**PROPS, "tag": TAG}, {**PROPS, **changes})
    assert found.changes is (replaces is not None)
    assert found.replaces == (replaces or [])


def test_the_resource_imports_where_the_environment_says(azure: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARM_ENDPOINT", azure.url)
    monkeypatch.setattr(arm, "default_token", lambda _: "token")
    azure.accepted = refused(409, "Conflict", THERE)
    made = ImageImportProvider().create(PROPS)
    assert made.id == f"{REGISTRY}/repositories/shop"
    assert made.outs == {**PROPS, "tag": TAG}
    azure.accepted = refused(403, "AuthorizationFailed", FORBIDDEN)
    with pytest.raises(ImageImportError):
        ImageImportProvider().update("id", PROPS, PROPS)
    calls = list(azure.calls)
    ImageImportProvider().delete("id", PROPS)
    assert azure.calls == calls
