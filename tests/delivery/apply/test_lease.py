"""The lease of a stack: one holder at a time, named to the others, and free after its holder's death."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.identity import ManagedIdentityCredential
from azure.storage.blob import BlobLeaseClient

from components.emulators.azurite import ACCOUNT, container_url
from components.emulators.blobs import ensure_container
from delivery.apply import lease
from delivery.apply.lease import container, leased
from delivery.outcome import CommandError, ExitCode
from delivery.pulumi.installation import REPOSITORY
from delivery.pulumi.lock import StackBusyError
from tests.support.plane import ARTIFACTS, Plane
from tests.support.waiting import until

BACKEND = "azblob://dev"
AT_ONCE = 8


@pytest.fixture(scope="module")
def blobs(shared_plane: Plane, azurite: Path) -> Iterator[dict[str, Any]]:
    """What `leased` needs beside Azurite and an identity that writes blobs, with a container for the state of `dev`."""
    shared_plane.start_azure()
    shared_plane.start_azurite(azurite)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shared_plane.environment(ARTIFACTS).items():
            patch.setenv(name, value)
        credential = ManagedIdentityCredential(client_id=ARTIFACTS.client_id)
        ensure_container(container_url(shared_plane.blob_port, "dev"), credential)
        variables = {
            "AZURE_STORAGE_ACCOUNT": ACCOUNT,
            "AZURE_STORAGE_DOMAIN": f"127.0.0.1:{shared_plane.blob_port}",
            "AZURE_STORAGE_IS_LOCAL_EMULATOR": "true",
        }
        yield {"environ": variables, "credential": credential}


def test_of_eight_at_once_one_gets_the_blob_and_the_others_get_its_holders_name(blobs: dict[str, Any]) -> None:
    all_tried, refused = threading.Barrier(AT_ONCE), []

    def attempt(number: int) -> bool:
        try:
            with leased(BACKEND, "p", "dev", holder=f"user {number}, since ten", **blobs) as found:
                all_tried.wait(60)
                found.check()
                return True
        except StackBusyError as busy:
            refused.append(busy)
            all_tried.wait(60)
            return False

    with ThreadPoolExecutor(AT_ONCE) as threads:
        winners = [number for number, won in enumerate(threads.map(attempt, range(AT_ONCE))) if won]
    assert len(winners) == 1
    assert {busy.code for busy in refused} == {ExitCode.BUSY}
    # In the moment before the holder has written its name, the answer is that it has just started.
    named = {str(busy) for busy in refused}
    assert all(f"(user {winners[0]}, since ten)" in one or "(just started)" in one for one in named)

    with leased(BACKEND, "p", "dev", holder="user 9, since ten", **blobs):
        with (
            pytest.raises(StackBusyError, match=r"stack dev \(user 9, since ten\)"),
            leased(BACKEND, "p", "dev", holder="user 10", **blobs),
        ):
            pass
        with leased(BACKEND, "p", "staging", holder="another stack", **blobs):
            pass
    with leased("azblob://dev/below?localemu=true", "p", "dev", holder="after it was freed", **blobs):
        names = [blob.name for blob in container(BACKEND, **blobs).list_blobs()]
    assert ".mlflow-platform/leases/p/dev.json" in names
    assert "below/.mlflow-platform/leases/p/dev.json" in names


def test_a_lease_is_renewed_and_one_that_is_broken_is_noticed(
    blobs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    renewed = threading.Semaphore(0)
    renew = BlobLeaseClient.renew

    def counted(self: BlobLeaseClient, **more: Any) -> None:
        renew(self, **more)
        renewed.release()

    monkeypatch.setattr(BlobLeaseClient, "renew", counted)
    with leased(BACKEND, "p", "dev", holder="one", **blobs) as found:
        assert all(renewed.acquire(timeout=60) for _ in range(3))
        found.check()
        blob = container(BACKEND, **blobs).get_blob_client(".mlflow-platform/leases/p/dev.json")
        BlobLeaseClient(blob).break_lease(lease_break_period=0)
        until(found.lost, "the loss of the lease", 60)
        with pytest.raises(CommandError, match="did not renew it in time"):
            found.check()


def test_an_account_that_refuses_is_said(blobs: dict[str, Any]) -> None:
    with (
        pytest.raises(CommandError, match=r"lease: the state's account answers .*container does not exist"),
        leased("azblob://nowhere", "p", "dev", holder="one", **blobs),
    ):
        pass


@pytest.mark.parametrize(
    ("backend", "environ", "address"),
    [
        ("azblob://dev", {"AZURE_STORAGE_ACCOUNT": "store"}, "https://store.blob.core.windows.net/dev"),
        ("azblob://dev?storage_account=other", {}, "https://other.blob.core.windows.net/dev"),
        (
            "azblob://dev?storage_account=a&domain=blob.core.chinacloudapi.cn",
            {"AZURE_STORAGE_ACCOUNT": "store"},
            "https://a.blob.core.chinacloudapi.cn/dev",
        ),
    ],
)
def test_the_container_is_found_as_the_engine_finds_it(backend: str, environ: dict[str, str], address: str) -> None:
    assert container(backend, environ, ManagedIdentityCredential()).url == address


@pytest.mark.parametrize(
    ("backend", "said"),
    [("azblob://dev", "AZURE_STORAGE_ACCOUNT: got nothing"), ("https://api.pulumi.com", "expected a state at azblob")],
)
def test_a_state_without_a_lease_is_refused(backend: str, said: str) -> None:
    with pytest.raises(CommandError, match=said), leased(backend, "p", "dev", holder="one", environ={}):
        pass


def test_beside_a_folder_a_killed_holder_blocks_nothing(tmp_path: Path) -> None:
    backend = f"file://{tmp_path}"
    line = (
        "import signal; from delivery.apply.lease import leased\n"
        f"with leased({backend!r}, 'p', 'dev', holder='bob, since ten'):\n    print('held', flush=True)\n"
        "    signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", line], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with (
                pytest.raises(StackBusyError, match=r"stack dev \(bob, since ten\)"),
                leased(backend, "p", "dev", holder="eve"),
            ):
                pass
        finally:
            holder.send_signal(signal.SIGKILL)
    with leased(backend, "p", "dev", holder="eve") as found:
        found.check()


def test_a_renewal_that_fails_in_passing_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0)
    ended, lost, tried = threading.Event(), threading.Event(), []

    class Failing:
        def renew(self) -> None:
            tried.append(1)
            if len(tried) == 3:
                ended.set()
            raise ServiceRequestError("no route")

    with contextlib.suppress(ServiceRequestError):
        lease._renew(Failing(), ended, lost)  # type: ignore[arg-type]
    assert (len(tried), lost.is_set()) == (3, False)
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0)
    ended.clear()
    tried.clear()
    lease._renew(Failing(), ended, lost)  # type: ignore[arg-type]
    assert lost.is_set()
