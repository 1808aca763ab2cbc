"""A body into a blob, block by block, with nothing on disk.

A blob is what it was until the last block has come: a body that breaks off changes nothing.
"""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterable, AsyncIterator
from functools import partial
from typing import Final

from azure.storage.blob import BlobBlock, BlobClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from mlflow_runtime.artifacts import blocks
from mlflow_runtime.artifacts.memory import UPLOAD_BLOCK, Blocks

# A slow client's block goes out as small as it is then, so that it keeps no other waiting.
HOLD_SECONDS: Final = 10


async def upload(body: AsyncIterable[bytes], blob: BlobClient, memory: Blocks) -> None:
    """Make or replace the blob. Raises what the body raises, AzureError, and MlflowException for too many blocks."""
    chunks = _filled(body)
    this, names = blocks.new_upload(), list[str]()
    chunk: bytes | None = b""
    while chunk is not None:
        # The first piece of a block waits in the connection's own buffer.
        chunk = await anext(chunks, None)
        async with memory.one():
            block, chunk = await _block(chunk, chunks)
            if chunk is None and not names:
                await memory.run(partial(blob.upload_blob, block, length=_length(block), overwrite=True))
                return
            if length := _length(block):
                names.append(_next(this, names))
                # A stream, which is sent in pieces: the time-out is for each and not for the block.
                await memory.run(partial(blob.stage_block, names[-1], block, length=length))
    await memory.run(partial(blob.commit_block_list, [BlobBlock(block_id=name) for name in names]))


async def _block(first: bytes | None, chunks: AsyncIterator[bytes]) -> tuple[io.BytesIO, bytes | None]:
    """A block, and the last chunk that went into it; None if there are no more."""
    block, until, chunk = io.BytesIO(), time.monotonic() + HOLD_SECONDS, first
    while chunk is not None:
        block.write(chunk)
        if block.tell() >= UPLOAD_BLOCK or time.monotonic() > until:
            break
        chunk = await anext(chunks, None)
    block.seek(0)
    return block, chunk


async def _filled(body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    async for chunk in body:
        if chunk:
            yield chunk


def _length(block: io.BytesIO) -> int:
    return block.getbuffer().nbytes


def _next(upload: str, names: list[str]) -> str:
    if len(names) == blocks.MOST:
        raise MlflowException(
            f"The artifact has more than {blocks.MOST} blocks, the most that the store takes; log it in parts.",
            error_code=INVALID_PARAMETER_VALUE,
        )
    return blocks.block_id(upload, len(names) + 1)
