"""What Entra issued is found wherever it was left, in whatever surroundings."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.support import issued

SIGNATURE, CODE = secrets.token_urlsafe(256), secrets.token_urlsafe(32)
TOKEN = f"eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiIxIn0.{SIGNATURE}"


@pytest.fixture(autouse=True)
def _noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issued, "_ISSUED", set())
    issued.note([TOKEN, CODE])


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"Bearer {TOKEN}\n",
        f'{{"code": "{CODE}"}}',
        f"?code={CODE}&a=b",
        f"x{CODE}x",
        f"a%2E{SIGNATURE}",
        SIGNATURE,
    ],
    ids=["token", "header", "JSON", "query", "in a word", "encoded", "signature"],
)
def test_it_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "a.log").write_bytes(b"\x00\xff" + text.encode())
    (tmp_path / "b.log").write_text("[token] and nothing else")
    assert issued.left_in(tmp_path) == ["deeper/a.log"]


def test_what_was_not_issued_is_not_found() -> None:
    assert not issued.is_in(f"{secrets.token_urlsafe(32)} {CODE[:-1]} {SIGNATURE[1:]}".encode())
