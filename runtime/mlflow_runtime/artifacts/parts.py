"""Parts of an artifact that a client sends to this service, each by a request of its own.

Whatever stands before the gateway may end a request after minutes, and a part is sent again without the others. Each
part is an upload that is not committed: its ETag is the receipt that names its blocks, and the artifact is made of the
receipts. So nothing is kept between the requests, and each may go to another replica.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

from azure.storage.blob import BlobBlock, BlobClient
from mlflow.entities.multipart_upload import (
    CreateMultipartUploadResponse,
    MultipartUploadCredential,
    MultipartUploadPart,
)
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from mlflow_runtime.artifacts import blocks

QUERY: Final = "part"
"""The query of a PUT that sends a part."""

_RECEIPT: Final = re.compile(r'"?([0-9a-f]{32})-([0-9]{5})"?')


def create(address: str, parts: int) -> CreateMultipartUploadResponse:
    """Return URLs below the artifact's own `address` for its parts, 1 to 50,000. Raise MlflowException for another."""
    blocks.check_parts(parts)
    return CreateMultipartUploadResponse(
        upload_id=blocks.new_upload(),
        credentials=[
            MultipartUploadCredential(url=f"{address}?{QUERY}={number}", part_number=number, headers={})
            for number in range(1, parts + 1)
        ],
    )


def address(origin: str, api: str, path: str) -> str:
    """Return the URL at which an artifact is put."""
    return f"{origin}{api}/mlflow-artifacts/artifacts/{quote(path)}"


def receipt(names: Sequence[str]) -> str:
    """Return the ETag of a part: the upload that staged its blocks, and how many there are."""
    upload = names[0].partition("-")[0] if names else blocks.new_upload()
    return f'"{upload}-{len(names):05}"'


def are_receipts(parts: Sequence[MultipartUploadPart]) -> bool:
    """Return whether the parts were sent to this service. The store's own ETags look otherwise."""
    return bool(parts) and all(_RECEIPT.fullmatch(part.etag or "") for part in parts)


def complete(blob: BlobClient, parts: Iterable[MultipartUploadPart]) -> None:
    """Make or replace the blob from the parts in the order of their numbers.

    Raise AzureError, and MlflowException for parts that are not all there or have too many blocks.
    """
    ordered = sorted(parts, key=lambda part: int(part.part_number))
    numbers = [int(part.part_number) for part in ordered]
    if numbers != list(range(1, len(numbers) + 1)):
        raise MlflowException(
            f"parts: got the numbers {_shown(numbers)}; expected each from 1 to the last once. Send the others too.",
            error_code=INVALID_PARAMETER_VALUE,
        )
    names = list(itertools.chain.from_iterable(_names(part.etag) for part in ordered))
    if len(names) > blocks.MOST:
        raise blocks.too_many()
    blob.commit_block_list([BlobBlock(block_id=name) for name in names])


def _names(etag: str) -> list[str]:
    found = _RECEIPT.fullmatch(etag)
    if found is None:
        raise ValueError(f"{etag!r} is not a receipt; see are_receipts")
    upload, count = found.groups()
    return [blocks.block_id(upload, number) for number in range(1, int(count) + 1)]


def _shown(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return f"{shown}, ..." if len(numbers) > 10 else shown
