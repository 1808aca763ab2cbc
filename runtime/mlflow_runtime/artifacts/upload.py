"""A body into a blob, block by block, with nothing on disk.

A blob is what it was until the last block has come: a body that breaks off changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterable, Callable
from functools import partial
from typing import Final

from azure.storage.blob import BlobBlock, BlobClient

from mlflow_runtime.artifacts import blocks
from mlflow_runtime.artifacts.memory import HOLD_SECONDS, PIECE, TAKE_SECONDS, UPLOAD_BLOCK, Blocks

# Of the 50,000 blocks that an artifact may have, a slow client fills the later ones for longer.
MANY: Final = 5_000


async def upload(body: AsyncIterable[bytes], blob: BlobClient, memory: Blocks) -> None:
    """Make or replace the blob. Raises what the body raises, AzureError, and MlflowException for too many blocks."""

    def whole(block: io.BytesIO) -> None:
        blob.upload_blob(block, length=_length(block), overwrite=True)

    if (names := await _staged(body, blob, memory, alone=whole)) is not None:
        await memory.run(partial(blob.commit_block_list, [BlobBlock(block_id=name) for name in names]))


async def stage(body: AsyncIterable[bytes], blob: BlobClient, memory: Blocks) -> list[str]:
    """Put the body beside the blob and return the names of its blocks, in order. Raises as `upload`."""
    return await _staged(body, blob, memory, alone=None) or []


async def _staged(
    body: AsyncIterable[bytes], blob: BlobClient, memory: Blocks, *, alone: Callable[[io.BytesIO], None] | None
) -> list[str] | None:
    """Stage each block as soon as it is full. A body of one block goes to `alone`, if that is given: then None."""
    this, names = blocks.new_upload(), list[str]()
    with contextlib.closing(Chunks(body)) as chunks:
        ended = False
        while not ended:
            # So that who waits for a slow client holds no block.
            first = await _piece(chunks)
            async with memory.one():
                block, ended = await _block(first, chunks, memory, TAKE_SECONDS * (1 + len(names) / MANY))
                if ended and not names and alone is not None:
                    await memory.run(partial(alone, block))
                    return None
                if length := _length(block):
                    names.append(_next(this, names))
                    # A stream, which is sent in pieces: the time-out is for each and not for the block.
                    await memory.run(partial(blob.stage_block, names[-1], block, length=length))
    return names


class Chunks:
    """The chunks of a body, that one can stop waiting for: the next that asks gets the one that comes."""

    def __init__(self, body: AsyncIterable[bytes]) -> None:
        self._body = aiter(body)
        self._coming: asyncio.Task[bytes | None] | None = None

    async def next(self, seconds: float | None = None) -> bytes | None:
        """A chunk that is not empty, or None at the end. Raises TimeoutError, and what the body raises."""
        coming = self._coming = self._coming or asyncio.create_task(self._take())
        await asyncio.wait({coming}, timeout=seconds)
        if not coming.done():
            raise TimeoutError
        self._coming = None
        return coming.result()

    def close(self) -> None:
        """Wait for none any more."""
        if self._coming:
            self._coming.cancel()

    async def _take(self) -> bytes | None:
        async for chunk in self._body:
            if chunk:
                return chunk
        return None


async def _piece(chunks: Chunks) -> bytes | None:
    """The start of a block, or the rest of the body if that is smaller; None at its end."""
    piece = bytearray()
    while len(piece) < PIECE and (chunk := await chunks.next()) is not None:
        piece += chunk
    return bytes(piece) or None


async def _block(first: bytes | None, chunks: Chunks, memory: Blocks, seconds: float) -> tuple[io.BytesIO, bool]:
    """A block, and whether the body ends with it.

    A slow client's is as small as it is after `seconds` if others wait for a block, and after HOLD_SECONDS if not.
    """
    block, begun, chunk = io.BytesIO(), time.monotonic(), first
    while chunk is not None:
        block.write(chunk)
        if block.tell() >= UPLOAD_BLOCK:
            break
        try:
            chunk = await _next_in_time(chunks, begun, memory, seconds)
        except TimeoutError:
            break
    block.seek(0)
    return block, chunk is None


async def _next_in_time(chunks: Chunks, begun: float, memory: Blocks, seconds: float) -> bytes | None:
    """The next chunk. TimeoutError when the block has to end without it."""
    while True:
        held = time.monotonic() - begun
        if held >= HOLD_SECONDS or (memory.wanted and held >= seconds):
            raise TimeoutError
        with contextlib.suppress(TimeoutError):
            return await chunks.next(min(TAKE_SECONDS, HOLD_SECONDS - held))


def _length(block: io.BytesIO) -> int:
    return block.getbuffer().nbytes


def _next(upload: str, names: list[str]) -> str:
    if len(names) == blocks.MOST:
        raise blocks.too_many()
    return blocks.block_id(upload, len(names) + 1)
