"""MLflow's artifact repository for `wasbs://`, on the one container that this platform has.

It differs from MLflow's own in how it reaches Azure: with the managed identity, over connections that all repositories
of the process share, at the address that BLOB_CONTAINER_URL gives (an emulator's too), for a bounded time; and in that
a failure of Azure becomes MLflow's error with a reason and a remedy.
"""

from __future__ import annotations

import errno
import functools
import os
import posixpath
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.core.exceptions import ServiceResponseError as NoAnswer
from azure.storage.blob import BlobClient, BlobServiceClient, LinearRetry
from mlflow.entities import FileInfo
from mlflow.entities.multipart_upload import CreateMultipartUploadResponse, MultipartUploadPart
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    RESOURCE_CONFLICT,
    RESOURCE_DOES_NOT_EXIST,
    RESOURCE_EXHAUSTED,
    TEMPORARILY_UNAVAILABLE,
    ErrorCode,
)
from mlflow.store.artifact.azure_blob_artifact_repo import AzureBlobArtifactRepository

from mlflow_runtime import environment
from mlflow_runtime.artifacts import direct, names, spool
from mlflow_runtime.artifacts import parts as of_service
from mlflow_runtime.azure import identity
from mlflow_runtime.azure.blob_address import BlobAddress
from mlflow_runtime.metrics.azure import MeasuredTransport
from mlflow_runtime.reasons import first_line
from mlflow_runtime.responses import Failure, failure_of

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE: Final = environment.variable("BLOB_CONTAINER_URL")
DIRECT_VARIABLE: Final = environment.variable("CLIENTS_REACH_BLOB")
HOSTS_VARIABLE: Final = environment.variable("PUBLIC_HOSTS")

# Seconds. A store that is down is noticed in a few of them, one that hangs within half a minute; the client's defaults
# retry for minutes. The HTTP library bounds each send of an upload by the time to connect, so that is not less.
CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 15
RETRIES: Final = 2
PAUSE_SECONDS: Final = 1

READ_BYTES: Final = 1 << 18
"""What an answer is read by. The HTTP library would take 4 KiB at a time: a third of a download's processor time."""

# As many as the HTTP library keeps connections for.
DELETES_AT_ONCE: Final = 10

_BUSY = frozenset({408, 429, 500, 502, 503, 504})

P = ParamSpec("P")
R = TypeVar("R")


def address() -> BlobAddress:
    """The container of this process, from BLOB_CONTAINER_URL."""
    return BlobAddress.parse(os.environ[VARIABLE])


@functools.cache
def service_client() -> BlobServiceClient:
    """The one client of the process. Threads may share it."""
    return BlobServiceClient(
        address().account_url,
        credential=identity.current(),
        transport=MeasuredTransport(
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            connection_data_block_size=READ_BYTES,
        ),
        retry_policy=LinearRetry(backoff=PAUSE_SECONDS, retry_total=RETRIES, random_jitter_range=PAUSE_SECONDS),
    )


def _clear(method: Callable[P, R]) -> Callable[P, R]:
    """The method with Azure's failures as MLflow's errors."""

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with clear_errors():
            return method(*args, **kwargs)

    return wrapper


