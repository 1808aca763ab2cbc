"""What each team stores: by a listing of a stack on Azure, and by the local stack's own container."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.local.configuration import PROJECT, LocalStack
from delivery.outcome import CommandError, ExitCode
from delivery.quotas.command import quotas
from delivery.quotas.report import GIB, Stored, parsed, stored, text

GUID = "11111111-1111-1111-1111-111111111111"


def test_a_file_belongs_to_the_team_of_its_folder() -> None:
    files = [
        *(("workspaces/team-a/1/a", 10), ("workspaces/team-a/b", 5), ("workspaces/gone/1/x", 1)),
        *(("1/run/a", 2), ("workspaces", 3), ("workspaces/team-a", 4), ("other/workspaces/team-a/x", 1)),
    ]
    found = {each.team: (each.files, each.size) for each in stored(files, ["team-a", "team-b"], {})}
    assert found == {"default": (4, 10), "team-a": (2, 15), "team-b": (0, 0), "gone": (1, 1)}


@pytest.mark.parametrize(("size", "over"), [(2 * GIB, False), (2 * GIB + 1, True)])
def test_who_is_over_the_quota_comes_first(size: int, *, over: bool) -> None:
    files = [("workspaces/team-a/1/a", size), ("1/a", 9 * GIB)]
    found = stored(files, ["team-a"], {"team-a": 2})
    assert [each.team for each in found] == (["team-a", "default"] if over else ["default", "team-a"])
    assert [each.is_over for each in found if each.team == "team-a"] == [over]


def test_a_line_says_how_much_of_what() -> None:
    assert text(Stored(team="a", files=2, size=3 * GIB, quota=2)) == "a  3.00 GiB in 2 files  of 2 GiB, over its quota"
    assert text(Stored(team="a", files=0, size=0, quota=None)) == "a  0.00 GiB in 0 files  no quota"


@pytest.mark.parametrize("line", ["a 1", "a\t", "a\t-1", "a\t1.5", "\t1", ""])
def test_another_listing_is_refused_with_the_line(line: str) -> None:
    with pytest.raises(ValueError, match=r"line 2: got .*; expected NAME, a tab and BYTES"):
        list(parsed(["a\t1", line]))


@pytest.fixture
def on_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        **{"location": "westeurope", "profile": "dev", "image": {"digest": "none"}},
        "tags": {"owner": "a", "costCenter": "b", "dataClassification": "internal"},
        "access": {"mode": "entra", "tenantId": GUID, "clientId": GUID},
        "teams": ["team-a", "team-b"],
        "quotas": {"team-a": 2, "default": 4},
    }
    document = {"config": {f"{PROJECT}:{name}": value for name, value in values.items()}}
    monkeypatch.setattr("delivery.pulumi.project.stack_document", lambda *_: document)


@pytest.mark.usefixtures("on_azure")
def test_on_azure_the_listing_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert quotas("dev") == ExitCode.DONE
    printed = capsys.readouterr().out
    assert printed.startswith('az storage blob list --account-name "$(pulumi stack output storage_account -s dev)"')
    # Not by a pipe: a shell goes on with what a failed listing left of one.
    assert printed.endswith(" > listing.tsv && mlflow-platform quotas dev --listing listing.tsv\n")

    lines = f"workspaces/team-a/1/a b\t{3 * GIB}\n1/a\t{GIB}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert quotas("dev", Path("-"), as_json=True) == ExitCode.FAILED
    found = json.loads(capsys.readouterr().out)
    assert [(each["team"], each["quota"], each["over"]) for each in found] == [
        ("team-a", 2, True),
        ("default", 4, False),
        ("team-b", None, False),
    ]


@pytest.mark.usefixtures("on_azure")
def test_a_listing_of_another_kind_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    file = tmp_path / "listing"
    file.write_text("[]\n")
    (empty := tmp_path / "empty").touch()
    for listing, said in (
        *((file, r"line 1: got '\[\]'"), (empty, "got no line"), (tmp_path / "none", "No such file")),
    ):
        with pytest.raises(CommandError, match=f"--listing: .*{said}.* Run: az storage blob list") as raised:
            quotas("dev", listing)
        assert raised.value.code == ExitCode.USAGE


@pytest.mark.usefixtures("on_azure")
def test_a_listing_is_of_a_stack_on_azure_and_a_document_of_a_listing() -> None:
    for given, said in (
        ({"listing": Path("f")}, "--listing: got a file for the local stack; .* Run: mlflow-platform quotas$"),
        ({"stack": "dev", "as_json": True}, "--json: got it without --listing; .* --listing listing.tsv --json$"),
    ):
        with pytest.raises(CommandError, match=said) as raised:
            quotas(**given)
        assert raised.value.code == ExitCode.USAGE


def test_the_local_stack_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text(
        f"config:\n  {PROJECT}:profile: local\n  {PROJECT}:access: {{mode: entra}}\n  {PROJECT}:teams: [team-a]\n"
        f"  {PROJECT}:quotas: {{team-a: 1}}\n"
    )

    def sizes(stack: LocalStack) -> Iterator[tuple[str, int]]:
        assert stack.config_file == file
        yield "workspaces/team-a/1/a", GIB

    monkeypatch.setattr("delivery.local.artifacts.sizes", sizes)
    assert quotas(config_file=file) == ExitCode.DONE
    assert "team-a  1.00 GiB in 1 files  of 1 GiB\n" in capsys.readouterr().out
