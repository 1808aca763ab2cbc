"""What a promotion reads: the engine's history and state, documents of builds, settings that travel, addresses."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.mlflow import runtime_contract
from delivery import cli
from delivery.apply.record import Record
from delivery.image.build import BUILD
from delivery.outcome import ExitCode
from delivery.promote import history, release
from delivery.promote.command import asked
from delivery.promote.evidence import environ_backend, gathered
from delivery.promote.gates import Unknown
from delivery.promote.publishing import compare_address
from delivery.promote.release import Build, Release, ReleaseError
from delivery.promote.travel import STAY, TRAVEL
from infra.settings.model import KEYS
from mlflow_runtime.schema.versions import LABEL as MLFLOW_LABEL

DIGEST = f"sha256:{'a' * 64}"
LABELS = {
    release.REVISION_LABEL: "c" * 40,
    MLFLOW_LABEL: "3.17.2",
    runtime_contract.LABEL: "1",
}


def entry(**more: Any) -> dict[str, Any]:
    """One entry as `pulumi stack history --json` of engine 3.274.1 prints it, without what nobody reads."""
    image = {"digest": DIGEST, "commit": "c" * 40, "mlflow": "3.17.2", "schema": "dc11669786a5", "contract": 1}
    return {
        "version": 0,
        "kind": "update",
        "startTime": "2026-11-29T10:03:17.000Z",
        "message": "The subject",
        "environment": {"git.head": "1c388f9be68dc31bc8d9a1ae771b0b9d00f58b6e", "git.dirty": "false"},
        "config": {
            "mlflow-platform:image": {"value": json.dumps(image), "objectValue": image, "secret": False},
            "mlflow-platform:profile": {"value": "dev", "secret": False},
            "mlflow-platform:hidden": {"value": "", "secret": True},
            "azure-native:location": {"value": "westeurope", "secret": False},
        },
        "result": "succeeded",
        "endTime": "2026-11-29T10:03:20.000Z",
        **more,
    }


def test_the_engines_history_is_read() -> None:
    document = [entry(kind="refresh"), entry(result="failed", environment={}), entry()]
    failed, update = history.read(document, "mlflow-platform")
    assert (failed.result, failed.commit, failed.clean) == ("failed", "", False)
    assert (update.succeeded, update.clean) == (True, True)
    assert update.ended == datetime(2026, 11, 29, 10, 3, 20, tzinfo=UTC)
    assert {*update.values} == {"image", "profile"}
    assert update.release == Build(digest=DIGEST, labels=LABELS).release


def test_a_revert_of_drift_is_passed_over() -> None:
    applied = Record(stack="dev", plan="p", commit="c" * 40, image=DIGEST, engine="3.274.1", who="ada")
    reverted = replace(applied, plan="", reverted="vault")
    updates = history.read([entry(message=one.message()) for one in (reverted, applied)], "mlflow-platform")
    assert history.newest(updates) == updates[1]
    by_hand = history.read([entry(message="by hand"), entry(message=applied.message())], "mlflow-platform")
    assert (history.newest(by_hand), history.newest([])) == (by_hand[0], None)


def test_unfinished_operations_and_deletions_are_read() -> None:
    deployment = {
        "pending_operations": [{"resource": {"urn": "urn:pulumi:dev::p::t::app"}, "type": "creating"}],
        "resources": [
            {"urn": "urn:pulumi:dev::p::t::old", "delete": True},
            {"urn": "urn:pulumi:dev::p::t::whole"},
        ],
    }
    assert history.pending({"deployment": deployment}) == ["app", "old"]
    assert history.pending({"deployment": None}) == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({release.REVISION_LABEL: f"{'c' * 40}-changed"}, "built from files that differ from cccccccccccc; commit"),
        ({release.REVISION_LABEL: "--upload-pack=x"}, "lacks one of the labels"),
        ({runtime_contract.LABEL: ""}, "lacks one of the labels"),
        ({MLFLOW_LABEL: ""}, "lacks one of the labels"),
        ({MLFLOW_LABEL: "99.0.0"}, "the schema of MLflow 99.0.0 is not known"),
    ],
)
def test_an_image_that_does_not_say_what_it_is_is_no_release(labels: dict[str, str], message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        _ = Build(digest=DIGEST, labels={**LABELS, **labels}).release


def test_what_could_be_an_option_of_git_is_no_commit() -> None:
    found = release.of({"image": {"digest": DIGEST, "commit": "--output=x", "contract": "one"}})
    assert found == Release(digest=DIGEST)
    assert release.of({"image": {"digest": f"{DIGEST}/../x"}}) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"digest": 1, "labels": 2}', "\x00"])
def test_what_is_no_document_of_an_image_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "image.json"
    file.write_text(content)
    with pytest.raises(ReleaseError, match=r"image\.json: got no document of an image .*expected what `make image"):
        release.build(file)


def test_builds_vouch_for_each_other(tmp_path: Path) -> None:
    one, again = (Build(digest=DIGEST, labels=LABELS, number=number) for number in ("1", "2"))
    other = replace(one, digest=f"sha256:{'b' * 64}", number="3")
    found = {
        number: gathered(tmp_path, "p", builds) for number, builds in enumerate([[], [one], [one, again], [one, other]])
    }
    assert isinstance(found[0].labels(DIGEST), Unknown)
    assert found[1].labels(DIGEST) == LABELS
    assert isinstance(found[1].builds(one.release), Unknown)
    assert (found[2].builds(one.release), found[3].builds(one.release)) == (2, 0)
    # Newer images say nothing of an older one, as on a schedule.
    newer = replace(other, labels={**LABELS, release.REVISION_LABEL: "f" * 40})
    assert gathered(tmp_path, "p", [one, newer, again]).builds(one.release) == 2
    assert isinstance(gathered(tmp_path, "p", [newer, replace(newer, number="4")]).builds(one.release), Unknown)
    # A build does not vouch for itself, and neither does an image of which nobody says who built it.
    unnamed = replace(one, number="")
    for builds in ([one, one], [one, unnamed], [unnamed, unnamed]):
        assert isinstance(gathered(tmp_path, "p", builds).builds(one.release), Unknown)


def test_a_copied_document_is_no_second_build(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, number in (("image", "1"), ("copy", "1"), ("second", "2"), ("older", "")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"digest": DIGEST, "labels": LABELS, BUILD: number}))
    image, copy, second, older = (tmp_path / f"{name}.json" for name in ("image", "copy", "second", "older"))
    for other, expected in (
        (copy, f"--image: got {image} and {copy}, which are one build; expected two."),
        (older, f"--image: got {older}, whose image.json names no build; expected one that does."),
    ):
        assert cli.run(["promote", "dev", "staging", "--image", str(image), "--image", str(other)]) == ExitCode.USAGE
        said = capfd.readouterr().err
        assert expected in said
        assert "Run: mlflow-platform image build" in said
    for files, numbers in (([image, second, image], ["1", "2"]), ([older], [""])):
        _, builds = asked(["dev", "staging"], [], [], files, rollback=False, emergency="")
        assert [one.number for one in builds] == numbers


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("azblob://pulumi-dev?storage_account=st1", "azblob://pulumi-prod?storage_account=st1"),
        ("azblob://staging", "azblob://prod"),
        ("azblob://state/dev", "azblob://state/dev"),
        ("azblob://pulumi-other", "azblob://pulumi-other"),
        ("file:///srv/state", "file:///srv/state"),
        ("", ""),
    ],
)
def test_each_stack_has_a_state_of_its_own(url: str, expected: str) -> None:
    assert environ_backend({"PULUMI_BACKEND_URL": url} if url else {}, "prod", ["dev", "staging", "prod"]) == expected


def test_every_setting_travels_or_stays_for_a_reason() -> None:
    tops = {key.split(".")[0] for key in TRAVEL}
    assert {*KEYS} - {*STAY} == tops - {*STAY} == {"limits"}
    assert {*STAY} <= {*KEYS}


@pytest.mark.parametrize(
    ("address", "github", "expected"),
    [
        ("/srv/remote.git", "", ""),
        ("https://user:word@github.com/acme/ml.git", "", "https://github.com/acme/ml/compare/main...a/b?expand=1"),
        ("git@github.com:acme/ml.git", "", "https://github.com/acme/ml/compare/main...a/b?expand=1"),
        ("git@example.com:x.git", "acme/other", "https://github.com/acme/other/compare/main...a/b?expand=1"),
        (
            "https://acme@dev.azure.com/acme/My%20Team/_git/ml",
            "",
            "https://dev.azure.com/acme/My%20Team/_git/ml/pullrequestcreate?sourceRef=a%2Fb&targetRef=main",
        ),
        (
            "git@ssh.dev.azure.com:v3/acme/team/ml",
            "",
            "https://dev.azure.com/acme/team/_git/ml/pullrequestcreate?sourceRef=a%2Fb&targetRef=main",
        ),
    ],
)
def test_the_page_of_the_pull_request(address: str, github: str, expected: str) -> None:
    assert compare_address(address, github, "main", "a/b") == expected
