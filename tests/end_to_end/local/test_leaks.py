"""The search for credentials finds the planted ones and takes nothing else for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.leaks import files, leaks

TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL3N0b3JhZ2UifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (TOKEN, "a token"),
        ("Authorization: Bearer 0123456789abcdef", "a bearer header"),
        ("PUT /blob?sv=2024&sig=aGVsbG8gd29ybGQ%3D&se=1", "a signature"),
        ("host=db user=x password=hunter2 dbname=y", "a password"),
        ("DefaultEndpointsProtocol=https;AccountKey=Zm9vYmFy;", "a password"),
        ("postgresql://user:hunter2@db/tracking", "a password in a URL"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("x-identity-header: the-secret-of-tracking", "the header of tracking"),
    ],
)
def test_a_planted_credential_is_found_and_not_shown(planted: str, found: str) -> None:
    texts = {"clean.log": "nothing", "tracking.log.1": f"first line\n{planted}\n"}
    said = leaks(texts, {"the header of tracking": "the-secret-of-tracking"})
    assert any(line.startswith("tracking.log.1") and line.endswith(found) for line in said), said
    assert not [line for line in said if planted in line or "clean" in line]


@pytest.mark.parametrize(
    "harmless",
    [
        *("?sig=[token]&se=1", "[token]", "password=*** host=x", "postgresql+entra://mlflow-tracking@127.0.0.1:1/x"),
        *("password authentication failed for user", "http://127.0.0.1:5500/", "the Bearer of news", "design=modern"),
        *("postgresql://user:***@db/x", "dsn: 'user=x password=xxx host=y'", "connect(**options, password=token)"),
    ],
)
def test_what_is_masked_or_no_credential_is_not_taken_for_one(harmless: str) -> None:
    assert leaks({"a.log": harmless}, {"x": "secret-value-of-x"}) == []


def test_rotated_files_are_searched_too(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    for name in ("a.log", "a.log.2", "deeper/b.log.1"):
        (tmp_path / name).write_text(TOKEN)
    assert {line.partition(",")[0] for line in leaks(files(tmp_path), {})} == {"a.log", "a.log.2", "deeper/b.log.1"}
