"""Which bytes a Range header means; the examples are those of RFC 9110, section 14.1.2, and its corners."""

from __future__ import annotations

import pytest

from mlflow_runtime.artifacts.byte_range import OutsideError, Span, span


@pytest.mark.parametrize(
    ("header", "start", "length"),
    [
        ("bytes=0-499", 0, 500),
        ("bytes=500-999", 500, 500),
        ("bytes=-500", 9500, 500),
        ("bytes=9500-", 9500, 500),
        ("bytes=0-0", 0, 1),
        ("bytes=-1", 9999, 1),
        ("bytes=9999-", 9999, 1),
        ("bytes=9000-20000", 9000, 1000),
        ("bytes=-20000", 0, 10000),
        (" bytes = 1 - 2 ", 1, 2),
    ],
)
def test_a_range_is_cut_to_the_file(header: str, start: int, length: int) -> None:
    assert span(header, 10000) == Span(start, length, 10000)


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes=-", "bytes=-0", "bytes=2-1", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=\u0661-", "0-1"],
)
def test_what_is_not_understood_is_the_whole(header: str | None) -> None:
    assert span(header, 10) is None


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=0-", 0)])
def test_no_byte_is_said(header: str, size: int) -> None:
    with pytest.raises(OutsideError, match=f"outside of a file of {size} bytes"):
        span(header, size)


def test_the_header_of_an_answer() -> None:
    assert Span(500, 500, 1234).content_range == "bytes 500-999/1234"
