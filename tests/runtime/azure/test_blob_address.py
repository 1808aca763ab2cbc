"""The address of the container in its two forms."""

from __future__ import annotations

import pytest
from mlflow.store.artifact.azure_blob_artifact_repo import AzureBlobArtifactRepository

from mlflow_runtime.azure.blob_address import BlobAddress


@pytest.mark.parametrize(
    ("url", "account_url", "wasbs"),
    [
        (
            "https://account1.blob.core.windows.net/artifacts",
            "https://account1.blob.core.windows.net",
            "wasbs://artifacts@account1.blob.core.windows.net/",
        ),
        (
            "https://account1.blob.core.usgovcloudapi.net/a-b-c/",
            "https://account1.blob.core.usgovcloudapi.net",
            "wasbs://a-b-c@account1.blob.core.usgovcloudapi.net/",
        ),
        (
            "https://127.0.0.1:10000/devstoreaccount1/artifacts",
            "https://127.0.0.1:10000/devstoreaccount1",
            "wasbs://artifacts@devstoreaccount1.blob.core.windows.net/",
        ),
    ],
)
def test_an_address_in_the_forms_of_azure_and_mlflow(url: str, account_url: str, wasbs: str) -> None:
    address = BlobAddress.parse(url)
    assert (address.account_url, address.wasbs) == (account_url, wasbs)
    container, account, path, suffix = AzureBlobArtifactRepository.parse_wasbs_uri(wasbs)
    assert (container, account, path, suffix) == (address.container, address.account, "", address.suffix)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://account1.blob.core.windows.net",
        "https://account1.blob.core.windows.net/artifacts/below",
        "https://account1.blob.core.windows.net:8443/artifacts",
        "https://account1.blob.core.windows.net.example.com/artifacts",
        "https://blob.example.com/devstoreaccount1/artifacts",
        "https://127.0.0.1:10000/artifacts",
        "https://account1.blob.core.windows.net/Artifacts",
        "https://account1.blob.core.windows.net/a--b",
        "https://account1.blob.core.windows.net/ab",
        "https://account1.blob.core.windows.net/artifacts?sv=1",
        "wasbs://artifacts@account1.blob.core.windows.net/",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be https://ACCOUNT|names no container"):
        BlobAddress.parse(url)
