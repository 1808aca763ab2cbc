"""How the token endpoint refuses."""

from __future__ import annotations


class GrantRefused(Exception):  # noqa: N818
    """A request that gets no token: Entra's number, OAuth's error and the text."""

    def __init__(self, number: int, error: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.number = number
        self.error = error
        self.status = status
