"""What a service takes for a request, byte by byte: httptools and uvicorn leave ends and refusals to their users."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from mlflow_runtime.service import http_protocol
from mlflow_runtime.service.http_protocol import MAX_HEAD_BYTES, MOST_AHEAD, Protocol

POST = b"POST /a HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
PART = b"x" * 65536


class Wire(asyncio.Transport):
    """A connection in memory: what the server wrote and in which pieces, and until the client left: whether it `stayed`
    open for more of that, and whether it `took` what the client sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.closed = self.ended = False
        self.stayed = self.took = False

    @property
    def written(self) -> bytes:
        return b"".join(self.pieces)

    def write(self, data: Any) -> None:
        if not self.closed and not self.ended:
            self.pieces.append(bytes(data))

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """There is nothing to hold back."""

    def resume_reading(self) -> None:
        """There is nothing to hold back."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path, the body, and the headers as they are when the body is there."""
    await asyncio.sleep(0)
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    names = b",".join(sorted(name for name, _ in scope["headers"]))
    answer = b"%s %d [%s];" % (scope["path"].encode(), len(body), names)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


def talk(parts: Sequence[bytes], *, to: Any = app, turns: int = 3) -> Wire:
    """Send these parts one after the other, with turns of the loop between them, as long as the connection is open."""
    wire = Wire()

    async def send() -> None:
        config = uvicorn.Config(to, http=Protocol, ws="none", lifespan="off", log_config=None)
        protocol = Protocol(config, ServerState(), {}, asyncio.get_running_loop())
        protocol.connection_made(wire)
        for part in parts:
            if wire.closed:
                break
            protocol.data_received(part)
            for _ in range(turns):
                await asyncio.sleep(0)
        for _ in range(8 * MOST_AHEAD):
            await asyncio.sleep(0)
        wire.took = not wire.closed
        wire.stayed = wire.took and not wire.ended
        protocol.connection_lost(None)
        for _ in range(3):
            await asyncio.sleep(0)

    asyncio.run(send())
    return wire


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"],
        [bytes([each]) for each in b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"],
    ],
    ids=["whole", "byte by byte"],
)
def test_a_request_is_answered(parts: Sequence[bytes]) -> None:
    wire = talk(parts)
    assert wire.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.written.endswith(b"\r\n\r\n/a 0 [host];")
    assert wire.stayed


async def slow(scope: Any, receive: Any, send: Any) -> None:
    """Answer with a head, and later with two pieces of a body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    for piece in (b"ab", b"cd"):
        for _ in range(3):
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": piece, "more_body": piece == b"ab"})


def test_a_head_waits_for_nothing_and_goes_with_a_body_that_is_there() -> None:
    ask = b"%s /a HTTP/1.1\r\nHost: h\r\n\r\n"
    one, two = talk([ask % b"GET", ask % b"GET"]).pieces
    assert one == two
    assert one.endswith(b"\r\n\r\n/a 0 [host];")
    head, *body = talk([ask % b"GET"], to=slow).pieces
    assert (head[-4:], body) == (b"\r\n\r\n", [b"ab", b"cd"])
    (head,) = talk([ask % b"HEAD"]).pieces
    assert head.endswith(b"content-length: 12\r\n\r\n")
    expecting = POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    first, answer = talk([expecting, b"{}"]).pieces
    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.endswith(b"/a 2 [content-length,expect,host];")
    (answer,) = talk([ask.replace(b"Host", b"Connection: close\r\nHost") % b"GET"]).pieces
    assert answer.endswith(b"[connection,host];")


async def fails(_scope: Any, _receive: Any, send: Any) -> None:
    """Begin to answer, and fail."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    raise ValueError


async def begins(_scope: Any, receive: Any, send: Any) -> None:
    """Begin to answer once a part of the body is there, and wait for the rest."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await receive()


def test_a_head_is_sent_whatever_becomes_of_its_answer() -> None:
    wire = talk([b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"], to=fails)
    assert (wire.written.endswith(b"content-length: 4\r\n\r\n"), wire.stayed) == (True, False)
    part, refused = CHUNKED + b"2\r\n{}\r\n", b"x\r\n"
    for turns in range(5):
        wire = talk([part, refused], to=begins, turns=turns)
        assert wire.written.count(b"HTTP/1.1") == 1
        assert wire.written.startswith(b"HTTP/1.1 200 " if turns else b"HTTP/1.1 400 ")
        assert not wire.stayed


def test_nothing_overtakes_a_head_without_a_body() -> None:
    ask = b"HEAD /a HTTP/1.1\r\nHost: h\r\n"
    (head,) = talk([ask + b"Connection: close\r\n\r\n"]).pieces
    assert head.endswith(b"\r\n\r\n")
    for turns in range(6):
        first, *refused = talk([ask + b"\r\n", b"\x00"], turns=turns).pieces
        assert first.startswith(b"HTTP/1.1 200 ")
        assert all(each.startswith(b"HTTP/1.1 400 ") for each in refused)


def test_a_target_is_divided_and_nothing_else() -> None:
    for sent, path in (
        (b"/a%2Fb?c?d#e", b"/a/b"),
        (b"http://elsewhere/a", b"http://elsewhere/a"),
        (b"//a", b"//a"),
        (b"/" + PART, b"/" + PART),
    ):
        assert talk([b"GET " + sent + b" HTTP/1.1\r\nHost: h\r\n\r\n"]).written.endswith(path + b" 0 [host];")


def test_a_body_that_comes_slowly_may_be_longer_than_a_head() -> None:
    size = 2 * MAX_HEAD_BYTES
    parts = [POST + b"Content-Length: %d\r\n\r\n" % size, *[PART] * (size // len(PART))]
    assert talk(parts).written.endswith(b"/a %d [content-length,host];" % size)
    chunked = [CHUNKED, *[b"10000\r\n" + PART + b"\r\n"] * (size // len(PART)), b"0\r\n\r\n"]
    assert talk(chunked).written.endswith(b"/a %d [host,transfer-encoding];" % size)


@pytest.mark.parametrize(
    "begin",
    [b"GET /", b"GET / HTTP/1.1\r\nX: ", CHUNKED + b"1;", CHUNKED + b"0\r\nX: "],
    ids=["target", "header", "extension of a chunk", "trailer"],
)
def test_what_has_no_end_is_refused(begin: bytes) -> None:
    wire = talk([begin, *[PART] * (MAX_HEAD_BYTES // len(PART) + 2)])
    assert wire.written.startswith(b"HTTP/1.1 400 ")
    assert not wire.stayed


@pytest.mark.parametrize("linger", [60, 0])
def test_a_client_that_still_sends_reads_its_refusal(linger: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed connection would be reset by what comes behind, and the refusal be lost with it."""
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", linger)
    wire = talk([b"get /a HTTP/1.1\r\nAccept: ", PART, b"\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n"])
    assert wire.written.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert wire.written.count(b"HTTP/1.1") == 1
    assert not wire.stayed
    assert wire.took == (linger > 0)


