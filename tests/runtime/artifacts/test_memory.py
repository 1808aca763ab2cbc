"""How many blocks there are, and that no more are in use."""

from __future__ import annotations

import contextlib

import anyio
import pytest

from mlflow_runtime.artifacts import memory
from mlflow_runtime.artifacts.memory import (
    DOWNLOAD_BLOCK,
    LEAST_MIB,
    MIB,
    RESERVED_MIB,
    TRANSFERS_A_BLOCK,
    UPLOAD_BLOCK,
    Blocks,
    Memory,
)


@pytest.mark.parametrize(("mib", "up", "down"), [(512, 16, 32), (1024, 48, 96), (2048, 112, 224)])
def test_a_larger_replica_has_more_blocks(mib: int, up: int, down: int) -> None:
    memory = Memory.of(mib)
    assert (memory.uploads.limit, memory.downloads.limit) == (up, down)
    twice = 2 * (up * UPLOAD_BLOCK + down * DOWNLOAD_BLOCK)
    assert twice + RESERVED_MIB * MIB <= mib * MIB


def test_a_replica_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match=f"{LEAST_MIB - 1} MiB is too little .* at least {LEAST_MIB}"):
        Memory.of(LEAST_MIB - 1)


def test_who_finds_none_free_waits_for_one() -> None:
    async def use() -> tuple[int, int]:
        blocks, done = Blocks("up", 3), 0

        async def one() -> None:
            nonlocal done
            async with blocks.one():
                await anyio.sleep(0.001)
                done += 1

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
        return blocks.most, done

    assert anyio.run(use) == (3, 20)


def test_a_block_is_free_again_after_a_failure() -> None:
    async def fail(blocks: Blocks) -> None:
        async with blocks.one():
            raise OSError("broken")

    async def use() -> None:
        blocks = Blocks("up", 1)
        for _ in range(2):
            with pytest.raises(OSError, match="broken"):
                await fail(blocks)
        async with blocks.one():
            assert blocks.most == 1

    anyio.run(use)


def test_more_transfers_than_there_is_memory_for_are_refused() -> None:
    async def use() -> None:
        blocks = Blocks("down", 1)
        with contextlib.ExitStack() as under_way:
            for _ in range(TRANSFERS_A_BLOCK):
                assert blocks.refusal() is None
                under_way.enter_context(blocks.transfer())
            refusal = blocks.refusal()
            assert refusal is not None
            assert (refusal.status, refusal.code) == (503, "TEMPORARILY_UNAVAILABLE")
            assert f"has {TRANSFERS_A_BLOCK} artifacts on their way down" in refusal.message
        assert blocks.refusal() is None

    anyio.run(use)


def test_a_block_that_is_held_is_lost_when_another_waits_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "TAKE_SECONDS", 0.01)

    async def use() -> None:
        blocks = Blocks("down", 1)
        async with blocks.one() as lent:
            lent.content = b"content"
            with blocks.kept_until_wanted(lent):
                await anyio.sleep(0.1)
                assert lent.content == b"content"
                assert not blocks.wanted
                with anyio.fail_after(5):
                    async with blocks.one():
                        assert lent.content == b""
                        assert blocks.most == 1
        # It was given back once.
        with anyio.fail_after(5):
            async with blocks.one():
                assert blocks.most == 1

    anyio.run(use)
