"""The order in which a request passes the middleware of a service, seen by what it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio.to_thread
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from mlflow_runtime.middleware.draining import Drain, Draining
from mlflow_runtime.middleware.health_routes import HealthRoutes
from mlflow_runtime.middleware.load_shedding import Shedding
from mlflow_runtime.middleware.observed import Observed
from mlflow_runtime.middleware.own_routes import OnlyOwnRoutes
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service.application import Layer, middleware, wrapped
from mlflow_runtime.service.health import Readiness
from mlflow_runtime.service.settings import Settings, read
from tests.support.asgi import ask, scope
from tests.support.role_environment import whole

OWN = "/api/2.0/mlflow/registered-models/get"
FOREIGN = "/api/2.0/mlflow/runs/get"
REGISTRY = read(ServiceRole.REGISTRY, whole("registry"))
# Has no room for any request.
FULL = replace(REGISTRY, max_in_flight=0)


def layers(found: Settings, drain: Drain | None = None) -> Sequence[Layer]:
    return middleware(found, drain or Drain(), Readiness([]), lambda _: "/template", lambda *_: None)


def begun() -> Drain:
    drain = Drain()
    drain.begin()
    return drain


Order = Callable[[Sequence[Layer]], Sequence[Layer]]


def as_listed(found: Sequence[Layer]) -> Sequence[Layer]:
    return found


def behind(moved: type, other: type) -> Order:
    """Return the order in which one middleware comes directly behind another one."""

    def order(found: Sequence[Layer]) -> Sequence[Layer]:
        rest = [layer for layer in found if layer is not named(found, moved)]
        place = rest.index(named(found, other)) + 1
        return [*rest[:place], named(found, moved), *rest[place:]]

    return order


def without(gone: type) -> Order:
    return lambda found: [layer for layer in found if layer is not named(found, gone)]


def named(found: Sequence[Layer], kind: type) -> Layer:
    (layer,) = [layer for layer in found if isinstance(layer(PlainTextResponse("inner")), kind)]
    return layer


def wrong(order: Order) -> set[str]:
    """Ask services whose middleware is in this order, and return what each wrong answer says about the order."""
    reached: list[str] = []

    async def mlflow(asked: Scope, receive: Receive, send: Send) -> None:
        reached.append(asked["path"])
        await PlainTextResponse("mlflow")(asked, receive, send)

    async def answer(path: str, found: Settings, drain: Drain | None = None) -> tuple[int, dict[str, str]]:
        status, headers, _ = await ask(wrapped(mlflow, order(layers(found, drain))), scope(path))
        return status, headers

    async def look() -> set[str]:
        found = {
            "a drain ends the connection of every answer": "connection"
            in (await answer("/metrics", REGISTRY, begun()))[1],
            "a refused request has an id": "x-request-id" in (await answer(OWN, FULL))[1],
            "a full service does not even look at routes": (await answer(FOREIGN, FULL))[0] == 503,
            "probes belong to no role": (await answer("/live", REGISTRY))[0] == 200,
            "a full service answers probes": (await answer("/live", FULL))[0] == 200,
            "routes of others are refused": (await answer(FOREIGN, REGISTRY))[0] == 404,
        }
        before = list(reached)
        found["own routes reach MLflow, and no other"] = (await answer(OWN, REGISTRY))[0] == 200 and reached == [
            *before,
            OWN,
        ] == [OWN]
        return {words for words, right in found.items() if not right}

    return asyncio.run(look())


def test_a_request_passes_the_middleware_in_the_order_of_the_list() -> None:
    assert wrong(as_listed) == set()


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (behind(Draining, Observed), "a drain ends the connection of every answer"),
        (behind(Observed, Shedding), "a refused request has an id"),
        (behind(Shedding, OnlyOwnRoutes), "a full service does not even look at routes"),
        (behind(HealthRoutes, OnlyOwnRoutes), "probes belong to no role"),
        (without(OnlyOwnRoutes), "routes of others are refused"),
    ],
)
def test_another_order_is_noticed(order: Order, words: str) -> None:
    assert words in wrong(order)


@pytest.mark.parametrize(("role", "threads"), [("registry", 40), ("artifacts", 5)])
def test_only_a_service_with_databases_bounds_its_threads(role: str, threads: int) -> None:
    reached: list[str] = []

    async def mlflow(asked: Scope, _receive: Receive, _send: Send) -> None:
        reached.append(asked["type"])

    async def nothing() -> Message:
        raise AssertionError("nobody asks")

    async def start() -> float:
        limiter = anyio.to_thread.current_default_thread_limiter()
        limiter.total_tokens = 5
        app = wrapped(mlflow, layers(read(ServiceRole(role), whole(role))))
        await app({"type": "lifespan"}, nothing, lambda _: asyncio.sleep(0))
        return limiter.total_tokens

    assert asyncio.run(start()) == threads
    assert reached == ["lifespan"]
