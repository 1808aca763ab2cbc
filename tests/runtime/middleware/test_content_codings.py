"""Compressed bodies: unpacked, refused where they are not what they say, and never at more cost than allowed."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from mlflow_runtime.middleware.bodies import Bodies, Budget
from mlflow_runtime.middleware.content_codings import MOST_MEMBERS, RATIO, UNPACKED_AT_LEAST

LIMIT = 1 << 20


def raw_deflate(body: bytes) -> bytes:
    machine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return machine.compress(body) + machine.flush()


PACK: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the headers and the size of the body that it got, and its CRC."""
    size, crc, more = 0, 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        crc = zlib.crc32(message["body"], crc)
        more = message["more_body"]
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    body = json.dumps({"size": size, "crc": crc, "headers": headers}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


CHUNKED = {"transfer-encoding": "chunked"}


def ask(body: bytes | Iterable[bytes], *codings: str, limit: int = LIMIT) -> tuple[int, dict[str, object]]:
    """Status and JSON of the answer to a body in these codings, which comes in parts."""
    parts = list([body[at : at + 1000] for at in range(0, len(body), 1000)] if isinstance(body, bytes) else body)
    return asyncio.run(through(Bodies(app, lambda _: limit, Budget(1 << 40)), parts, *codings))


async def through(bodies: Bodies, parts: Iterable[bytes], *codings: str) -> tuple[int, dict[str, object]]:
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    messages.reverse()
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"transfer-encoding", b"chunked"), *((b"content-encoding", coding.encode()) for coding in codings)]
    scope = {"type": "http", "method": "POST", "path": "/v1/traces", "headers": headers}
    await bodies(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize(
    "codings",
    [
        ["gzip"],
        ["GZIP"],
        ["x-gzip"],
        ["deflate"],
        ["identity"],
        ["gzip, deflate"],
        ["deflate", "gzip"],
        ["gzip,identity"],
    ],
    ids=str,
)
@given(body=st.binary(max_size=5000))
def test_a_body_arrives_as_it_was_before_it_was_packed(codings: Sequence[str], body: bytes) -> None:
    packed = body
    for coding in ",".join(codings).split(","):
        packed = PACK[coding.strip().lower()](packed)
    status, found = ask(packed, *codings)
    assert (status, found["size"], found["crc"]) == (200, len(body), zlib.crc32(body))
    assert found["headers"] == {"content-length": str(len(body))}


def test_deflate_without_its_header_and_gzip_of_two_members_are_taken() -> None:
    assert ask(raw_deflate(b"x" * 100), "deflate")[1]["size"] == 100
    assert ask(gzip.compress(b"a") + gzip.compress(b"bc"), "gzip")[1]["size"] == 3


def test_a_body_without_codings_is_passed_on_as_it_is() -> None:
    status, found = ask(b"x" * LIMIT)
    assert (status, found["size"], found["headers"]) == (200, LIMIT, CHUNKED)
    assert ask(b"x" * (LIMIT + 1))[0] == 413


def zeros(mebibytes: int) -> Iterable[bytes]:
    """So many MiB of zeros as gzip, in parts."""
    machine = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    return [*(machine.compress(bytes(1 << 20)) for _ in range(mebibytes)), machine.flush()]


@pytest.mark.parametrize("codings", [["gzip"], ["deflate, gzip"], ["gzip", "gzip"]], ids=str)
def test_a_body_that_unpacks_to_too_much_is_refused_with_little_memory(codings: Sequence[str]) -> None:
    """Of several codings the last one is taken off first: what is in it is zeros, whatever the others say."""
    bomb = list(zeros(100))
    if codings == ["gzip", "gzip"]:
        bomb = [gzip.compress(b"".join(bomb))]
    tracemalloc.start()
    try:
        status, found = ask(bomb, *codings)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Zeros are no deflate: that one ends as damaged, or as too large, and in either case at once.
    assert status in ((413, 400) if codings == ["deflate, gzip"] else (413,))
    assert "MiB" in str(found["message"]) or status == 400
    assert peak < 2 * LIMIT


def test_at_its_limit_a_body_is_taken() -> None:
    assert ask(gzip.compress(bytes(LIMIT)), "gzip")[0] == 200
    status, found = ask(gzip.compress(bytes(LIMIT + 1)), "gzip")
    assert status == 413
    assert "limits.maxBodyMib" in str(found["message"])


def test_a_packed_body_above_the_limit_is_refused_too() -> None:
    assert ask([bytes(LIMIT), b"x"], "gzip")[0] == 413


EMPTY = gzip.compress(b"", mtime=0)


@pytest.mark.parametrize("times", [1, 2])
def test_members_without_anything_in_them_end_soon(times: int) -> None:
    """Each costs a machine of its own."""
    body = EMPTY * (3 * MOST_MEMBERS) + gzip.compress(b"x")
    for _ in range(times - 1):
        body = gzip.compress(body)
    status, found = ask(body, *["gzip"] * times)
    assert (status, str(MOST_MEMBERS) in str(found["message"])) == (413, True)
    assert ask(EMPTY * (MOST_MEMBERS - 1) + gzip.compress(b"x"), "gzip")[1]["size"] == 1


def test_a_large_body_that_is_much_the_same_bytes_is_refused() -> None:
    """zlib reaches 1000; a body that is worth sending stays far below RATIO."""
    status, found = ask(gzip.compress(bytes(UNPACKED_AT_LEAST + 1)), "gzip", limit=2 * UNPACKED_AT_LEAST)
    assert (status, f"{RATIO} times" in str(found["message"])) == (413, True)
    assert ask(gzip.compress(bytes(UNPACKED_AT_LEAST)), "gzip", limit=2 * UNPACKED_AT_LEAST)[0] == 200


def test_others_go_on_while_a_body_without_anything_in_it_is_unpacked() -> None:
    """One member of empty blocks, which come out as nothing: 5 bytes each (RFC 1951, section 3.2.4)."""
    blocks = zlib.compress(b"\0\0\0\xff\xff" * 200_000)  # raw deflate inside a coding that packs it well
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both() -> None:
        other = asyncio.create_task(others())
        await through(Bodies(app, lambda _: LIMIT, Budget(1 << 40)), [blocks], "deflate", "deflate")
        other.cancel()

    asyncio.run(both())
    assert turns > 10


@pytest.mark.parametrize("codings", [["br"], ["zstd"], ["gzip, br"], ["gzip", "gzip", "gzip"], ["gzip;q=1"]], ids=str)
def test_other_codings_are_refused_by_name(codings: Sequence[str]) -> None:
    status, found = ask(gzip.compress(b"x"), *codings)
    assert status == 415
    assert "expected at most 2 of deflate, gzip" in str(found["message"])


@pytest.mark.parametrize(
    "body",
    [b"no gzip", gzip.compress(b"x" * 999)[:-3], gzip.compress(b"x") + b"more"],
    ids=["another", "cut off", "continued"],
)
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_damaged_body_is_refused(body: bytes, coding: str) -> None:
    status, found = ask(body, coding)
    assert status == 400
    assert coding in str(found["message"])
