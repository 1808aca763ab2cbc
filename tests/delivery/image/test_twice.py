"""Two builds of the same are the same. Last in this folder: the second build goes on beside the tests before it."""

from __future__ import annotations

from delivery.image import compare
from delivery.image.build import BUILD
from tests.delivery.image.conftest import Built


def test_two_builds_are_the_same_image(built: Built, built_again: Built) -> None:
    assert compare.differences(built.folder / "layout", built_again.folder / "layout") == []
    assert built_again.document["digest"] == built.document["digest"]
    # By these a promotion tells two builds from one document and its copy.
    assert built_again.document[BUILD] != built.document[BUILD]
