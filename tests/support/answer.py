"""What a client gets from a service or from the gateway."""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.message import Message
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, errors included. `body` is that of a JSON answer, `content` the bytes of any."""

    status: int
    headers: Message
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)
