"""The template of the route that answered a request, so that metrics have as many routes as MLflow and no more."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from starlette.types import Scope

OTHER: Final = "other"

# So that who sends paths of their own invention takes no more memory than this.
_KEPT: Final = 1024
_LONGEST_KEPT: Final = 300

Template = Callable[[Scope], str]


def of_mlflow() -> Template:
    """For the application of this process: FastAPI's routes, and Flask's behind them. MLflow must be loaded."""
    from mlflow.server import app as flask_app

    return template(flask_app.url_map)


def template(url_map: Any) -> Template:
    """`url_map` is Flask's table of routes. FastAPI leaves its route in the scope of a request that it answered."""
    from werkzeug.exceptions import HTTPException
    from werkzeug.routing import RequestRedirect

    routes = url_map.bind("localhost")

    def match(method: str, path: str) -> str:
        try:
            rule, _ = routes.match(path, method=method, return_rule=True)
        except (HTTPException, RequestRedirect):
            return OTHER
        return str(rule.rule)

    kept = lru_cache(maxsize=_KEPT)(match)

    def find(scope: Scope) -> str:
        path = getattr(scope.get("route"), "path", None)
        if path:
            return str(path)
        path = scope["path"]
        return (kept if len(path) <= _LONGEST_KEPT else match)(scope["method"], path)

    return find
