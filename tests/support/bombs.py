"""600 MiB of zeros, packed in each coding of content, also in two: at most some hundred kilobytes on the way."""

from __future__ import annotations

import base64
import functools
import gzip
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final

MIB: Final = 600
_ONE_MIB: Final = bytes(1 << 20)
# A step of zlib's and a block of zstd's.
_BLOCK: Final = 128 << 10

# `brotliCompressSync(Buffer.alloc(600 << 20))` of Node.js, quality 9, window 2^24: Python has no Brotli.
_BROTLI: Final = (
    "z///fwAkAOKxQHLv//n//w+ABEAcFoDu/T////8BkACIwwLQvf/n//8/ABIAcVgAuvf//P//B0ACIA4LQPf+n////wBIAMRhAeje//P//x8A"
    "CYA4LADd+3/+//8DIAEQhwWge//P//9/ACQA4rAAdO//+f//D4AEQBwWgO79P////wGQAIjDAtC9/+f//z8AEgBxWAC69//8//8HQAIgDgtA"
    "9/6f////AEgAxGEB6N7/8///HwAJgDgsAN37f/7//wMgARCHBaB7/8///38AJADisAB07//5//8PgARAHBaA7v0/////AZAAiMMC0L3/5///"
    "PwASAHFYALr3//z//wdAAiAOC0D3/p////8ASADEYQHo3v/z//8fAAmAOCwA3ft//v//AyABEIcFoHv/z///fwAkAOKwAHTv//n//w+ABEAc"
    "FoDu/T////8BkACIwwLQvf/n//8/ABIAcVgAuvf//P//B0ACIA4LQPf+n////wBIAMRhAeje//P//x8ACYA4LADd+3/+//8DIAEQhwWge//P"
    "//9/ACQA4rAAdO//+f//D4AEQBwWgO79P////wGQAIjDAtC9/+f//z8AEgBxWAC69//8//8HQAIgDgtA9/4/////AEgAxGEB6N7/AQ=="
)


def _zeros() -> bytes:
    """A stream of Deflate (RFC 1951): the same bytes for each MiB, as a full flush makes them, and an empty end."""
    machine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return (machine.compress(_ONE_MIB) + machine.flush(zlib.Z_FULL_FLUSH)) * MIB + b"\x03\x00"


def _checksum(of: Callable[[bytes, int], int], start: int) -> int:
    return functools.reduce(lambda found, _: of(_ONE_MIB, found), range(MIB), start)


def _gzip() -> bytes:
    """RFC 1952: a head without a time or a name, then the checksum and the length."""
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return head + _zeros() + struct.pack("<LL", _checksum(zlib.crc32, 0), MIB << 20)


def _deflate() -> bytes:
    """RFC 1950: a window of 32 KiB, then the checksum."""
    return b"\x78\x9c" + _zeros() + struct.pack(">L", _checksum(zlib.adler32, 1))


def _zstd() -> bytes:
    """One frame of blocks that repeat a byte (RFC 8878, sections 3.1.1.1 and 3.1.1.2)."""
    magic, window_of_128_kib = b"\x28\xb5\x2f\xfd\x00", b"\x38"
    count, repeated, last = (MIB << 20) // _BLOCK, 1 << 1, 1
    heads = [_BLOCK << 3 | repeated | (last if number == count - 1 else 0) for number in range(count)]
    return magic + window_of_128_kib + b"".join(head.to_bytes(3, "little") + b"\0" for head in heads)


@functools.cache
def bomb(coding: str) -> bytes:
    """Return the body for a `Content-Encoding`, the last name the outermost: as in `deflate, gzip`."""
    inner, _, outermost = coding.rpartition(", ")
    return _AROUND[outermost](bomb(inner)) if inner else _ALONE[outermost]()


_ALONE: Final[Mapping[str, Callable[[], bytes]]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "br": lambda: base64.b64decode(_BROTLI),
    "zstd": _zstd,
}
_AROUND: Final[Mapping[str, Callable[[bytes], bytes]]] = {"gzip": gzip.compress, "deflate": zlib.compress}
