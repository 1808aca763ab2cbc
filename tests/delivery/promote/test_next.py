"""What a schedule proposes: every stack that is behind, once, as a pull request; and what it leaves to a person."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from delivery import cli
from delivery.outcome import CommandError, ExitCode
from delivery.promote import command
from delivery.promote.command import Way
from delivery.promote.evidence import Evidence
from delivery.promote.gates import Unknown
from delivery.promote.release import Release
from delivery.pull_request.github import GitHub
from tests.delivery.promote import promoting
from tests.delivery.promote.promoting import a_release, evidence, git, set_release, update
from tests.delivery.pull_request import github_stand_in
from tests.delivery.pull_request.github_stand_in import Stored
from tests.support.plane import REPOSITORY

TO_STAGING, TO_PROD = "promote/staging/bbbbbbbbbbbb", "promote/prod/aaaaaaaaaaaa"


@pytest.fixture
def server() -> Iterator[tuple[GitHub, Stored]]:
    with github_stand_in.github() as found:
        yield found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """dev has release b, staging has release a, prod has none."""
    checkout = promoting.written(tmp_path)
    set_release(checkout, "staging", a_release(checkout, "a"))
    set_release(checkout, "dev", a_release(checkout, "b"))
    return checkout


def good(checkout: Path, **more: Any) -> Evidence:
    """Evidence by which the release of each stack passes."""
    releases = {stack: promoting.read_release(checkout, stack) for stack in ("dev", "staging")}
    by_digest = {one.digest: one for one in releases.values()}
    return replace(
        evidence(releases["dev"]),
        updates=lambda stack: [update(releases[stack])],
        labels=lambda digest: promoting.labels(by_digest[digest]),
        **more,
    )


def propose(checkout: Path, server: GitHub | None = None, **more: Any) -> int:
    return command.run_next(Way(folder=checkout, server=server), found=good(checkout, **more))


def test_each_stack_that_is_behind_gets_one_pull_request(
    checkout: Path, server: tuple[GitHub, Stored], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    github, stored = server
    summary = tmp_path / "summary.md"
    assert command.run_next(Way(folder=checkout, server=github, summary=summary), found=good(checkout)) == ExitCode.DONE
    assert promoting.remote_branches(checkout) == ["main", TO_PROD, TO_STAGING]
    assert [(one["head"], one["base"], one["draft"], one["title"]) for one in stored.pull_requests] == [
        (TO_STAGING, "main", True, "Promote bbbbbbbbbbbb, MLflow 3.17.2 to staging"),
        (TO_PROD, "main", True, "Promote aaaaaaaaaaaa, MLflow 3.17.2 to prod"),
    ]
    first, _, rest = stored.pull_requests[0]["body"].partition("\n\n")
    assert first.startswith("**Mark it as ready for review:**")
    assert rest.startswith("### `staging`: `aaaaaaaaaaaa` → `bbbbbbbbbbbb` from `dev`\n")
    printed = capfd.readouterr()
    assert printed.out.count("### ") == 2
    assert "Opened the pull request: https://github.test/pull/2" in printed.err
    assert summary.read_text().count("Opened the pull request:") == 2
    # The next night finds them, opens none again, and pushes nothing.
    calls = len(stored.calls)
    assert propose(checkout, github) == ExitCode.DONE
    assert len(stored.pull_requests) == 2
    assert {call.partition(" ")[0] for call in stored.calls[calls:]} == {"GET"}
    assert "Its pull request is open: https://github.test/pull/1" in capfd.readouterr().err


def test_without_a_server_the_branches_are_pushed_alone(checkout: Path) -> None:
    assert propose(checkout) == ExitCode.DONE
    assert promoting.remote_branches(checkout) == ["main", TO_PROD, TO_STAGING]


def test_what_somebody_closed_is_not_proposed_again(
    checkout: Path, server: tuple[GitHub, Stored], capfd: pytest.CaptureFixture[str]
) -> None:
    github, stored = server
    assert propose(checkout, github) == ExitCode.DONE
    stored.pull_requests[0]["state"] = "closed"
    git(checkout, "push", "--quiet", "origin", "--delete", TO_STAGING)
    assert propose(checkout, github) == ExitCode.DONE
    assert len(stored.pull_requests) == 2
    assert promoting.remote_branches(checkout) == ["main", TO_PROD]
    said = capfd.readouterr().err
    assert "Somebody closed https://github.test/pull/1 without a merge" in said
    assert "run: mlflow-platform promote dev staging\n" in said


def test_one_whose_opening_failed_is_opened_by_the_next_run(
    checkout: Path, server: tuple[GitHub, Stored], capfd: pytest.CaptureFixture[str]
) -> None:
    github, stored = server
    refusing = RefusesToOpen(repository=github.repository, token=github.token, api=github.api)
    assert propose(checkout, refusing) == ExitCode.FAILED
    assert "Pushed branch promote/staging/bbbbbbbbbbbb" in (said := capfd.readouterr().err)
    assert "Its pull request could not be opened: not now." in said
    assert promoting.remote_branches(checkout) == ["main", TO_PROD, TO_STAGING]
    assert propose(checkout, github) == ExitCode.DONE
    assert [one["head"] for one in stored.pull_requests] == [TO_STAGING, TO_PROD]


class RefusesToOpen(GitHub):
    """A GitHub of which nobody gets a pull request."""

    def open_pull_request(self, *_: object, **__: object) -> str:
        raise CommandError("not now")


def test_time_opens_a_gate_and_a_person_another_one(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    releases = {stack: promoting.read_release(checkout, stack) for stack in ("dev", "staging")}
    soaking = good(checkout, alerts=lambda *_: ["an alert"])
    soaking = replace(soaking, updates=lambda stack: [update(releases[stack], hours=0.1)])
    # Whoever soaks is looked at again; only then does an alert need somebody.
    assert command.run_next(Way(folder=checkout), found=soaking) == ExitCode.DONE
    assert promoting.remote_branches(checkout) == ["main"]
    assert "Stopped by soak, alerts: nothing was pushed." in capfd.readouterr().err
    not_deployed = replace(soaking, updates=lambda _: [update(a_release(checkout, "c"))], smoke=lambda *_: Unknown("?"))
    assert command.run_next(Way(folder=checkout), found=not_deployed) == ExitCode.DONE
    assert propose(checkout, alerts=lambda *_: ["an alert"]) == ExitCode.FAILED
    assert propose(checkout, smoke=lambda *_: Unknown("nobody could look")) == ExitCode.FAILED
    assert promoting.remote_branches(checkout) == ["main"]


def test_one_stack_that_fails_keeps_no_other_from_its_release(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def alerts(stack: str, _: datetime) -> list[str]:
        return ["an alert"] if stack == "dev" else []

    assert propose(checkout, alerts=alerts) == ExitCode.FAILED
    assert promoting.remote_branches(checkout) == ["main", TO_PROD]
    (checkout / "stacks" / "Pulumi.staging.yaml").write_text("config: {}\n")
    assert propose(checkout) == ExitCode.FAILED
    assert "staging: stacks/Pulumi.staging.yaml: the one here differs" in capfd.readouterr().err


def _same(checkout: Path) -> str:
    set_release(checkout, "staging", promoting.read_release(checkout, "dev"))
    return "staging: it has the release of dev, bbbbbbbbbbbb."


def _rolled_back(checkout: Path) -> str:
    before = promoting.read_release(checkout, "staging")
    set_release(checkout, "staging", promoting.read_release(checkout, "dev"))
    set_release(checkout, "staging", before)
    return "staging: it went back from bbbbbbbbbbbb; to try it again run: mlflow-platform promote dev staging."


def _ahead(checkout: Path) -> str:
    set_release(checkout, "staging", a_release(checkout, "c"))
    return "staging: it has a newer release than dev."


def _went_back_before_it(checkout: Path) -> str:
    """staging went on from b to c, and dev went back to b afterwards."""
    before = promoting.read_release(checkout, "dev")
    set_release(checkout, "staging", before)
    newer = a_release(checkout, "c")
    for stack in ("dev", "staging"):
        set_release(checkout, stack, newer)
    set_release(checkout, "dev", before)
    return "staging: it has a newer release than dev."


def _digest_alone(checkout: Path) -> str:
    release = promoting.read_release(checkout, "dev")
    set_release(checkout, "dev", Release(digest=release.digest, commit="", mlflow="", schema="", contract=0))
    return "staging: stacks/Pulumi.dev.yaml names a digest alone."


@pytest.mark.parametrize("change", [_ahead, _digest_alone, _rolled_back, _same, _went_back_before_it])
def test_a_stack_that_is_not_behind_gets_nothing(
    checkout: Path, change: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    said = change(checkout)
    set_release(checkout, "prod", promoting.read_release(checkout, "staging"))
    assert propose(checkout) == ExitCode.DONE
    assert promoting.remote_branches(checkout) == ["main"]
    assert f"{said}\nprod: it has the release of staging" in capfd.readouterr().err


def test_two_stacks_before_one_are_a_choice(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    second = (checkout / "stacks" / "Pulumi.staging.yaml").read_text()
    (checkout / "stacks" / "Pulumi.staging-us.yaml").write_text(second)
    promoting.committed(checkout, "A second staging")
    assert propose(checkout) == ExitCode.DONE
    assert "prod: staging, staging-us come before it; choose one by hand." in capfd.readouterr().err
    assert promoting.remote_branches(checkout) == ["main", "promote/staging-us/bbbbbbbbbbbb", TO_STAGING]


def test_json_lists_them(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.run_next(Way(folder=checkout, as_json=True, dry_run=True), found=good(checkout)) == ExitCode.DONE
    found = json.loads(capfd.readouterr().out)
    assert [(one["from"], one["to"], one["passed"]) for one in found] == [
        ("dev", "staging", True),
        ("staging", "prod", True),
    ]
    assert promoting.remote_branches(checkout) == ["main"]


def test_a_shallow_clone_does_not_know_what_was_reverted(checkout: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tmp_path / 'remote.git'}", "shallow")
    with pytest.raises(CommandError, match=r"promote --next: this is a shallow clone, .* git fetch --unshallow"):
        command.run_next(Way(folder=tmp_path / "shallow"))


def _documented() -> list[str]:
    found = re.findall(r"`(mlflow-platform promote --next[^`]*)`", (REPOSITORY / "docs" / "delivery.md").read_text())
    assert len(found) >= 2
    return found


@pytest.mark.parametrize("line", sorted({*_documented()}))
def test_a_command_of_the_documentation_works(
    line: str, checkout: Path, server: tuple[GitHub, Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    github, stored = server
    found = good(checkout)
    monkeypatch.setattr(command, "REPOSITORY", checkout)
    monkeypatch.setattr("delivery.promote.evidence.gathered", lambda *_: found)
    for name, value in (("REPOSITORY", github.repository), ("TOKEN", github.token), ("API_URL", github.api)):
        monkeypatch.setenv(f"GITHUB_{name}", value)
    assert cli.run(shlex.split(line)[1:]) == ExitCode.DONE
    assert promoting.remote_branches(checkout) == ["main", TO_PROD, TO_STAGING]
    assert len(stored.pull_requests) == (2 if "--pull-request" in line else 0)
