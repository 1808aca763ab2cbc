"""No route asks a database or the blob store for more than the identity of its service may."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mlflow_runtime.middleware.own_routes import COMMON
from mlflow_runtime.routes import role_of
from tests.end_to_end.fuzz import known
from tests.end_to_end.fuzz.asking import Answer, Request, ask
from tests.end_to_end.fuzz.declarations import operations
from tests.end_to_end.fuzz.generating import Known, call
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
        return to(services[owner(request)], request)

    return send


def to(service: Service, request: Request) -> Answer:
    """Sends a request to a service, whether or not the gateway would."""
    headers = {**request.headers, "Host": PUBLIC_HOST}
    return ask(f"http://127.0.0.1:{service.port}", replace(request, headers=headers))


def owner(request: Request) -> str:
    """The service that the gateway would choose."""
    return role_of(unquote(urlsplit(request.target).path))


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


def test_no_service_serves_a_route_with_the_identity_of_another(services: dict[str, Service]) -> None:
    """Each route, sent to each service past the gateway: whoever does not own it asks nothing of anybody for it."""
    begun = {role: len(service.log) for role, service in services.items()}
    statuses: dict[tuple[str, str], set[int]] = {}
    sent: set[str] = set()
    for operation in operations():

        @settings(FEW, max_examples=1)
        @given(call(operation, Known({})))
        def try_it(request: Request) -> None:
            if not request.is_http or urlsplit(request.target).path in COMMON:
                return
            sent.add(request.operation)
            for role in services.keys() - {owner(request)}:
                statuses.setdefault((owner(request), role), set()).add(to(services[role], request).status)

        try_it()
    assert len(sent) > 200
    assert statuses.keys() == {(one, other) for one in services for other in services if one != other}
    # 403: a route that no service serves.
    assert {pair: found for pair, found in statuses.items() if not {404} <= found <= {403, 404}} == {}
    beyond = {role: beyond_its_rights(service.log[begun[role] :]) for role, service in services.items()}
    assert {role: lines for role, lines in beyond.items() if lines} == {}
