"""The answers of Azure that are no success."""

from __future__ import annotations


class RefusedError(Exception):
    """Azure's answer to a request that it does not carry out. `code` is Azure's own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f'Status={status} Code="{code}" Message="{message}"')
        self.status, self.code, self.message = status, code, message


class HalfDoneError(Exception):
    """The resource is there and its provisioning failed."""
