"""No route asks a database or the blob store for more than the identity of its service may."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mlflow_runtime.routes import role_of
from tests.end_to_end.fuzz import known
from tests.end_to_end.fuzz.asking import Answer, Request, ask
from tests.end_to_end.fuzz.declarations import operations
from tests.end_to_end.fuzz.generating import call
from tests.end_to_end.fuzz.judging import misshapen
from tests.support.services import PUBLIC_HOST, Service

EXAMPLES = 3
FEW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def to_its_owner(services: dict[str, Service]) -> Callable[[str, Request], Answer]:
    """Sends a request to the service that the gateway would choose."""

    def send(_url: str, request: Request) -> Answer:
        service = services[role_of(unquote(urlsplit(request.target).path))]
        headers = {**request.headers, "Host": PUBLIC_HOST}
        return ask(f"http://127.0.0.1:{service.port}", replace(request, headers=headers))

    return send


def beyond_its_rights(text: str) -> list[str]:
    """The lines of a log that tell of a right that a service lacks."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [
        str(line["message"])
        for line in lines
        if "permission denied" in str(line.get("message", "")).lower()
        or line["logger"] == "mlflow_runtime.azure.refusals"
    ]


def test_every_route_keeps_to_the_rights_of_its_service(
    services: dict[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    send = to_its_owner(services)
    monkeypatch.setattr(known, "ask", send)
    begun = {role: len(service.log) for role, service in services.items()}
    things = known.make("")
    reached: set[str] = set()
    problems: list[str] = []
    for operation in operations():

        @FEW
        @given(call(operation, things))
        def try_it(request: Request) -> None:
            answer = send("", request)
            reached.add(request.operation)
            if request.is_http and (said := misshapen(answer)) is not None:
                problems.append(f"{request}: {said}")

        try_it()
    assert len(reached) > 200
    assert problems == []
    beyond = {role: beyond_its_rights(service.log[begun[role] :]) for role, service in services.items()}
    assert {role: lines for role, lines in beyond.items() if lines} == {}
