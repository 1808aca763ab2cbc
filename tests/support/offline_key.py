"""The offline key of stacks' secrets for tests that serve no management API: the engine makes none of a passphrase."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache

from delivery.offline_azure import stacks_key
from tests.support.json_server import Answer, JsonServer, Request

PROVIDER = stacks_key.PROVIDER


class _Key(JsonServer):
    def respond(self, request: Request) -> Answer:
        status, body = stacks_key.answer(request.path, request.body, request.headers.get("X-Vault-Token"))
        return status, body, {}


@cache
def environment() -> Mapping[str, str]:
    """Return the variables by which the engine finds the key, which is served until this process ends."""
    server = _Key()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return stacks_key.environment(server.url)
