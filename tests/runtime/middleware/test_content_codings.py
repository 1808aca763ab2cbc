"""Compressed bodies: unpacked, refused where they are not what they say, and never larger in memory than allowed."""

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

from mlflow_runtime.middleware.content_codings import ContentCodings

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


def ask(body: bytes | Iterable[bytes], *codings: str) -> tuple[int, dict[str, object]]:
    """Status and JSON of the answer to a body in these codings, which comes in parts."""
    parts = list([body[at : at + 1000] for at in range(0, len(body), 1000)] if isinstance(body, bytes) else body)
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-encoding", coding.encode()) for coding in codings]
    scope = {"type": "http", "method": "POST", "path": "/v1/traces", "headers": headers}
    asyncio.run(ContentCodings(app, LIMIT)(scope, receive, send))
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
    status, found = ask(b"x" * (LIMIT + 1))
    assert (status, found["size"], found["headers"]) == (200, LIMIT + 1, {})


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
