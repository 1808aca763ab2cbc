"""The codings of a body that comes compressed, taken off in small steps and only as far as a body may be large. Pure.

A few hundred kilobytes may unpack to gigabytes, and megabytes of empty members to nothing after minutes. MLflow unpacks
what it takes whole, in one go.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from starlette.datastructures import Headers

from mlflow_runtime.responses import Failure

MOST_CODINGS: Final = 2

MOST_MEMBERS: Final = 64
"""Of one gzip body. A client sends one; each costs a machine of its own, however little is in it."""

RATIO: Final = 200
"""How many bytes one byte may unpack to, on average over a large body.

zlib reaches 1000 with bytes that are all the same. Measured with gzip: metrics 6 to 28, spans 12 to 53, records of a
dataset 47, spans that repeat one long prompt 129.
"""

UNPACKED_AT_LEAST: Final = 4 << 20
"""What a body may unpack to whatever its ratio: a small one is often the same few bytes over and over."""

_STEP: Final = 64 << 10
_GZIP: Final = 16 + zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS

Unpack = Callable[[Iterable[bytes]], Iterator[bytes]]


class TooLarge(Exception):  # noqa: N818 - it names what happened
    """A body, or what it unpacks to, is larger than a body may be."""


class TooDense(Exception):  # noqa: N818
    """A body unpacks to far more than any that is worth sending."""


class Damaged(Exception):  # noqa: N818
    """A body does not unpack, or is not whole."""


class Unsupported(Exception):  # noqa: N818
    """A body is in codings that are not taken."""


def codings(headers: Headers) -> tuple[str, ...]:
    """Return the names of a request's codings in the order in which they were applied."""
    given = ",".join(headers.getlist("content-encoding"))
    return tuple(name.strip().lower() for name in given.split(",") if name.strip())


def unpacking(names: Iterable[str]) -> tuple[Unpack, ...]:
    """Return what takes the named codings off, the first one last. Unsupported for others, or for too many."""
    try:
        found = tuple(CODINGS[name] for name in names if name != "identity")
    except KeyError:
        raise Unsupported from None
    if len(found) > MOST_CODINGS:
        raise Unsupported
    return found


def unpacked(packed: Iterable[bytes], size: int, codings: Iterable[Unpack], limit: int) -> Iterator[bytes]:
    """Take the codings off a body of `size` bytes; none gives more than `limit` bytes, or than RATIO allows.

    It yields at least once for each 64 KiB that go into or out of a coding. TooLarge, TooDense or Damaged.
    """
    dense = max(UNPACKED_AT_LEAST, RATIO * size)
    parts: Iterable[bytes] = packed
    for unpack in reversed(list(codings)):
        parts = _bounded(unpack(parts), limit, dense)
    return iter(parts)


def _bounded(parts: Iterable[bytes], limit: int, dense: int) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > limit:
            raise TooLarge
        if size > dense:
            raise TooDense
        yield part


def _gunzip(parts: Iterable[bytes]) -> Iterator[bytes]:
    return _inflate(parts, lambda _first: _GZIP)


def _deflated(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Deflate with its header, as HTTP defines it, or without, as some clients send it."""
    return _inflate(parts, lambda first: zlib.MAX_WBITS if first and first[0] & 0x0F == zlib.DEFLATED else _RAW)


def _inflate(parts: Iterable[bytes], window: Callable[[bytes], int]) -> Iterator[bytes]:
    """Unpack in small steps. One member may follow another, as gzip allows."""
    machine, members = None, 0
    try:
        for part in _steps(parts):
            while part:
                if machine is None:
                    machine, members = zlib.decompressobj(window(part)), members + 1
                    if members > MOST_MEMBERS:
                        raise TooDense
                yield machine.decompress(part, _STEP)
                part = machine.unconsumed_tail
                if machine.eof:
                    part, machine = machine.unused_data, None
        if machine is not None:
            while tail := machine.decompress(b"", _STEP):
                yield tail
            if not machine.eof:
                raise Damaged
    except zlib.error as error:
        raise Damaged from error


def _steps(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Cut up long parts: what a machine has not taken yet of one is copied at each of its steps."""
    for part in parts:
        for start in range(0, len(part), _STEP):
            yield part[start : start + _STEP]


CODINGS: Final[Mapping[str, Unpack]] = {"gzip": _gunzip, "x-gzip": _gunzip, "deflate": _deflated}
"""What is unpacked, by name: what MLflow takes."""


def unsupported(names: Iterable[str]) -> Failure:
    """What a request in other codings is answered with."""
    return Failure(
        status=415,
        code="INVALID_PARAMETER_VALUE",
        message=f"Content-Encoding: got {', '.join(names)}; expected at most {MOST_CODINGS} of "
        f"{', '.join(sorted(CODINGS))}.",
    )


def too_dense() -> Failure:
    """What a body is answered with that unpacks to far more than it is."""
    return Failure(
        status=413,
        code="INVALID_PARAMETER_VALUE",
        message=f"The body has more than {MOST_MEMBERS} members, or unpacks to more than {UNPACKED_AT_LEAST >> 20} MiB "
        f"and more than {RATIO} times its size; pack it as one member, in parts, or send it as it is.",
    )


def damaged(names: Iterable[str]) -> Failure:
    """What a body that does not unpack is answered with."""
    return Failure(
        status=400,
        code="INVALID_PARAMETER_VALUE",
        message=f"The body is not what its Content-Encoding says ({', '.join(names) or 'none'}), or is not whole.",
    )
