"""The check of the project's English."""

from __future__ import annotations

import pytest

from tests.tools.conftest import CHECKOUT
from tools.words import is_checked, table, violations

WORDS = table((CHECKOUT / "tools" / "words.txt").read_text())


@pytest.mark.parametrize("phrase", WORDS)
def test_every_phrase_of_the_table_is_refused(phrase: str) -> None:
    prose = f"First line.\nThe server {phrase} the disk."
    assert (2, phrase, WORDS[phrase]) in list(violations(prose, WORDS))
    assert list(violations(phrase.capitalize(), WORDS))


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("def _mended() -> None: ...", "mended"),
        ("# The services of\n    # before serve.", "of before"),
        ("is_none = True\nif it is\nnone", "is none"),
    ],
)
def test_identifiers_and_wrapped_comments_count(text: str, phrase: str) -> None:
    assert phrase in [found for _, found, _ in violations(text, WORDS)]


@pytest.mark.parametrize("text", ["recommended", "layer", "delay", "a player", "untold", "is None if", "wished"])
def test_longer_words_are_other_words(text: str) -> None:
    assert [found for _, found, _ in violations(text, WORDS) if found != "is none"] == []


def test_a_line_without_a_replacement_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no replacement"):
        table("whom\n")


def test_prose_is_checked_and_locked_versions_are_not() -> None:
    assert is_checked("docs/azure.md")
    assert is_checked("Makefile")
    assert not is_checked("requirements-dev.txt")
    assert not is_checked("tools/words.txt")
