"""One issue a stack for its drift: opened by the first check that finds some, edited by each, closed when clean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from delivery.drift.report import VERSION
from delivery.preview.saved import STACK
from delivery.pull_request.github import GitHub

LABEL: Final = "drift"
_FIRST: Final = re.compile(r"^First seen (?P<when>[0-9: -]{16} UTC)", re.MULTILINE)


def read(document: object) -> list[Mapping[str, Any]]:
    """The stacks of a document of `drift --json`. Raises ValueError for any other."""
    found: list[Mapping[str, Any]] = []
    for one in document if isinstance(document, list) else [document]:
        if not isinstance(one, Mapping) or one.get("version") != VERSION or not isinstance(one.get("lines"), list):
            raise ValueError(f"this is no drift of version {VERSION}.")
        if STACK.fullmatch(str(one.get("stack"))) is None:
            raise ValueError("`stack` is no stack's name.")
        found.append(one)
    return found


def marker(stack: str) -> str:
    """The issue's first line."""
    return f"<!-- mlflow-platform:drift stack={stack} -->"


def put(github: GitHub, drift: Mapping[str, Any], now: datetime) -> str:
    """Open, edit or close the issue of one stack; say in one line what was done."""
    stack = str(drift["stack"])
    found = github.open_issue(LABEL, marker(stack))
    when = f"{now:%Y-%m-%d %H:%M} UTC"
    if not drift["lines"]:
        if found is None:
            return f"{stack}: no drift"
        github.edit_issue(found.number, _body(stack, _first(found.body) or when, when, drift), close=True)
        return f"{stack}: no drift any more, issue {found.number} is closed"
    if found is None:
        number = github.create_issue(str(drift["title"]), LABEL, _body(stack, when, when, drift))
        return f"{stack}: issue {number} is open"
    github.edit_issue(found.number, _body(stack, _first(found.body) or when, when, drift))
    return f"{stack}: issue {found.number} is edited"


def _first(body: str) -> str:
    found = _FIRST.search(body)
    return found["when"] if found else ""


def _body(stack: str, first: str, last: str, drift: Mapping[str, Any]) -> str:
    return f"{marker(stack)}\nFirst seen {first}, last checked {last}.\n\n{drift['issue']}"
