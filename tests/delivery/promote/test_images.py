"""What a registry and GitHub say of an image, and an image by its name as the first stack's release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.azure.image_source import ImageSource
from components.mlflow import runtime_contract
from delivery.image import registry
from delivery.image.registry import Place
from delivery.outcome import CommandError
from delivery.promote import images
from delivery.promote.command import asked
from delivery.promote.gates import Unknown
from delivery.promote.release import REVISION_LABEL
from mlflow_runtime.schema.versions import LABEL as MLFLOW_LABEL
from tests.support.registries import COMMIT, build, serving

LABELS = {MLFLOW_LABEL: "3.17.2", runtime_contract.LABEL: "1"}
ABSENT = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, str]]:
    folder = tmp_path_factory.mktemp("registry")
    digest = build(folder / "build", **LABELS)
    with serving(folder / "server") as host:
        place = Place.named(f"{host}/mlflow")
        registry.push(folder / "build" / "layout", place, COMMIT)
        yield place, digest


def test_the_registry_says_what_it_has(pushed: tuple[Place, str]) -> None:
    place, digest = pushed
    assert images.labels(place, digest) == {REVISION_LABEL: COMMIT, **LABELS}
    assert (images.there(place, digest), images.there(place, ABSENT)) == (True, False)
    assert isinstance(images.labels(place, ABSENT), Unknown)
    nowhere = Unknown("no registry yet")
    assert images.there(nowhere, digest) is nowhere
    assert isinstance(images.there(Place.named("127.0.0.1:1/mlflow"), digest), Unknown)


def test_an_image_in_a_registry_is_what_the_first_stack_gets(pushed: tuple[Place, str]) -> None:
    place, digest = pushed
    request, builds = asked([f"{place}@{digest}", "dev"], ["", " "], [""], [], rollback=False, emergency="")
    assert request.build is not None
    assert request.build.release.commit == COMMIT
    assert (request.source, request.travels, request.accepts) == ("", [], [])
    assert [one.digest for one in builds] == [digest]
    with pytest.raises(CommandError, match=f"does not have {ABSENT}; push it"):
        asked([f"{place}@{ABSENT}", "dev"], [], [], [], rollback=False, emergency="")
    with pytest.raises(CommandError, match="expected HOST/REPOSITORY@sha256: with 64 digits"):
        asked([f"{place}@sha256:12", "dev"], [], [], [], rollback=False, emergency="")
    with pytest.raises(CommandError, match="--with: got it with an image"):
        asked([f"{place}@{digest}", "dev"], ["limits"], [], [], rollback=False, emergency="")


def test_words_of_one_field_of_a_form_are_several() -> None:
    request, _ = asked(
        ["dev", "staging"], ["limits tracking.concurrency"], ["drift smoke"], [], rollback=False, emergency=""
    )
    assert (request.travels, request.accepts) == (["limits", "tracking.concurrency"], ["drift", "smoke"])


# It verifies as GitHub's program does where all that decides is given, and knows one image.
GH = """#!/bin/sh
expected="attestation verify oci://PLACE@DIGEST --repo example/mlflow \\
--signer-workflow example/mlflow/.github/workflows/image.yml --source-ref refs/heads/main --deny-self-hosted-runners \\
--source-digest COMMIT"
[ "$*" = "$expected" ] && exit 0
echo "Loaded digest" >&2
echo "Error: no attestations found for subject" >&2
exit 1
"""


def test_an_attestation_of_the_workflow_stands_for_its_two_builds(pushed: tuple[Place, str], tmp_path: Path) -> None:
    place, digest = pushed
    program = tmp_path / "gh"
    program.write_text(GH.replace("PLACE", str(place)).replace("DIGEST", digest).replace("COMMIT", "c" * 40))
    program.chmod(0o755)
    environ = {"GITHUB_REPOSITORY": "example/mlflow", "PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert images.attested(place, digest, environ, commit="c" * 40) == 2
    assert images.attested(place, ABSENT, environ, commit="c" * 40) == Unknown(
        "gh attestation verify: Error: no attestations found for subject"
    )
    elsewhere = images.attested(place, digest, {**environ, "GITHUB_REPOSITORY": "evil/mlflow"}, commit="c" * 40)
    assert isinstance(elsewhere, Unknown)
    assert isinstance(images.attested(place, digest, environ, commit="d" * 40), Unknown), "of another commit"
    for missing in ("GITHUB_REPOSITORY", "PATH"):
        found = images.attested(place, digest, {**environ, missing: ""}, commit="c" * 40)
        assert isinstance(found, Unknown)
        assert "vouches" in found.why


def test_where_an_image_comes_from_is_an_address() -> None:
    registry_id = f"/subscriptions/{'0' * 8}-0000-0000-0000-{'0' * 12}/resourceGroups/rg/providers"
    named = ImageSource.named(f"{registry_id}/Microsoft.ContainerRegistry/registries/ACR12", "mlflow-platform")
    assert str(images.place(named)) == "acr12.azurecr.io/mlflow-platform"
    assert str(images.place(ImageSource.named("ghcr.io/example/shop", "x"))) == "ghcr.io/example/shop"
