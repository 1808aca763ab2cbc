"""The answers of Azure that are errors."""

from __future__ import annotations


class RefusedError(Exception):
    """Azure's answer to a request that it refuses. `code` is Azure's own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f'Status={status} Code="{code}" Message="{message}"')
        self.status, self.code, self.message = status, code, message


class HalfDoneError(Exception):
    """The resource exists, and its provisioning failed."""
