"""The lease of a stack: one holder at a time, named to the others, and free after its holder's death."""

from __future__ import annotations

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


class Clock:
    """The time by which a holder counts."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(lease, "time", made)
    return made


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
    blobs: dict[str, Any], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Azure's answer says so, while the clock of this machine stands still."""
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


class Ended(threading.Event):
    """An end that does not come; waiting for it moves the clock, and nothing else does."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.now += timeout or 0
        return self.clock.now > 10 * lease.LEASE_SECONDS


class Account:
    """Renews the lease at the given calls, and cannot be reached at the others; a call takes `seconds`."""

    def __init__(self, clock: Clock, *reached: int, seconds: float = 0) -> None:
        self.clock, self.reached, self.seconds = clock, reached, seconds
        self.calls = 0

    def renew(self) -> None:
        self.calls += 1
        self.clock.now += self.seconds
        if self.calls not in self.reached:
            raise ServiceRequestError("no route")


@pytest.mark.parametrize(
    ("reached", "seconds", "calls", "end"),
    [
        ((), 0, 2, 60),  # the lease is over before the third call
        ((1, 2), 0, 4, 100),
        ((3,), 0, 2, 60),  # another command may have it by the third call
        ((2,), 0, 4, 100),  # a failure in passing is no loss
        ((1,), 15, 2, 20 + 60),  # Azure may count from the request on, long before its answer
        ((), 45, 1, 60),
    ],
)
def test_a_holder_that_is_cut_off_believes_no_longer_than_the_lease_lives(
    clock: Clock, reached: tuple[int, ...], seconds: float, calls: int, end: float
) -> None:
    expiry, account = lease._Expiry(clock.now), Account(clock, *reached, seconds=seconds)
    lease._renew(account, Ended(clock), expiry)  # type: ignore[arg-type]
    assert account.calls == calls
    over = []
    for clock.now in (end - 0.1, end):
        over.append(expiry.is_over())
    assert over == [False, True]


def test_a_renewal_without_an_answer_does_not_hide_the_end(
    blobs: dict[str, Any], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0)
    asked, answered = threading.Event(), threading.Event()

    def renew(_: BlobLeaseClient) -> None:
        asked.set()
        answered.wait(60)

    monkeypatch.setattr(BlobLeaseClient, "renew", renew)
    with leased(BACKEND, "p", "dev", holder="one", **blobs) as found:
        try:
            assert asked.wait(60)
            clock.now += lease.LEASE_SECONDS - 0.1
            found.check()
            clock.now += 0.1
            with pytest.raises(CommandError, match="did not renew it in time"):
                found.check()
        finally:
            answered.set()
