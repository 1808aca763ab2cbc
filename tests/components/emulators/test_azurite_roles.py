"""The blob store of the local stack refuses what the blob store of Azure refuses an identity."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.storage.blob import BlobServiceClient, ContainerClient, ContainerSasPermissions, generate_container_sas

from components.emulators import azurite as program
from components.emulators.blobs import ensure_container
from components.emulators.identities import BlobAccess, EmulatedIdentity
from tests.support.plane import ARTIFACTS, REGISTRY, STACK, Plane

NOBODY = EmulatedIdentity.of(STACK, "nobody")
Use = Callable[[ContainerClient], Any]


def _stage(client: ContainerClient) -> None:
    client.get_blob_client("new").stage_block("YQ==", b"x")


READS: dict[str, Use] = {
    "download": lambda client: client.download_blob("kept").readall(),
    "properties": lambda client: client.get_blob_client("kept").get_blob_properties(),
    "list": lambda client: list(client.list_blobs()),
    "container": lambda client: client.get_container_properties(),
}
WRITES: dict[str, Use] = {
    "upload": lambda client: client.upload_blob("new", b"x", overwrite=True),
    "block": _stage,
    "metadata": lambda client: client.get_blob_client("kept").set_blob_metadata({"a": "b"}),
    "copy": lambda client: client.get_blob_client("copy").start_copy_from_url(client.get_blob_client("kept").url),
    "delete": lambda client: client.delete_blob("new"),
    "new container": lambda client: client.create_container(),
}
# What takes another role than those of the container's blobs.
OF_NOBODY: dict[str, Use] = {
    "blob with tags": lambda client: client.upload_blob("new", b"x", overwrite=True, tags={"a": "b"}),
    "tags": lambda client: client.get_blob_client("kept").set_blob_tags({"a": "b"}),
    "delete a version": lambda client: client.get_blob_client("kept").delete_blob(version_id="2026-01-01T00:00:00.0Z"),
    "list containers": lambda client: list(_account_of(client).list_containers()),
    "service properties": lambda client: _account_of(client).get_service_properties(),
}


def _account_of(client: ContainerClient) -> BlobServiceClient:
    account, _, _ = client.url.rpartition("/")
    return BlobServiceClient(account, credential=client.credential, retry_total=0)


@pytest.fixture(scope="module")
def plane(shared_plane: Plane, azurite: Path) -> Plane:
    known = (ARTIFACTS, REGISTRY, NOBODY)
    shared_plane.start_azure(known=known)
    shared_plane.start_azurite(azurite, known=known)
    return shared_plane


@pytest.fixture
def client(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Callable[[EmulatedIdentity], ContainerClient]:
    """Makes a client that is signed in as an identity, of a container that holds the blob `kept`."""

    def signed_in(identity: EmulatedIdentity, container: str = "artifacts") -> ContainerClient:
        for name, value in plane.environment(identity).items():
            monkeypatch.setenv(name, value)
        credential = ManagedIdentityCredential(client_id=identity.client_id)
        url = program.container_url(plane.blob_port, container)
        if identity is ARTIFACTS:
            ensure_container(url, credential)
        return ContainerClient.from_container_url(url, credential=credential, retry_total=0)

    signed_in(ARTIFACTS).upload_blob("kept", b"content", overwrite=True)
    return signed_in


def refusal(use: Use, client: ContainerClient) -> str | None:
    """The code of the store's refusal, or None if it did what was asked."""
    try:
        use(client)
    except HttpResponseError as error:
        code = getattr(error, "error_code", None)
        if error.status_code == 403:
            return str(getattr(code, "value", code))
    return None


@pytest.mark.parametrize("name", [*READS, *WRITES])
@pytest.mark.parametrize("identity", [ARTIFACTS, REGISTRY, NOBODY], ids=lambda identity: identity.name)
def test_an_identity_may_do_what_its_role_allows(
    identity: EmulatedIdentity, name: str, client: Callable[[EmulatedIdentity], ContainerClient]
) -> None:
    allowed = identity.blobs is BlobAccess.WRITE or (identity.blobs is BlobAccess.READ and name in READS)
    use = {**READS, **WRITES}[name]
    assert refusal(use, client(identity)) == (None if allowed else "AuthorizationPermissionMismatch")


@pytest.mark.parametrize("name", OF_NOBODY)
def test_what_is_not_of_a_containers_blobs_is_for_nobody(
    name: str, client: Callable[[EmulatedIdentity], ContainerClient]
) -> None:
    assert refusal(OF_NOBODY[name], client(ARTIFACTS)) == "AuthorizationPermissionMismatch"


def test_a_url_that_an_identity_signed_allows_what_that_identity_may_do(
    plane: Plane, client: Callable[[EmulatedIdentity], ContainerClient]
) -> None:
    """Signed with the key of who may write, and in the name of one who may only read."""
    owner = client(ARTIFACTS)
    account = f"https://127.0.0.1:{plane.blob_port}/{program.ACCOUNT}"
    now = datetime.now(UTC)
    with BlobServiceClient(account, ManagedIdentityCredential(client_id=ARTIFACTS.client_id)) as service:
        key = service.get_user_delegation_key(now - timedelta(minutes=1), now + timedelta(minutes=9))
    outcomes = {}
    for identity in (ARTIFACTS, REGISTRY):
        key.signed_oid = identity.principal_id
        signed = generate_container_sas(
            program.ACCOUNT,
            "artifacts",
            user_delegation_key=key,
            permission=ContainerSasPermissions(read=True, write=True, create=True),
            expiry=now + timedelta(minutes=5),
        )
        by_url = ContainerClient.from_container_url(f"{owner.url}?{signed}", retry_total=0)
        outcomes[identity.name] = refusal(WRITES["upload"], by_url)
    assert outcomes == {"mlflow-artifacts": None, "mlflow-registry": "AuthorizationPermissionMismatch"}


def test_a_reader_gets_no_key_to_sign_with(plane: Plane, client: Callable[[EmulatedIdentity], ContainerClient]) -> None:
    client(REGISTRY)
    account = f"https://127.0.0.1:{plane.blob_port}/{program.ACCOUNT}"
    now = datetime.now(UTC)
    with (
        BlobServiceClient(account, ManagedIdentityCredential(client_id=REGISTRY.client_id), retry_total=0) as service,
        pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch"),
    ):
        service.get_user_delegation_key(now, now + timedelta(minutes=9))
