"""What is plain in a request: JSON's own types, the fields' own names, nothing unknown.

Each function raises NotPlain for anything else, which is MLflow's to judge.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

INT64: Final = range(-(1 << 63), 1 << 63)

# As `create_page_token` of MLflow writes it.
_TOKEN: Final = re.compile(rb'\{"offset": ([1-9][0-9]{0,8})\}')


class NotPlain(Exception):  # noqa: N818 - it names what was found
    """The request is not in its plain form, or not one that MLflow would take."""


def only(given: Any, fields: frozenset[str]) -> Mapping[str, Any]:
    """Return an object that has no other fields than these."""
    if type(given) is not dict or not given.keys() <= fields:
        raise NotPlain
    return given


def text(given: Mapping[str, Any], name: str) -> str:
    """Return a text that is not empty."""
    value = string(given, name)
    if not value:
        raise NotPlain
    return value


def string(given: Mapping[str, Any], name: str) -> str:
    """Return a text that may be empty, as it is where it is missing. Raises ValueError for half a character.

    PostgreSQL stores no NUL, which would be found out after a batch's first statement.
    """
    value = given.get(name, "")
    if type(value) is not str or "\0" in value:
        raise NotPlain
    value.encode()
    return value


def listed(given: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list, which is empty where it is missing."""
    value = given.get(name, [])
    if type(value) is not list:
        raise NotPlain
    return value


def integer(value: Any) -> int:
    """Return a whole number of 64 bits."""
    if type(value) is not int or value not in INT64:
        raise NotPlain
    return value


def offset(token: str) -> int:
    """Return where the page of a token begins; 0 for an empty one. Raises ValueError for what is no base64."""
    if not token:
        return 0
    found = _TOKEN.fullmatch(base64.b64decode(token, validate=True))
    if found is None:
        raise NotPlain
    return int(found[1])


def rows(columns: Iterator[Sequence[Any]], width: int) -> Sequence[tuple[Any, ...]]:
    """Return rows that came as so many columns."""
    return list(zip(*itertools.islice(columns, width), strict=True))
