"""MLflow's errors for Azure's failures."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError
from azure.core.rest import HttpRequest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.azure_blob_artifact_repo import AzureBlobArtifactRepository

from mlflow_runtime.artifacts import repository as blob
from mlflow_runtime.artifacts import spool
from mlflow_runtime.artifacts.repository import BlobArtifactRepository, clear_errors
from tests.support.services import BY_ROLE, Platform

WASBS = "wasbs://artifacts@devstoreaccount1.blob.core.windows.net/"


@pytest.fixture(autouse=True)
def own_container(as_tracking: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(blob.VARIABLE, as_tracking.container)


def answered(status: int, code: str) -> HttpResponseError:
    """The error for an answer of the store."""

    class Response:
        status_code = status
        reason = "Reason"
        headers: dict[str, str] = {}  # noqa: RUF012
        request = HttpRequest("GET", "https://account.example/?sig=signature")

        def text(self, *_: object) -> str:
            return ""

    error = HttpResponseError("message with sig=signature", response=Response())
    vars(error)["error_code"] = code
    return error


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (answered(403, "AuthorizationPermissionMismatch"), 403, "Storage Blob Data Contributor"),
        (answered(403, "AuthorizationFailure"), 403, "network rules"),
        (answered(404, "BlobNotFound"), 404, "no such artifact"),
        (answered(404, "ContainerNotFound"), 404, "no such container"),
        (answered(503, "ServerBusy"), 503, "try again"),
        (answered(429, "TooManyRequests"), 503, "try again"),
        (answered(409, "LeaseIdMissing"), 500, "409 LeaseIdMissing"),
        (ServiceRequestError("sig=signature"), 503, "does not answer"),
        (ClientAuthenticationError("no identity"), 503, "gives no token"),
    ],
)
def test_a_failure_of_azure_says_what_to_do(error: Exception, status: int, expected: str) -> None:
    with pytest.raises(MlflowException, match=expected) as raised, clear_errors():
        raise error
    assert raised.value.get_http_status_code() == status
    assert "signature" not in str(raised.value)
    if status == 403:
        assert BY_ROLE["tracking"].client_id in str(raised.value)


def test_mlflow_takes_this_repository_for_wasbs_and_one_client_for_all() -> None:
    repositories = [get_artifact_repository(WASBS + path) for path in ("a", "b")]
    assert {type(one) for one in repositories} == {BlobArtifactRepository}
    assert len({id(one.client) for one in repositories}) == 1


def test_a_process_without_a_container_has_mlflows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(blob.VARIABLE)
    monkeypatch.setenv("AZURE_STORAGE_ACCESS_KEY", "a2V5")
    ours = BlobArtifactRepository("wasbs://other@elsewhere.blob.core.windows.net/")
    theirs = AzureBlobArtifactRepository("wasbs://other@elsewhere.blob.core.windows.net/")
    assert ours.client.url == theirs.client.url == "https://elsewhere.blob.core.windows.net/"


def test_another_container_is_refused() -> None:
    for foreign in (
        "wasbs://other@devstoreaccount1.blob.core.windows.net/",
        "wasbs://artifacts@x1y.blob.core.windows.net/",
    ):
        with pytest.raises(MlflowException, match="outside of this platform's container"):
            get_artifact_repository(foreign)


class Store:
    """A store whose one blob has one byte."""

    size = 1

    def get_container_client(self, _container: str) -> Store:
        return self

    def download_blob(self, _name: str) -> Store:
        return self

    def readinto(self, file: IO[bytes]) -> None:
        file.write(b"x")


def test_a_full_disk_under_an_attachment_is_507(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv(spool.VARIABLE, "0")
    store: Any = Store()
    attached, repository = "11111111-1111-4111-8111-111111111111", BlobArtifactRepository(WASBS, client=store)
    with pytest.raises(MlflowException, match="larger spool disk") as raised:
        repository.download_trace_attachment_to_file(attached, tmp_path / "attached")
    assert raised.value.get_http_status_code() == 507
    assert raised.value.error_code == "RESOURCE_EXHAUSTED"
    assert "No space left on device" in str(raised.value)
    assert not (tmp_path / "attached").exists()
    monkeypatch.setenv(spool.VARIABLE, "1")
    repository.download_trace_attachment_to_file(attached, tmp_path / "attached")
    assert (tmp_path / "attached").read_bytes() == b"x"
