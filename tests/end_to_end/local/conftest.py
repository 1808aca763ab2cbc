"""One stack for all tests of this folder that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
