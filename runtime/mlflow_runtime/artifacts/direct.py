"""Parts that a client sends to the container itself, past this process, by URLs that are signed for it.

They are signed with a key that the managed identity asks for (a user-delegation SAS): there is no account key. A URL
lets its holder write blocks of one blob for an hour, and read nothing.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from azure.storage.blob import BlobBlock, BlobClient, BlobSasPermissions, BlobServiceClient, generate_blob_sas
from mlflow.entities.multipart_upload import (
    CreateMultipartUploadResponse,
    MultipartUploadCredential,
    MultipartUploadPart,
)
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from mlflow_runtime.artifacts import blocks

LIFETIME: Final = datetime.timedelta(hours=1)
# A machine's clock may be behind.
EARLIER: Final = datetime.timedelta(minutes=5)


def create(service: BlobServiceClient, blob: BlobClient, parts: int) -> CreateMultipartUploadResponse:
    """URLs for `parts` parts of the blob, 1 to 50,000. Raises AzureError, and MlflowException for another number."""
    blocks.check_parts(parts)
    now = datetime.datetime.now(datetime.UTC)
    signature = generate_blob_sas(
        account_name=str(service.account_name),
        container_name=blob.container_name,
        blob_name=blob.blob_name,
        user_delegation_key=service.get_user_delegation_key(now - EARLIER, now + LIFETIME),
        permission=BlobSasPermissions(write=True),
        start=now - EARLIER,
        expiry=now + LIFETIME,
        protocol="https",
    )
    upload = blocks.new_upload()
    return CreateMultipartUploadResponse(
        upload_id=upload,
        credentials=[
            MultipartUploadCredential(url=_url(blob, upload, number, signature), part_number=number, headers={})
            for number in range(1, parts + 1)
        ],
    )


def complete(blob: BlobClient, upload: str | None, parts: Iterable[MultipartUploadPart]) -> None:
    """Make or replace the blob from the parts in the order of their numbers. Raises as `create`."""
    numbers = sorted(int(part.part_number) for part in parts)
    in_range = bool(numbers) and numbers[0] >= 1 and numbers[-1] <= blocks.MOST
    if upload is None or not blocks.is_upload(upload) or not in_range:
        raise MlflowException(
            "upload_id and parts must be those that mlflow-artifacts/mpu/create answered with.",
            error_code=INVALID_PARAMETER_VALUE,
        )
    blob.commit_block_list([BlobBlock(block_id=blocks.block_id(upload, number)) for number in numbers])


def _url(blob: BlobClient, upload: str, number: int, signature: str) -> str:
    name = base64.b64encode(blocks.block_id(upload, number).encode()).decode()
    return f"{blob.url}?comp=block&blockid={quote(name, safe='')}&{signature}"
