"""Names of artifacts and of their blobs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from mlflow_runtime.artifacts.names import artifact_path, blob_name, safe

PIECES = st.sampled_from(
    [
        "\x80",
        "\ufffe",
        "\U0010ffff",
        "\ue000",
        "%u00FFFE",
        "u00FFFE",
        "%",
        "25",
        "0D",
        "0d",
        "5C",
        "7F",
        "%0D",
        "%250D",
        "\r",
        "\n",
        "\\",
        "a",
        "/",
        "é",
        "#",
        "?",
    ]
)


@given(st.lists(PIECES).map("".join))
def test_each_path_has_a_blob_of_its_own_without_what_azure_refuses(path: str) -> None:
    name = blob_name(path)
    assert artifact_path(name) == path
    assert not re.search(r"[\x00-\x1f\x7f\\]", name)
    assert not [character for character in name if is_of_no_text(ord(character))]


def is_of_no_text(point: int) -> bool:
    """A control character, for private use, or no character (the Unicode Standard, sections 23.1, 23.5 and 23.7)."""
    return 0x7F <= point < 0xA0 or 0xE000 <= point < 0xF900 or 0xFDD0 <= point < 0xFDF0 or point & 0xFFFE == 0xFFFE


@given(
    # `safe` refuses NUL and halves of characters.
    st.characters(min_codepoint=1, exclude_categories=["Cs"])
    | st.sampled_from([plane << 16 | 0xFFFE for plane in range(17)]).map(chr)
)
def test_no_character_reaches_the_store_that_its_lists_cannot_hold(character: str) -> None:
    name = blob_name(f"a{character}")
    assert artifact_path(name) == f"a{character}"
    assert not [each for each in name if is_of_no_text(ord(each)) or ord(each) < 0x20]
    if not (is_of_no_text(ord(character)) or ord(character) < 0x20 or character == "\\"):
        assert name == f"a{character}"


@pytest.mark.parametrize("name", ["%uFFFFFF", "%u110000", "%u00FFF", "%U00FFFE"])
def test_what_only_looks_like_an_escape_is_a_name(name: str) -> None:
    assert artifact_path(name) == artifact_path(blob_name(name)) == name


def test_half_of_a_character_is_refused() -> None:
    """JSON can hold one, and no answer could."""
    with pytest.raises(MlflowException, match="half of a character"):
        safe("a\ud800")


@given(st.lists(PIECES).map("".join), st.lists(PIECES).map("".join))
def test_what_is_below_a_folder_begins_with_its_name(folder: str, name: str) -> None:
    assert blob_name(f"{folder}/{name}") == f"{blob_name(folder)}/{blob_name(name)}"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("0/a b.txt", "0/a b.txt"),
        ("0/a%20b.txt", "0/a%20b.txt"),
        ("0/a#b?c.txt", "0/a#b?c.txt"),
        ("0/dir\\file.txt", "0/dir%5Cfile.txt"),
        ("0/dir%5Cfile.txt", "0/dir%255Cfile.txt"),
        ("0/Icon\r", "0/Icon%0D"),
        ("0/100%", "0/100%"),
    ],
)
def test_a_blob_has_the_artifact_s_name_unless_azure_refuses_it(path: str, name: str) -> None:
    assert safe(path) == path
    assert blob_name(path) == name


@pytest.mark.parametrize(
    "path",
    [
        "../a",
        "a/..",
        "a/../b",
        "a\\..\\b",
        "%2e%2e/a",
        "%252e%252e%252fa",
        "/a",
        "%2fa",
        "C:\\a",
        "c:/a",
        "a\0",
        "a%00",
    ],
)
def test_a_path_that_leads_out_of_its_root_is_refused_by_name(path: str) -> None:
    with pytest.raises(MlflowException, match="is refused") as refused:
        safe(path)
    assert repr(path) in refused.value.message


def test_a_path_that_never_stops_to_be_encoded_is_refused() -> None:
    with pytest.raises(MlflowException, match="too many times"):
        safe("%" + "25" * 20 + "41")
