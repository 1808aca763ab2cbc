"""One request as it goes over the wire, and its answer."""

from __future__ import annotations

import gzip
import http.client
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

PATIENCE_SECONDS: Final = 30.0
_SILENCE: Final = b"no answer in"
_REFUSALS: Final = (b"requests at once and has as many", b"has no replica that is ready")


@dataclass(frozen=True, kw_only=True)
class Request:
    """`operation` is the route as it is reported, `target` the path with the query, in ASCII.

    `is_http` is False for what breaks the rules of HTTP itself: a server's HTTP part refuses that before anything of
    the gateway's or MLflow's sees it, and may do so without an id and with 501.
    """

    operation: str
    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    is_http: bool = True

    @property
    def unpacked(self) -> Request:
        """The request as the platform hands it to MLflow, which unpacks bodies of spans alone by itself."""
        if self.body is None or self.headers.get("Content-Encoding") != "gzip":
            return self
        try:
            body = gzip.decompress(self.body)
        except (OSError, EOFError, zlib.error):
            return self
        return replace(self, body=body, headers={k: v for k, v in self.headers.items() if k != "Content-Encoding"})

    def __str__(self) -> str:
        sent = b"" if self.body is None else self.body
        text = sent.decode("utf-8", "backslashreplace")
        shown = text if len(text) <= 300 else f"{text[:200]}... ({len(sent)} bytes)"
        target = self.target if len(self.target) <= 300 else f"{self.target[:200]}... ({len(self.target)} characters)"
        # A content type is to be expected; any other one says something.
        unusual = {name: value for name, value in self.headers.items() if value != "application/json"}
        return " ".join(filter(None, (self.method, target, shown, str(unusual) if unusual else "")))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back. Status 0: nothing did, and `body` says why."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def failed(self) -> bool:
        """Whether the server is at fault: a 5xx or silence. A 503 of a limit or of a gateway is a refusal."""
        refused = self.status == 503 and any(words in self.body for words in _REFUSALS)
        return self.status == 0 or (self.status >= 500 and not refused)

    @property
    def silent(self) -> bool:
        """Whether nothing came in time, and the connection was not closed either."""
        return self.status == 0 and self.body.startswith(_SILENCE)

    @property
    def cause(self) -> str:
        """The failure in one line without what differs from one to the next, so that equal ones can be counted."""
        text = self.body.decode("utf-8", "backslashreplace")
        if self.status == 0:
            return text
        kind = re.search(r"\(?(psycopg2\.errors\.\w+|builtins\.\w+|sqlalchemy\.exc\.\w+)\)?\s*([^\\\n\"]*)", text)
        message = re.search(r'"message":\s*"((?:[^"\\]|\\.)*)', text)
        said = " ".join(kind.groups()) if kind else message[1] if message else re.sub(r"<[^>]*>", " ", text)
        plain = re.sub(r"[0-9a-f]{8,}|\d+|'[^']*'", "...", " ".join(said.split()))
        return f"{self.status} {plain[:140]}".strip()


class _Connection(http.client.HTTPConnection):
    """Sends the target as it is given: the servers are to refuse it, not the client."""

    def _validate_path(self, url: str) -> None:
        pass


def ask(url: str, request: Request, seconds: float = PATIENCE_SECONDS) -> Answer:
    """Send it to the server at `url` on a connection of its own. Waits `seconds` for each part of the answer."""
    address = urlsplit(url)
    connection = _Connection(address.hostname or "", address.port, timeout=seconds)
    try:
        connection.request(request.method, request.target, body=request.body, headers=dict(request.headers))
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(status=answer.status, headers=headers, body=answer.read())
    except TimeoutError:
        return Answer(status=0, body=_SILENCE + f" {seconds:g} s".encode())
    except (OSError, http.client.HTTPException) as error:
        return Answer(status=0, body=f"no answer: {type(error).__name__}".encode())
    finally:
        connection.close()
