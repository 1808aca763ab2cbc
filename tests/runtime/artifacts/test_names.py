"""Names of artifacts and of their blobs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from mlflow_runtime.artifacts.names import artifact_path, blob_name, safe

PIECES = st.sampled_from(["%", "25", "0D", "0d", "5C", "7F", "%0D", "%250D", "\r", "\n", "\\", "a", "/", "é", "#", "?"])


@given(st.lists(PIECES).map("".join))
def test_each_path_has_a_blob_of_its_own_without_what_azure_refuses(path: str) -> None:
    name = blob_name(path)
    assert artifact_path(name) == path
    assert not re.search(r"[\x00-\x1f\x7f\\]", name)


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