def test_trailers_are_no_headers() -> None:
    """The application decides by headers who may do what, and reads them again when the body is there."""
    for trailers in (
        [b"0\r\nAuthorization: a\r\nX-MLFLOW-WORKSPACE: b\r\n\r\n"],
        [b"0\r\nAuth", b"orization: a\r\n\r\n"],
    ):
        wire = talk([CHUNKED + b"2\r\n{}\r\n", *trailers])
        assert wire.written.endswith(b"/a 2 [host,transfer-encoding];")


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 2x\r\n\r\n{}",
        POST + b"Content-Length: 99999999999999999999\r\n\r\n{}",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        POST + b"X : a\r\n\r\n",
        POST + b" folded\r\n\r\n",
        POST + b"X: \x00\r\n\r\n",
        POST + b"X\x00: a\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: h\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        b"GET / HTTP/0.9\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01",
        POST + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}",
        POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(request_: bytes) -> None:
    wire = talk([request_])
    assert wire.written.startswith(b"HTTP/1.1 400 ")
    assert wire.written.count(b"HTTP/1.1") == 1
    assert not wire.stayed


def test_requests_that_come_together_are_answered_in_order_and_not_without_end() -> None:
    ask = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"
    few = talk([b"".join(ask % number for number in range(MOST_AHEAD))])
    found = [int(each.split(b" ")[0]) for each in few.written.split(b"\r\n\r\n/")[1:]]
    assert (found, few.stayed) == (list(range(MOST_AHEAD)), True)
    many = talk([b"".join(ask % number for number in range(1000))])
    assert answered_alone(many, b"/0 0 [host];")


def answered_alone(wire: Wire, answer: bytes) -> bool:
    """Whether this is the only answer, which says that the connection ends."""
    head, _, body = wire.written.partition(b"\r\n\r\n")
    return head.startswith(b"HTTP/1.1 200 ") and b"connection: close" in head and body == answer and not wire.stayed


@pytest.mark.parametrize(
    "behind",
    [b"\x00", b"GET / HTTP/2.0\r\n\r\n", b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n\x00"],
    ids=["a byte", "a version", "a request and a byte"],
)
def test_what_was_carried_out_has_its_own_answer_whatever_comes_behind(behind: bytes) -> None:
    """A client takes 400 for its request's answer, and creates again what was created."""
    create, answer = POST + b"Content-Length: 2\r\n\r\n{}", b"/a 2 [content-length,host];"
    assert answered_alone(talk([create + behind]), answer)
    assert answered_alone(talk([create, behind], turns=0), answer)
    assert answered_alone(talk([create, b"GET /", b"x" * MAX_HEAD_BYTES], turns=0), answer)


def test_a_body_that_is_refused_is_the_only_answer() -> None:
    wire = talk([CHUNKED + b"2\r\n{}\r\n", b"x\r\n"])
    assert wire.written.startswith(b"HTTP/1.1 400 ")
    assert wire.written.count(b"HTTP/1.1") == 1


def test_the_request_that_is_answered_learns_that_its_client_left() -> None:
    """Not the one that waits behind it, which is not carried out."""
    seen: list[str] = []

    async def waits(scope: Any, receive: Any, _send: Any) -> None:
        seen.append(scope["path"])
        await receive()
        seen.append((await receive())["type"])

    talk([b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"], to=waits)
    assert seen == ["/a", "http.disconnect"]


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
def test_another_protocol_may_be_asked_for_and_is_not_spoken(protocol: bytes) -> None:
    ask = b"GET /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol + b"\r\n\r\n"
    for parts in ([ask], [ask + b"\x00\x01"], [ask, b"GET /b HTTP/1.1\r\n\r\n"]):
        assert answered_alone(talk(parts), b"/a 0 [connection,upgrade];")


def test_a_client_that_waits_for_100_gets_it() -> None:
    wire = talk([POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", b"{}"])
    assert wire.written.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
