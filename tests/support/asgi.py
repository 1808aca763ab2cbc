"""One request to an ASGI application in this process."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Scope


def scope(path: str = "/a", method: str = "GET", headers: list[tuple[bytes, bytes]] | None = None) -> Scope:
    """Return the scope of a request."""
    sent = {
        "path": path,
        "raw_path": path.encode(errors="surrogateescape"),
        "query_string": b"",
        "headers": headers or [],
    }
    return {"type": "http", "method": method, **sent}


async def ask(app: ASGIApp, asked: Scope) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the answer to a request without a body."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(asked, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent)
