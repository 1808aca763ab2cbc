from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.storage.blob import BlobServiceClient, ContainerClient

from components.emulators import azurite as program
from components.emulators.blobs import container_exists, ensure_container
from tests.support.plane import ARTIFACTS, Plane

WELL_KNOWN_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(scope="module")
def started(shared_plane: Plane, azurite: Path) -> Plane:
    shared_plane.start_azure()
    shared_plane.start_azurite(azurite)
    return shared_plane


@pytest.fixture
def running(started: Plane, monkeypatch: pytest.MonkeyPatch) -> Plane:
    """A running plane, in the environment of artifacts. A test that ends Azurite starts it again."""
    for name, value in started.environment(ARTIFACTS).items():
        monkeypatch.setenv(name, value)
    return started


@contextlib.contextmanager
def _container(plane: Plane, name: str) -> Iterator[ContainerClient]:
    credential = ManagedIdentityCredential(client_id=ARTIFACTS.client_id)
    url = program.container_url(plane.blob_port, name)
    ensure_container(url, credential)
    with ContainerClient.from_container_url(url, credential=credential, retry_total=0) as client:
        yield client


def test_blobs_are_written_and_read_with_a_token(running: Plane) -> None:
    content = os.urandom(9 * 1024 * 1024)
    with _container(running, "written") as client:
        client.upload_blob("folder/one", content, max_concurrency=4)
        assert client.download_blob("folder/one").readall() == content
        assert [blob.name for blob in client.list_blobs()] == ["folder/one"]


def test_a_container_is_made_once(running: Plane) -> None:
    credential = ManagedIdentityCredential(client_id=ARTIFACTS.client_id)
    url = program.container_url(running.blob_port, "made")
    assert not container_exists(url, credential)
    ensure_container(url, credential, running.ca)
    ensure_container(url, credential)
    assert container_exists(url, credential)


@pytest.mark.parametrize("audience", ["https://vault.azure.net", "https://management.azure.com"])
def test_a_token_for_another_audience_is_refused(running: Plane, audience: str) -> None:
    credential = ManagedIdentityCredential(client_id=ARTIFACTS.client_id)
    url = program.container_url(running.blob_port, "refused")
    with (
        ContainerClient.from_container_url(url, credential=credential, audience=audience, retry_total=0) as client,
        pytest.raises(ClientAuthenticationError, match="Invalid token audience"),
    ):
        client.create_container()


def test_neither_the_well_known_key_nor_nobody_is_let_in(running: Plane) -> None:
    account = f"https://127.0.0.1:{running.blob_port}/{program.ACCOUNT}"
    key = {"account_name": program.ACCOUNT, "account_key": WELL_KNOWN_KEY}
    for credential in (key, None):
        with (
            BlobServiceClient(account, credential=credential, retry_total=0) as client,
            pytest.raises(HttpResponseError) as caught,
        ):
            list(client.list_containers())
        assert caught.value.status_code in (400, 401, 403)
    with _container(running, "refused-keys") as client:
        assert list(client.list_blobs()) == []


def test_every_acknowledged_change_survives_a_kill(running: Plane, azurite: Path) -> None:
    acknowledged: dict[str, bytes] = {}
    deleted: set[str] = set()
    with _container(running, "survives") as client:
        for index in range(5):
            client.upload_blob(f"deleted-{index}", b"x")
        enough = threading.Event()

        def write(writer: int) -> None:
            with contextlib.suppress(AzureError):
                for index in range(1000):
                    name, content = f"{writer}-{index}", os.urandom(2000)
                    client.upload_blob(name, content)
                    acknowledged[name] = content
                    if len(acknowledged) > 40:
                        enough.set()

        for index in range(5):
            client.delete_blob(f"deleted-{index}")
            deleted.add(f"deleted-{index}")
        writers = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
        for writer in writers:
            writer.start()
        assert enough.wait(60)
        running.programs[-1].kill()
        for writer in writers:
            writer.join()
        running.start_azurite(azurite)
        for name, content in acknowledged.items():
            assert client.download_blob(name).readall() == content
        for name in deleted:
            with pytest.raises(ResourceNotFoundError):
                client.download_blob(name)


def test_blocks_of_an_upload_under_way_survive_a_kill(running: Plane, azurite: Path) -> None:
    with _container(running, "blocks") as client:
        blob = client.get_blob_client("in-blocks")
        blob.stage_block("YQ==", b"first ")
        running.programs[-1].kill()
        running.start_azurite(azurite)
        blob.stage_block("Yg==", b"second")
        blob.commit_block_list(["YQ==", "Yg=="])  # type: ignore[list-item]
        assert blob.download_blob().readall() == b"first second"


def test_it_stops_cleanly_and_keeps_its_data(running: Plane, azurite: Path) -> None:
    with _container(running, "kept") as client:
        client.upload_blob("kept", b"content")
        client.close()
    assert running.programs[-1].stop(signal.SIGTERM) == 0
    running.start_azurite(azurite)
    with _container(running, "kept") as client:
        assert client.download_blob("kept").readall() == b"content"


def test_without_the_ca_it_is_not_trusted(running: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(AzureError, match="CERTIFICATE_VERIFY_FAILED"):
        container_exists(
            program.container_url(running.blob_port, "any"), ManagedIdentityCredential(client_id=ARTIFACTS.client_id)
        )


def test_a_taken_port_is_a_clear_error(plane: Plane, azurite: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", plane.blob_port))
        other.listen()
        started = plane.start_azurite(azurite, ready=False)
        assert started.exit_code() == 1
    assert f"Cannot listen on 127.0.0.1:{plane.blob_port}" in started.log.read_text()


def test_a_folder_without_azurite_is_a_clear_error(plane: Plane, tmp_path: Path) -> None:
    started = plane.start_azurite(tmp_path, ready=False)
    assert started.exit_code() == 1
    assert "give the folder that holds node_modules/azurite" in started.log.read_text()
