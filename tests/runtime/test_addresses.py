"""Hosts, and which of them are this machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_runtime.addresses import is_host, is_host_and_port, is_host_header, is_loopback, split_https


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "10.0.0.4", "localhost.example.com", "127.0.0.1.example.com", "127.0.0.1,db", "[::1]"],  # noqa: S104
)
def test_any_other_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("text", ["", "a..b", "a.", ".a", "-a", "*", "a b", "a/b", "a:1", "[::1]", "fe80::1%eth0", "ä"])
def test_no_host(text: str) -> None:
    assert not is_host(text)


@pytest.mark.parametrize("text", ["a", "a:", ":1", "a:0", "a:65536", "a:1-2", "::1:80", "[::1]", "[a]:1", "a:1:2"])
def test_no_host_with_a_port(text: str) -> None:
    assert not is_host_and_port(text)


@given(st.ip_addresses().map(str) | st.from_regex(r"[a-z0-9]{1,9}(\.[a-z0-9]{1,9})?", fullmatch=True), st.integers())
def test_a_host_with_and_without_a_port(host: str, port: int) -> None:
    bracketed = f"[{host}]" if ":" in host else host
    assert is_host(host)
    assert is_host_header(bracketed)
    assert is_host_header(f"{bracketed}:{port}") == is_host_and_port(f"{bracketed}:{port}") == (1 <= port <= 65535)


@given(st.text(max_size=30))
def test_any_text_is_split_or_refused(text: str) -> None:
    parts = split_https(f"https://{text}")
    if parts is not None:
        assert parts.hostname
        assert parts.username is None
        assert parts.port is None or 1 <= parts.port <= 65535
