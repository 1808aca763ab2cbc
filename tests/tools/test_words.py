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
        ("if it is\nnone", "is none"),
        ("def test_nothing_but_the_address_is_public() -> None: ...", "nothing but"),
        ("test_a_release_is_none", "is none"),
        ("class TurnedAway(Refusal): ...", "turned away"),
        ("def requestTurnedAway(): ...", "turned away"),
        ("class RequestWish: ...", "wish"),
        ("NOTHING BUT the port", "nothing but"),
        ("nothing BUT the port", "nothing but"),
        ('"serves nothing " "but metrics"', "nothing but"),
        ("f'serves nothing'\n    f' but metrics'", "nothing but"),
    ],
)
def test_identifiers_capitals_and_wrapped_texts_count(text: str, phrase: str) -> None:
    assert phrase in [found for _, found, _ in violations(text, WORDS)]


@pytest.mark.parametrize(
    "text",
    ["recommended", "layer", "delay", "a player", "untold", "is None if", "wished", "LAYER", "RelayPort"],
)
def test_longer_words_are_other_words(text: str) -> None:
    assert [found for _, found, _ in violations(text, WORDS) if found != "is none"] == []


@pytest.mark.parametrize(
    "text",
    ["There is none.", "there are none", "test_there_is_none", '["nothing", "but"]', "is Ingress.NONE", "is NONE"],
)
def test_plain_texts_are_not_found_fault_with(text: str) -> None:
    assert list(violations(text, WORDS)) == []


def test_a_line_without_a_replacement_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no replacement"):
        table("whom\n")


def test_prose_is_checked_and_locked_versions_are_not() -> None:
    assert is_checked("docs/azure.md")
    assert is_checked("Makefile")
    assert not is_checked("requirements-dev.txt")
    assert not is_checked("tools/words.txt")
