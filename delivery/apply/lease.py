"""One `up` on a stack at a time, wherever it runs: a lease beside the stack's state.

Beside a state on Azure it is the lease of a blob, renewed while the command runs and free within LEASE_SECONDS of its
death (https://learn.microsoft.com/rest/api/storageservices/lease-blob). Beside a state in a folder it is a lock of the
operating system. The engine's own lock stays as it is: it is held by the engine alone, and not between two of its
commands.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from delivery.outcome import CommandError
from delivery.pulumi.lock import busy, held

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import BlobClient, BlobLeaseClient, ContainerClient

LEASE_SECONDS: Final = 60
"""The longest that Azure leases a blob for, unless without an end."""
RENEW_SECONDS: Final = 20

_FOLDER: Final = ".mlflow-platform/leases"
_CONFLICT, _CONDITION = 409, 412


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A lease that this process holds. `lost` says whether it could not be renewed in time."""

    lost: Callable[[], bool]

    def check(self) -> None:
        """Raise CommandError if somebody else may have the lease by now."""
        if self.lost():
            raise CommandError(
                "lease: the state's account did not renew it in time, so another command may work on the stack; "
                "nothing was changed. Run the same command again."
            )


@contextmanager
def leased(
    backend: str,
    project: str,
    stack: str,
    *,
    holder: str,
    environ: Mapping[str, str] = os.environ,
    credential: TokenCredential | None = None,
) -> Iterator[Lease]:
    """Hold the lease of a stack whose state is at the engine's URL `backend`, for as long as the block runs.

    `holder` says who that is and since when. Raises StackBusyError with the holder if another command has it, and
    CommandError for a backend without leases.
    """
    url = urlsplit(backend)
    if url.scheme == "file":
        path = Path(unquote(url.netloc + url.path)).expanduser() / _FOLDER / project / f"{stack}.lock"
        with held(path, holder=holder, what=f"stack {stack}"):
            yield Lease(lost=lambda: False)
    elif url.scheme == "azblob":
        with (
            container(backend, environ, credential) as there,
            _leased_blob(
                there, f"{url.path.strip('/')}/{_FOLDER}/{project}/{stack}.json".lstrip("/"), stack, holder
            ) as lease,
        ):
            yield lease
    else:
        raise CommandError(
            f"backend: got {backend!r}; expected a state at azblob:// or file://, beside which there is a lease. Run: "
            f"pulumi login azblob://{stack}"
        )


def container(
    backend: str, environ: Mapping[str, str] = os.environ, credential: TokenCredential | None = None
) -> ContainerClient:
    """Return the container of a state at `azblob://CONTAINER`, found by what the engine itself reads.

    Those are parameters of the URL and variables (https://gocloud.dev/howto/blob/#azure).
    """
    from azure.storage.blob import ContainerClient

    url = urlsplit(backend)
    asked = {key: values[-1] for key, values in parse_qs(url.query).items()}
    account = asked.get("storage_account") or environ.get("AZURE_STORAGE_ACCOUNT", "")
    if not account:
        raise CommandError(
            "AZURE_STORAGE_ACCOUNT: got nothing; expected the name of the account with the state. "
            "Set it, then run the same command again."
        )
    domain = asked.get("domain") or environ.get("AZURE_STORAGE_DOMAIN") or "blob.core.windows.net"
    protocol = asked.get("protocol") or environ.get("AZURE_STORAGE_PROTOCOL") or "https"
    emulated = (asked.get("localemu") or environ.get("AZURE_STORAGE_IS_LOCAL_EMULATOR") or "").lower() == "true"
    address = f"{protocol}://{domain}/{account}" if emulated else f"{protocol}://{account}.{domain}"
    return ContainerClient(address, url.netloc, credential=credential or _signed_in())


class _Expiry:
    """The end of a blob's lease by this machine's clock, which needs no answer of Azure.

    It counts from when the lease was asked for. Azure counts from when it grants it, so it ends no earlier there.
    """

    def __init__(self, asked: float) -> None:
        self.renewed(asked)

    def renewed(self, asked: float) -> None:
        self._end = asked + LEASE_SECONDS

    def lose(self) -> None:
        self._end = -math.inf

    def is_over(self) -> bool:
        return time.monotonic() >= self._end


@contextmanager
def _leased_blob(there: ContainerClient, name: str, stack: str, holder: str) -> Iterator[Lease]:
    from azure.core.exceptions import AzureError
    from azure.storage.blob import BlobLeaseClient

    blob = there.get_blob_client(name)
    lease = BlobLeaseClient(blob)
    try:
        expiry = _Expiry(_acquire(blob, lease, stack))
        _write(blob, lease, {"holder": holder})
    except AzureError as error:
        raise CommandError(
            f"lease: the state's account answers {_first_line(error)}; expected a container that you may write to. "
            f"Run: mlflow-platform doctor {stack} up"
        ) from error
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(lease, ended, expiry), daemon=True)
    renewing.start()
    try:
        yield Lease(lost=expiry.is_over)
    finally:
        ended.set()
        renewing.join()
        # It ends by itself where this fails.
        with contextlib.suppress(AzureError):
            _write(blob, lease, {})
            lease.release()


def _acquire(blob: BlobClient, lease: BlobLeaseClient, stack: str) -> float:
    """Acquire the lease and return when it was asked for."""
    from azure.core.exceptions import HttpResponseError

    try:
        blob.upload_blob(b"{}", overwrite=False)
    except HttpResponseError as error:
        # It exists; while it is leased Azure may say that instead.
        if error.status_code not in (_CONFLICT, _CONDITION):
            raise
    asked = time.monotonic()
    try:
        lease.acquire(lease_duration=LEASE_SECONDS)
    except HttpResponseError as error:
        if error.status_code != _CONFLICT:
            raise
        raise busy(f"stack {stack}", _holder(blob)) from None
    return asked


def _write(blob: BlobClient, lease: BlobLeaseClient, content: Mapping[str, Any]) -> None:
    blob.upload_blob(json.dumps(content).encode(), overwrite=True, lease=lease)


def _holder(blob: BlobClient) -> str:
    try:
        return str(json.loads(blob.download_blob().readall()).get("holder", ""))
    except ValueError:
        return ""


def _renew(lease: BlobLeaseClient, ended: threading.Event, expiry: _Expiry) -> None:
    """Renew until the end. A failure is no loss as long as the lease lasts."""
    from azure.core.exceptions import AzureError, HttpResponseError

    while not (ended.wait(RENEW_SECONDS) or expiry.is_over()):
        asked = time.monotonic()
        try:
            # Without a network the client tries for minutes before it raises.
            lease.renew()
            expiry.renewed(asked)
        except HttpResponseError as error:
            if error.status_code in (_CONFLICT, _CONDITION):
                expiry.lose()
        except AzureError:
            pass


def _signed_in() -> TokenCredential:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