class BlobArtifactRepository(AzureBlobArtifactRepository):  # type: ignore[misc]  # MLflow publishes no types
    """The repository behind the entry point `wasbs`.

    Refuses every container but the process's own: the identity has no business elsewhere, and a location in a database
    row must not decide where it signs in. In a process without BLOB_CONTAINER_URL it is MLflow's own repository.
    """

    def __init__(self, artifact_uri: str, client: BlobServiceClient | None = None, **options: Any) -> None:
        if client is None and VARIABLE in os.environ:
            own = address()
            container, account, _, suffix = self.parse_wasbs_uri(artifact_uri)
            if (container, account, suffix) != (own.container, own.account, own.suffix):
                raise MlflowException(
                    f"Artifact location {artifact_uri!r} is outside of this platform's container; use a location below "
                    f"{own.wasbs!r}, or none to get one.",
                    error_code=INVALID_PARAMETER_VALUE,
                )
            client = service_client()
        super().__init__(artifact_uri, client=client, **options)

    log_artifact = _clear(AzureBlobArtifactRepository.log_artifact)
    log_artifacts = _clear(AzureBlobArtifactRepository.log_artifacts)

    @_clear
    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """As MLflow's, by the names that clients know."""
        found = super().list_artifacts(path and names.blob_name(path))
        return [FileInfo(names.artifact_path(each.path), each.is_dir, each.file_size) for each in found]

    @_clear
    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete a file, or all below a folder. One that is not there is deleted already, as for MLflow's local store.

        Several blobs at once. If one fails others may be gone, and the same call deletes the rest.
        """
        container, _, root, _ = self.parse_wasbs_uri(self.artifact_uri)
        name = posixpath.join(root, names.blob_name(artifact_path or "")).rstrip("/")
        client = self.client.get_container_client(container)

        def delete(blob: str) -> None:
            with suppress(ResourceNotFoundError):
                client.delete_blob(blob)

        below = client.list_blob_names(name_starts_with=f"{name}/" if name else None)
        with ThreadPoolExecutor(DELETES_AT_ONCE) as pool:
            if name:
                delete(name)
            for page in below.by_page():
                list(pool.map(delete, page))

    @_clear
    def create_multipart_upload(
        self, local_file: str, num_parts: int = 1, artifact_path: str | None = None
    ) -> CreateMultipartUploadResponse:
        """Return URLs for the parts: with CLIENTS_REACH_BLOB of the container itself, else of this service."""
        blob = self._blob(local_file, artifact_path)
        if os.environ.get(DIRECT_VARIABLE) == "true":
            return direct.create(self.client, blob, num_parts)
        return of_service.create(_address_of_callers(blob.blob_name), num_parts)

    @_clear
    def complete_multipart_upload(
        self,
        local_file: str,
        upload_id: str | None,
        parts: Iterable[MultipartUploadPart] | None = None,
        artifact_path: str | None = None,
    ) -> None:
        """Make the artifact from the parts that are in the container, whichever way each came."""
        blob, sent = self._blob(local_file, artifact_path), list(parts or ())
        if of_service.are_receipts(sent):
            of_service.complete(blob, sent)
        else:
            direct.complete(blob, upload_id, sent)

    def blob(self, path: str) -> BlobClient:
        """Return the client of the blob of a file below this location."""
        container, _, root, _ = self.parse_wasbs_uri(self.artifact_uri)
        client: BlobClient = self.client.get_blob_client(container, names.file_name(path, root))
        return client

    def _blob(self, local_file: str, artifact_path: str | None) -> BlobClient:
        return self.blob(posixpath.join(artifact_path or "", posixpath.basename(local_file)))

    @_clear
    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        """As MLflow's, with room for the whole file before its first byte."""
        container, _, root, _ = self.parse_wasbs_uri(self.artifact_uri)
        name = posixpath.join(root, names.blob_name(remote_file_path))
        try:
            found = self.client.get_container_client(container).download_blob(name)
            with spool.room(found.size), Path(local_path).open("wb") as file:
                found.readinto(file)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise MlflowException(os.strerror(errno.ENOSPC), error_code=RESOURCE_EXHAUSTED) from error
            raise

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> str:
        """As MLflow's, which gathers the errors of all files; a full disk is OSError again, as it is for an upload."""
        with _full_disk_as_oserror():
            path: str = super().download_artifacts(artifact_path, dst_path)
        return path

    def download_trace_data_to_file(self, dst_path: Path) -> Path:
        """As MLflow's, which says of every failure that the file is not there."""
        with _full_disk_as_oserror():
            try:
                path: Path = super().download_trace_data_to_file(dst_path)
            except MlflowException as error:
                reason = error.__cause__
                if isinstance(reason, MlflowException) and reason.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                    raise reason from None
                raise
        return path

    def download_trace_attachment_to_file(self, path: str, dst_path: Path) -> Path:
        """As MLflow's. A full disk is an error that its handler lets through: of an OSError that makes a bare 500."""
        try:
            with _full_disk_as_oserror():
                found: Path = super().download_trace_attachment_to_file(path, dst_path)
        except OSError as error:
            failure = failure_of(error)
            if failure is None:
                raise
            raise _AnsweredError(failure, error) from error
        return found


