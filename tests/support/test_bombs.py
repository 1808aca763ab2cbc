"""The bombs that are made by hand are what their codings say: else they would be refused for being broken."""

from __future__ import annotations

import zlib

import pytest

from tests.support.bombs import MIB, bomb


@pytest.mark.parametrize(("coding", "window"), [("gzip", 16 + zlib.MAX_WBITS), ("deflate", zlib.MAX_WBITS)])
def test_a_bomb_unpacks_to_its_zeros(coding: str, window: int) -> None:
    machine, left, size = zlib.decompressobj(window), bomb(coding), 0
    while not machine.eof:
        part = machine.decompress(left, 1 << 20)
        assert part.count(0) == len(part)
        size, left = size + len(part), machine.unconsumed_tail
    assert (size, machine.unused_data) == (MIB << 20, b"")
