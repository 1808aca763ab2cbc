"""Stacks of the product's own on an offline Azure: one that is empty, and one that its first `up` has made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from delivery.offline_azure.running import must
from tests.end_to_end.azure.living import Cloud, FirstUp, opened, steps
from tests.support.engine import copied
from tests.support.once import once

_STEPS = "previewed.json"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """An Azure with nothing in it."""
    with opened(tmp_path) as empty:
        yield empty


@pytest.fixture(scope="session")
def first_up(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], FirstUp]:
    """Returns a stack's first `up`, which runs once for all tests."""

    def of(stack: str) -> FirstUp:
        folder = once(tmp_path_factory, f"first-up-{stack}", lambda empty: _make(empty, stack))
        return FirstUp(folder, stack, json.loads((folder / _STEPS).read_text()))

    return of


@pytest.fixture
def living(tmp_path: Path, first_up: Callable[[str], FirstUp]) -> Iterator[Callable[[str], Cloud]]:
    """Returns a copy of a stack as its first `up` left it, for one test alone."""
    with ExitStack() as opening:
        yield lambda stack: opening.enter_context(opened(copied(first_up(stack).folder, tmp_path)))


def _make(folder: Path, stack: str) -> None:
    with opened(folder) as cloud:
        product = cloud.stack(stack)
        previewed = steps(product.preview("--json"))
        assert cloud.azure.calls() == []
        must(product.up())
    (folder / _STEPS).write_text(json.dumps(previewed))