class _AnsweredError(MlflowException):  # type: ignore[misc]  # MLflow publishes no types
    """A failure as MLflow's error, with the status that none of its codes has."""

    def __init__(self, failure: Failure, error: Exception) -> None:
        super().__init__(f"{failure.message} ({first_line(error)})", error_code=ErrorCode.Value(failure.code))
        self._status = failure.status

    def get_http_status_code(self) -> int:
        return self._status


@contextmanager
def _full_disk_as_oserror() -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_EXHAUSTED):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise


def _address_of_callers(path: str) -> str:
    """Return the URL of an artifact as the caller of the present request reaches it.

    The gateway passes its own name on and scheme; another name than one that is served is not repeated.
    """
    from flask import request

    hosts = os.environ[HOSTS_VARIABLE].split(",")
    forwarded = request.headers.get("X-Forwarded-Host", "")
    scheme = "http" if request.headers.get("X-Forwarded-Proto") == "http" else "https"
    api = request.path.partition("/mlflow-artifacts/")[0]
    return of_service.address(f"{scheme}://{forwarded if forwarded in hosts else hosts[0]}", api, path)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn Azure's failures into MlflowExceptions that say what to do."""
    try:
        yield
    except AzureError as error:
        code, message = explain(error)
        raise MlflowException(message, error_code=code) from error


def explain(error: AzureError) -> tuple[int, str]:
    """MLflow's error code and the message for a failure of Azure. It holds no token and no signed URL."""
    where = f"container {address().container!r} of {address().account_url}" if VARIABLE in os.environ else "the store"
    if isinstance(error, ClientAuthenticationError) and error.response is None:
        return TEMPORARILY_UNAVAILABLE, (
            f"The managed identity {identity.current().client_id} gives no token for the artifact store at present: "
            f"{error.message}"
        )
    if isinstance(error, (ServiceRequestError, NoAnswer)):
        return TEMPORARILY_UNAVAILABLE, f"The artifact store does not answer at present ({where}): {_kind(error)}."
    if not isinstance(error, HttpResponseError):
        return INTERNAL_ERROR, f"The artifact store failed ({where}): {_kind(error)}."
    reason = f"{error.status_code} {getattr(error, 'error_code', None) or error.reason}"
    if error.status_code in (401, 403):
        return PERMISSION_DENIED, (
            f"The artifact store refuses the managed identity {identity.current().client_id} ({reason}, {where}). To "
            "read it needs role Storage Blob Data Reader on the container, to write Storage Blob Data Contributor, "
            "and the account's network rules must let this service in."
        )
    if error.status_code == 404:
        missing = "container" if getattr(error, "error_code", None) == "ContainerNotFound" else "artifact"
        return RESOURCE_DOES_NOT_EXIST, f"There is no such {missing} ({reason}, {where})."
    if error.status_code == 412:
        return RESOURCE_CONFLICT, f"The artifact was replaced in the middle of its download ({reason}); ask again."
    if getattr(error, "error_code", None) in ("InvalidBlockList", "InvalidBlobOrBlock"):
        return RESOURCE_CONFLICT, (
            f"Parts of this upload are not in the store ({reason}, {where}): one was not sent, or another upload of "
            "the same artifact ended meanwhile. Send it again."
        )
    if error.status_code in _BUSY:
        return TEMPORARILY_UNAVAILABLE, f"The artifact store is busy or failing ({reason}, {where}); try again."
    return INTERNAL_ERROR, f"The artifact store failed ({reason}, {where})."


def _kind(error: AzureError) -> str:
    """The innermost reason by name. Messages of the HTTP library hold whole URLs, and those may be signed."""
    cause: BaseException = error
    while inner := getattr(cause, "inner_exception", None) or cause.__cause__ or cause.__context__:
        cause = inner
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
