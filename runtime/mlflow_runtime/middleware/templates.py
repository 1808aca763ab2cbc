"""The template of the route that answered a request, so that metrics have as many routes as MLflow and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from starlette.types import Scope

OTHER: Final = "other"

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

    def find(scope: Scope) -> str:
        path = getattr(scope.get("route"), "path", None)
        if path:
            return str(path)
        try:
            rule, _ = routes.match(scope["path"], method=scope["method"], return_rule=True)
        except (HTTPException, RequestRedirect):
            return OTHER
        return str(rule.rule)

    return find
