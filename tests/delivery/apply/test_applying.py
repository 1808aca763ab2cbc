"""An approved plan is applied, and no other: by the real engine on one small stack that was brought up once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from delivery.outcome import ExitCode
from tests.delivery.apply.stack import Stack, made
from tests.delivery.offline_azure import stub_repository


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("apply")
    with made(folder, stub_repository.written(folder)) as stack:
        planned = stack.preview()
        done = stack.up(planned.plan)
        assert done.code == ExitCode.DONE, done
        assert done.document["result"] == "applied"
        yield stack


def test_a_setting_that_changed_since_the_approval_stops_it(stack: Stack) -> None:
    stack.configure(tags={"owner": "research"})
    approved = stack.preview()
    stack.configure(tags={"owner": "research", "tier": "two"})
    before = stack.writes
    refused = stack.up(str(stack.saved(approved)))
    assert refused.code == ExitCode.FAILED
    assert refused.document["differences"] == [
        "changed: group tags.owner: platform → research, now tags.owner: platform → research; tags.tier: one → two"
    ]
    assert stack.writes == before
