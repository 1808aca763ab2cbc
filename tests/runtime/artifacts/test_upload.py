"""What is in the store, and when, while a body comes in. The store is a list of the calls it gets."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import anyio
import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import HttpTransport, RequestsTransportResponse
from azure.storage.blob import BlobClient

from mlflow_runtime.artifacts import blocks, upload
from mlflow_runtime.artifacts.memory import UPLOAD_BLOCK, Blocks


class Store:
    """Takes blocks and says how many bytes it has."""

    def __init__(self) -> None:
        self.staged: list[str] = []
        self.bytes = 0
        self.committed: list[str] | None = None

    def stage_block(self, block_id: str, data: Any, *, length: int) -> None:
        self.staged.append(block_id)
        self._take(data, length)

    def commit_block_list(self, listed: list[Any]) -> None:
        self.committed = [block.id for block in listed]

    def upload_blob(self, data: Any, *, length: int, overwrite: bool) -> None:
        assert overwrite
        self._take(data, length)
        self.committed = []

    def _take(self, data: Any, length: int) -> None:
        assert len(data.read()) == length
        self.bytes += length


def test_all_but_the_last_block_is_in_the_store_when_the_last_byte_comes() -> None:
    """So the client waits for one block and the list of them, however large the artifact is."""
    store, behind = Store(), list[int]()

    async def body() -> AsyncIterator[bytes]:
        given = 0
        for _ in range(40):
            given += UPLOAD_BLOCK // 4
            yield bytes(UPLOAD_BLOCK // 4)
            behind.append(given - store.bytes)
        assert store.committed is None  # nothing is seen before the end

    anyio.run(upload.upload, body(), cast("BlobClient", store), Blocks("up", 2))
    assert max(behind) <= 2 * UPLOAD_BLOCK
    assert store.bytes == 10 * UPLOAD_BLOCK
    assert store.committed == store.staged


@pytest.mark.parametrize("size", [0, 1, UPLOAD_BLOCK - 1])
def test_a_small_body_is_one_call(size: int) -> None:
    store = Store()

    async def body() -> AsyncIterator[bytes]:
        yield bytes(size)

    anyio.run(upload.upload, body(), cast("BlobClient", store), Blocks("up", 2))
    assert (store.staged, store.bytes, store.committed) == ([], size, [])


@pytest.mark.parametrize(
    ("size", "count"), [(0, 0), (1, 1), (UPLOAD_BLOCK, 1), (UPLOAD_BLOCK + 1, 2), (3 * UPLOAD_BLOCK, 3)]
)
def test_a_part_is_staged_and_committed_by_nobody(size: int, count: int) -> None:
    store = Store()

    async def body() -> AsyncIterator[bytes]:
        for at in range(0, size, UPLOAD_BLOCK):
            yield bytes(min(UPLOAD_BLOCK, size - at))

    names = anyio.run(upload.stage, body(), cast("BlobClient", store), Blocks("up", 2))
    assert names == store.staged
    assert (len(names), store.bytes, store.committed) == (count, size, None)
    assert len({len(name) for name in names}) <= 1
    assert [name.rpartition("-")[2] for name in names] == [f"{number:05}" for number in range(1, count + 1)]


def test_more_blocks_than_a_blob_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST", 2)
    store = Store()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(UPLOAD_BLOCK)

    with pytest.raises(Exception, match="more than 2 blocks"):
        anyio.run(upload.upload, body(), cast("BlobClient", store), Blocks("up", 2))
    assert store.committed is None


class ShortLived:
    """Gives tokens that are over as soon as they are given."""

    def __init__(self) -> None:
        self.given = 0

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        self.given += 1
        return AccessToken(f"token-{self.given}", int(time.time()) - 1)


class Accepting(HttpTransport[Any, Any]):
    """A store that accepts every request and notes the token of each."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def send(self, request: Any, **_: Any) -> Any:
        self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
        for _piece in request.body if hasattr(request.body, "read") else ():
            pass
        answer = requests.Response()
        answer.status_code = 201
        answer.raw = io.BytesIO()
        return RequestsTransportResponse(request, answer)

    def open(self) -> None: ...

    def close(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_a_token_that_ends_within_an_upload_is_replaced() -> None:
    store = Accepting()
    blob = BlobClient.from_blob_url(
        "https://account.blob.core.windows.net/c/b", credential=cast("Any", ShortLived()), transport=store
    )

    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(UPLOAD_BLOCK)

    anyio.run(upload.upload, body(), blob, Blocks("up", 2))
    assert store.tokens == ["token-1", "token-2", "token-3", "token-4"]
