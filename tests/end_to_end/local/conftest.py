"""One stack for all tests of this folder that leave it as they found it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from delivery.local.configuration import REPOSITORY
from delivery.smoke import cleaning
from delivery.smoke.bench import Bench
from tests.support.local_stack import RunningStack, eventually


@pytest.fixture(scope="package")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Up while this folder's tests run; its tokens live a minute, so that every test here spans their expiry."""
    stack = RunningStack.configured(tmp_path_factory.mktemp("stack"), tokenSeconds=60)
    try:
        stack.up()
        yield stack
    finally:
        removed = stack.run("destroy", "--yes")
    assert removed.returncode == 0, removed.stdout + removed.stderr


@pytest.fixture
def stack(shared_stack: RunningStack) -> Iterator[RunningStack]:
    """The shared stack, healthy before and after the test."""
    eventually(shared_stack.healthy, what="the stack's health before the test")
    yield shared_stack
    eventually(shared_stack.healthy, what="the stack's health after the test")


@pytest.fixture(scope="package")
def made(shared_stack: RunningStack) -> Iterator[dict[str, Any]]:
    """Names and ids of what a whole run of the smoke program made on the shared stack; removed in the end."""
    eventually(shared_stack.healthy, what="the stack's health before the smoke program")
    created = shared_stack.smoke("--keep")["created"]
    yield created
    with mock.patch.dict(os.environ):
        identity = created["experiment_name"].removeprefix("smoke-")
        bench = Bench(url=shared_stack.url, identity=identity, scratch=REPOSITORY, large_mib=1)
        assert cleaning.clean(bench) == []
