"""A server that answers as Azure Resource Manager does, and a clock without waiting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.azure.arm import Arm
from tests.support.json_server import Answer, JsonServer, Request

NOT_FOUND: Answer = (404, {"error": {"code": "ResourceNotFound", "message": "none"}}, {})


class ArmServer(JsonServer):
    """What it has is in `answers`, by path; a subclass has its own `answer`.

    `refusals` (method, status, headers) come before any other answer. `bodies` are those of each POST.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[tuple[str, int, dict[str, str]]] = []
        self.bodies: list[Any] = []
        self.answers: dict[str, Mapping[str, Any]] = {}

    def answer(self, method: str, path: str) -> Answer | None:
        return (200, self.answers[path], {}) if method == "GET" and path in self.answers else NOT_FOUND

    def respond(self, request: Request) -> Answer | None:
        assert request.headers["Authorization"] == "Bearer token"
        assert "api-version" in request.query
        if request.method == "POST":
            self.bodies.append(request.body or {})
        if self.refusals and self.refusals[0][0] == request.method:
            _, status, headers = self.refusals.pop(0)
            return status, {"error": {"code": f"E{status}", "message": "not now"}}, headers
        return self.answer(request.method, request.path)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def client_of(server: ArmServer, clock: Clock, **changes: Any) -> Arm:
    values: dict[str, Any] = {
        "api_version": "2025-01-01",
        "token": lambda _: "token",
        "clock": lambda: clock.now,
        "sleep": clock.sleep,
    }
    return Arm(endpoint=server.url, **(values | changes))
