"""Files that a handler hands over instead of sending them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from mlflow_runtime.middleware.file_answers import FileAnswers, hand_over


async def of_store(request: Request, headers: Mapping[str, str]) -> Response:
    return PlainTextResponse(f"{request.method} from the store", headers={"X-Kept": headers["x-kept"]})


def ask(status: int) -> tuple[int, dict[bytes, bytes], bytes]:
    """The answer where the handler hands over and then returns a response with this status."""

    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(hand_over, of_store)
        await PlainTextResponse("of the handler", status, {"X-Kept": "yes"})(scope, receive, send)

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(FileAnswers(handler)(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


def test_what_was_handed_over_is_the_answer_with_the_handlers_headers() -> None:
    status, headers, body = ask(200)
    assert (status, body) == (200, b"GET from the store")
    assert headers[b"x-kept"] == b"yes"
    assert headers[b"content-length"] == b"18"


def test_a_handler_that_fails_afterwards_answers_with_its_error() -> None:
    assert ask(500)[::2] == (500, b"of the handler")


def test_outside_of_a_request_nothing_can_be_handed_over() -> None:
    with pytest.raises(LookupError):
        hand_over(of_store)
