"""Which route of the running application a request is for, by the application's own tables of routes.

The gate must not have an opinion of its own about paths: where it and MLflow differ, a request would be judged as one
route and served as another. So FastAPI's routes are tried in their order, with their own expressions, and then Flask's
table decides, as it does for MLflow, whose application is mounted behind them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from mlflow_runtime.middleware.access.classes import route

# So that who sends paths of their own invention takes no more memory than this.
_KEPT: Final = 4096
_LONGEST_KEPT: Final = 300

Matcher = Callable[[str, str], str | None]
"""From method and decoded path to the route's name in the table of classes, None where the application has no route."""


def of_mlflow() -> Matcher:
    """Return the matcher of this process's application. MLflow must be loaded, and patched."""
    from mlflow.server import app as flask_app
    from mlflow.server.fastapi_app import app as fastapi_app

    return matcher(fastapi_app, flask_app.url_map)


def matcher(fastapi_app: Any, url_map: Any) -> Matcher:
    """Return the matcher of an application: FastAPI's routes, and behind them Flask's `url_map`."""
    from werkzeug.exceptions import HTTPException
    from werkzeug.routing import RequestRedirect

    first = tuple(_fastapi(fastapi_app))
    flask = url_map.bind("localhost")

    def match(method: str, path: str) -> str | None:
        for methods, expression, template in first:
            if method in methods and expression.match(path):
                return route(method, template)
        # Flask answers OPTIONS by itself for every route, MLflow's check of origins before it.
        if method == "OPTIONS":
            return None
        try:
            rule, _ = flask.match(path, method=method, return_rule=True)
        except (HTTPException, RequestRedirect):
            return None
        return route(method, rule.rule)

    kept = lru_cache(maxsize=_KEPT)(match)
    return lambda method, path: (kept if len(path) <= _LONGEST_KEPT else match)(method, path)


def routes(fastapi_app: Any, url_map: Any) -> Iterator[str]:
    """Yield the name of every route that an application has."""
    for methods, _, template in _fastapi(fastapi_app):
        yield from (route(method, template) for method in methods)
    for rule in url_map.iter_rules():
        yield from (route(method, rule.rule) for method in (rule.methods or set()) - {"OPTIONS"})


def _fastapi(app: Any) -> Iterator[tuple[frozenset[str], re.Pattern[str], str]]:
    from fastapi.routing import iter_route_contexts

    for found in iter_route_contexts(app.routes):
        # Without methods: the mount of Flask's application.
        if found.methods:
            yield frozenset(found.methods), found.path_regex, str(found.path)
