"""Promotions in real repositories with a bare remote: what is proposed, pushed, refused, and what stays as it is."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from components.mlflow.runtime_contract import CONTRACT
from delivery import cli
from delivery.outcome import CommandError, ExitCode
from delivery.preview.reasons import Verdict
from delivery.promote import command
from delivery.promote.command import Way
from delivery.promote.gates import Unknown
from delivery.promote.promotion import Request
from delivery.promote.proposal import MOST_COMMITS
from delivery.promote.release import Build, Release
from delivery.promote.stack_files import Files
from delivery.repository import Repository
from tests.delivery.promote import promoting
from tests.delivery.promote.promoting import a_release, committed, evidence, git, set_release

DEV_TO_STAGING = Request(source="dev", target="staging")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which dev has a release and the other stacks have none."""
    checkout = promoting.written(tmp_path)
    set_release(checkout, "dev", a_release(checkout, "a"))
    return checkout


def promote(checkout: Path, request: Request = DEV_TO_STAGING, **more: Any) -> int:
    """Promote with evidence by which dev's release passes; `more` changes the evidence."""
    flags = {flag: more.pop(flag) for flag in ("dry_run", "as_json", "onto", "remote", "summary") if flag in more}
    found = evidence(promoting.read_release(checkout, "dev"), **more)
    return command.run(request, [], Way(folder=checkout, **flags), found)


def test_a_promotion_is_a_branch_with_the_releases_lines_and_nothing_else(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # What git remembers of the files' times is old, so that it would like to write the index.
    for file in checkout.glob("stacks/*.yaml"):
        os.utime(file, (0, 0))
    before = promoting.local_state(checkout)
    assert promote(checkout) == ExitCode.DONE
    printed = capfd.readouterr()
    assert promoting.remote_branches(checkout) == ["main", "promote/staging/aaaaaaaaaaaa"]
    assert promoting.local_state(checkout) == before
    git(checkout, "fetch", "--quiet", "origin", "promote/staging/aaaaaaaaaaaa")
    assert git(checkout, "diff", "--numstat", "HEAD", "FETCH_HEAD") == "5\t1\tstacks/Pulumi.staging.yaml"
    assert git(checkout, "rev-parse", "FETCH_HEAD^") == git(checkout, "rev-parse", "HEAD")
    assert git(checkout, "log", "-1", "--format=%an: %B", "FETCH_HEAD").splitlines() == [
        "Ada: Promote aaaaaaaaaaaa, MLflow 3.17.2 to staging",
        "",
        f"Release: sha256:{'a' * 64}",
        f"Built-From: {promoting.read_release(checkout, 'dev').commit}",
        "Release-From: dev",
        "Gates: applied passed; clean passed; pending passed; smoke passed; soak passed; alerts passed; drift passed; "
        "label passed; ancestry passed; provenance passed; registry passed; schema passed; guardrails passed; "
        "preview passed",
    ]
    assert printed.out.startswith("### `staging`: `aaaaaaaaaaaa` from `dev`\n")
    assert "Pushed branch promote/staging/aaaaaaaaaaaa to origin" in printed.err


def test_a_dry_run_shows_the_lines_and_pushes_nothing(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert promote(checkout, dry_run=True) == ExitCode.DONE
    err = capfd.readouterr().err
    assert [line.split()[:2] for line in err.splitlines() if line.startswith("  ")] == [
        ["-", "digest:"],
        *[["+", f"{key}:"] for key in ("digest", "commit", "mlflow", "schema", "contract")],
    ]
    assert promoting.remote_branches(checkout) == ["main"]


def test_without_the_remote_a_dry_run_takes_what_is_checked_out(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    git(checkout, "remote", "remove", "origin")
    assert promote(checkout, dry_run=True) == ExitCode.DONE
    assert "Taking what is checked out." in capfd.readouterr().err
    with pytest.raises(CommandError, match="--remote: got 'origin', which git does not have here"):
        promote(checkout)


def test_a_jobs_summary_says_where_to_go_on(checkout: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("Before.\n")
    git(checkout, "remote", "set-url", "--push", "origin", "https://github.com/example/mlflow-platform.git")
    assert promote(checkout, dry_run=True, summary=summary) == ExitCode.DONE
    text = summary.read_text()
    assert text.startswith("Before.\nEvery gate is passed. Nothing was pushed: --dry-run.\n\n### `staging`")
    assert capfd.readouterr().out in text
    git(checkout, "remote", "set-url", "--push", "origin", str(tmp_path / "remote.git"))
    assert promote(checkout, summary=summary) == ExitCode.DONE
    assert "Pushed branch promote/staging/aaaaaaaaaaaa to origin" in summary.read_text()


def test_json_has_all_of_it(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert promote(checkout, as_json=True) == ExitCode.DONE
    document = json.loads(capfd.readouterr().out)
    assert document["release"]["mlflow"] == "3.17.2"
    assert document["pushed"] == git(checkout, "ls-remote", "origin", document["branch"]).split()[0]
    assert {gate["state"] for gate in document["gates"]} == {"passed"}
    assert document["markdown"].startswith("### ")


def test_the_same_again_is_there_already(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert promote(checkout) == ExitCode.DONE
    committed(checkout, "Something else on main")
    capfd.readouterr()
    assert promote(checkout) == ExitCode.DONE
    assert "with this change, by Ada; nothing was pushed" in capfd.readouterr().err


def test_another_change_under_the_branchs_name_is_refused(checkout: Path) -> None:
    assert promote(checkout) == ExitCode.DONE
    git(checkout, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/promote/staging/aaaaaaaaaaaa")
    with pytest.raises(CommandError, match=r"another change, by Ada.*git push origin --delete promote/staging/a{12}"):
        promote(checkout)


def test_a_stack_that_has_the_release_is_said_so(checkout: Path) -> None:
    set_release(checkout, "staging", promoting.read_release(checkout, "dev"))
    with pytest.raises(CommandError, match="staging has release aaaaaaaaaaaa already"):
        promote(checkout)


@pytest.mark.parametrize("stack", ["dev", "staging"])
@pytest.mark.parametrize("where", ["here", "on the remote"])
def test_a_file_that_was_edited_is_refused(tmp_path: Path, checkout: Path, stack: str, where: str) -> None:
    if where == "here":
        with (checkout / "stacks" / f"Pulumi.{stack}.yaml").open("a") as file:
            file.write("# mine\n")
    else:
        _edited_on_the_remote(tmp_path, checkout, stack)
    with pytest.raises(CommandError, match=rf"Pulumi\.{stack}\.yaml: the one here differs from [0-9a-f]{{12}}"):
        promote(checkout)
    assert promoting.remote_branches(checkout) == ["main"]


@pytest.mark.parametrize("stack", ["dev", "staging"])
def test_a_file_that_is_edited_while_the_gates_look_is_refused(tmp_path: Path, checkout: Path, stack: str) -> None:
    def meanwhile(_: Any) -> Any:
        _edited_on_the_remote(tmp_path, checkout, stack)
        return promoting.report()

    with pytest.raises(CommandError, match=rf"Pulumi\.{stack}\.yaml: main of origin has another one since"):
        promote(checkout, preview=meanwhile)
    assert promoting.remote_branches(checkout) == ["main"]


def _edited_on_the_remote(tmp_path: Path, checkout: Path, stack: str) -> None:
    other = tmp_path / "other"
    git(tmp_path, "clone", "--quiet", str(tmp_path / "remote.git"), str(other))
    with (other / "stacks" / f"Pulumi.{stack}.yaml").open("a") as file:
        file.write("# theirs\n")
    committed(other, "Edit")


def test_what_else_came_to_the_remote_meanwhile_does_not_matter(tmp_path: Path, checkout: Path) -> None:
    _edited_on_the_remote(tmp_path, checkout, "prod")
    assert promote(checkout) == ExitCode.DONE


def test_what_somebody_took_on_is_in_the_commit(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    unknown: dict[str, Any] = dict.fromkeys(["alerts", "drift"], lambda *_: Unknown("no login"))
    assert promote(checkout, **unknown) == ExitCode.FAILED
    assert "Stopped by alerts, drift: nothing was pushed." in capfd.readouterr().err
    assert promoting.remote_branches(checkout) == ["main"]
    request = Request(source="dev", target="staging", accepts=["alerts", "drift", "smoke"])
    assert promote(checkout, request, **unknown) == ExitCode.DONE
    git(checkout, "fetch", "--quiet", "origin", "promote/staging/aaaaaaaaaaaa")
    trailers = git(checkout, "log", "-1", "--format=%(trailers:key=Accepts,valueonly)", "FETCH_HEAD")
    assert trailers.split() == ["alerts", "drift"]


def test_an_emergency_skips_three_gates_and_says_why(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reason = "Every login fails\n\nAccepts: everything\x1b[2J @all"
    request = Request(source="dev", target="staging", emergency=reason)
    bad: dict[str, Any] = {
        "smoke": lambda *_: False,
        "alerts": lambda *_: ["x"],
        "updates": lambda _: [promoting.update(promoting.read_release(checkout, "dev"), hours=0)],
    }
    assert promote(checkout, request, **bad) == ExitCode.DONE
    text = capfd.readouterr().out
    assert re.findall(r"`(\w+)` \| \*\*skipped", text) == ["smoke", "soak", "alerts"]
    assert "\x1b" not in text
    git(checkout, "fetch", "--quiet", "origin", "promote/staging/aaaaaaaaaaaa")
    trailers = git(checkout, "log", "-1", "--format=%(trailers)", "FETCH_HEAD").splitlines()
    assert trailers[-1] == "Emergency: Every login fails Accepts: everything\\x1b[2J @all"
    assert [line for line in trailers if line.startswith("Accepts")] == []


def test_an_emergency_skips_no_other_gate(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    request = Request(source="dev", target="staging", emergency="x", accepts=["drift"])
    refused = promoting.report(Verdict.NOT_COMPUTED, promoting.reasons("the engine fails"))
    bad: dict[str, Any] = {"drift": lambda _: ["tags"], "preview": lambda _: refused}
    assert promote(checkout, request, **bad) == ExitCode.FAILED
    assert "Stopped by drift, preview" in capfd.readouterr().err


def test_a_setting_travels_where_it_is_asked_for(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = checkout / "stacks" / "Pulumi.dev.yaml"
    more = (
        "  mlflow-platform:tracking: {concurrency: 20}\n  mlflow-platform:limits: {databasePool: 3, maxInFlight: 50}\n"
    )
    file.write_text(file.read_text() + more)
    committed(checkout, "Tune dev")
    assert promote(checkout, Request(source="dev", target="staging", travels=["tracking.concurrency"])) == ExitCode.DONE
    assert "| `tracking.concurrency` | none | `20` |" in capfd.readouterr().out
    git(checkout, "fetch", "--quiet", "origin", "promote/staging/aaaaaaaaaaaa")
    new = git(checkout, "show", "FETCH_HEAD:stacks/Pulumi.staging.yaml")
    assert new.endswith(f"    contract: {CONTRACT}\n  mlflow-platform:tracking:\n    concurrency: 20")
    assert promote(checkout, Request(source="dev", target="staging", travels=["limits"]), dry_run=True) == ExitCode.DONE
    assert "| `limits.maxInFlight` | none | `50` |" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("location", "the region cannot change"),
        ("network.cidr", "ranges and peers are the stack's own"),
        ("database.sku", "its size is for the load of the stack"),
        ("tracking.cpu", "its size is for the load of the stack"),
        ("tags.owner", "owner, cost center"),
        ("monitoring.emails", "mail, budget"),
        ("github", "who deploys"),
        ("nameGeneration", "the names of resources"),
        ("limit", "there is no such setting"),
        ("limits.maxBodyMib", "does not set it"),
    ],
)
def test_a_setting_that_stays_is_refused_with_the_reason(checkout: Path, key: str, why: str) -> None:
    with pytest.raises(CommandError, match=rf"--with {re.escape(key)}: .*{why}") as refused:
        promote(checkout, Request(source="dev", target="staging", travels=[key]))
    assert refused.value.code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("dev", "prod", "staging comes before prod.*Run: mlflow-platform promote dev staging"),
        ("staging", "dev", "Run: mlflow-platform promote dev staging"),
        ("dev", "dev", "got dev twice"),
        ("dev", "qa", "stack 'qa' has no file stacks/Pulumi.qa.yaml on Azure in .*expected one of dev, prod, staging"),
        ("local", "dev", "stack 'local' has no file"),
        ("staging", "prod", "stacks/Pulumi.staging.yaml names no image"),
    ],
)
def test_stacks_out_of_order_are_refused(checkout: Path, source: str, target: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        promote(checkout, Request(source=source, target=target))


def test_an_image_goes_to_the_first_stack(checkout: Path) -> None:
    wanted = a_release(checkout, "e")
    built = Build(digest=wanted.digest, labels=promoting.labels(wanted))
    with pytest.raises(CommandError, match=r"dev comes before staging.*Run: mlflow-platform promote IMAGE dev"):
        promote(checkout, Request(build=built, target="staging"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dev"], "got dev; expected FROM TO"),
        (["dev", "staging", "--rollback"], "got dev staging --rollback; expected TO"),
        (["prod", "--rollback", "--emergency", "x"], "Run: mlflow-platform promote prod --rollback"),
        (["dev", "staging", "--emergency", " "], "--emergency: got no reason"),
        (["dev", "prod", "--reason", "a b"], "Run: mlflow-platform promote prod --rollback --reason 'a b'"),
        (["dev", "staging", "--accepts", "preview"], "--accepts: got preview; expected one of alerts, ancestry"),
        (["image.json", "dev"], "image.json: got no document of an image"),
        (["ghcr.io/x/y:latest", "dev"], "got ghcr.io/x/y:latest; expected a stack, or an image by its digest"),
        (["image.json", "dev", "--with", "limits"], "--with: got it with an image"),
    ],
)
def test_arguments_that_do_not_go_together_are_wrong_usage(
    words: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["promote", *words]) == ExitCode.USAGE
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["dev", "staging", "--emergency", "Logins fail, by $(System.AccessToken)"],
        ["dev", "staging", "--emergency", "the token is of-the-job"],
        ["dev", "staging", "--accepts", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln"],
        ["dev", "staging", "--with", "ghp_0123456789012345678901234567890123456"],
        ["$(STATE_ACCOUNT)", "dev"],
    ],
)
def test_a_text_with_a_secret_is_refused_and_not_shown(
    words: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSTEM_ACCESSTOKEN", "of-the-job")
    assert cli.run(["promote", *words]) == ExitCode.USAGE
    error = capfd.readouterr().err
    assert "promote: got a text with a secret" in error
    assert not any(word in error for word in ("of-the-job", "eyJ", "ghp_"))


def test_a_password_that_is_a_word_refuses_no_text_with_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "dev")
    assert cli.run(["promote", "dev", "staging", "--accepts", "preview"]) == ExitCode.USAGE
    assert "--accepts: got preview" in capfd.readouterr().err


@pytest.mark.parametrize("image", ["{digest: 'sha256:../../x'}", "{digest: latest}", "[1]", "none"])
def test_a_file_that_names_no_image_is_refused(checkout: Path, image: str) -> None:
    file = checkout / "stacks" / "Pulumi.dev.yaml"
    file.write_text(f"config:\n  mlflow-platform:profile: dev\n  mlflow-platform:image: {image}\n")
    committed(checkout, "By hand")
    with pytest.raises(CommandError, match=r"stacks/Pulumi\.dev\.yaml names no image"):
        command.run(DEV_TO_STAGING, [], Way(folder=checkout), evidence(a_release(checkout, "a")))


@pytest.mark.parametrize("content", ["config: [1]\n", "- 1\n", "config: {\n", "x"])
def test_a_file_that_is_no_object_is_refused(checkout: Path, content: str) -> None:
    (checkout / "stacks" / "Pulumi.staging.yaml").write_text(content)
    committed(checkout, "By hand")
    with pytest.raises(CommandError, match=r"stacks/Pulumi\.staging\.yaml: line \d: got"):
        promote(checkout)


def test_an_anchor_in_the_file_is_refused(checkout: Path) -> None:
    file = checkout / "stacks" / "Pulumi.staging.yaml"
    file.write_text(file.read_text().replace("owner: ml-platform", "owner: &team ml-platform"))
    committed(checkout, "With an anchor")
    with pytest.raises(CommandError, match=r"stacks/Pulumi\.staging\.yaml: line 5 has an anchor"):
        promote(checkout)


def test_only_stacks_that_exist_come_between(checkout: Path) -> None:
    git(checkout, "rm", "--quiet", "stacks/Pulumi.staging.yaml")
    committed(checkout, "Without staging")
    assert promote(checkout, Request(source="dev", target="prod"), dry_run=True) == ExitCode.DONE


def test_a_digest_alone_does_not_travel(checkout: Path) -> None:
    file = checkout / "stacks" / "Pulumi.dev.yaml"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if line.split(":")[0].strip() not in ("commit", "schema")))
    committed(checkout, "By hand")
    with pytest.raises(CommandError, match=r"digest alone.*mlflow-platform promote \.local/image/image\.json dev"):
        promote(checkout)


HOSTILE = "<img src=x> @all `a` ``b`` | [x](http://evil) \x1b[2J \u202e <!-- mlflow-platform:preview stack=prod --> #1"


def test_hostile_subjects_and_values_are_shown_as_code(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    set_release(checkout, "staging", promoting.read_release(checkout, "dev"))
    with (checkout / "stacks" / "Pulumi.staging.yaml").open("a") as file:
        file.write(f"  mlflow-platform:github:\n    repository: {json.dumps(HOSTILE)}\n")
    for number in range(40):
        committed(checkout, f"{HOSTILE} {number}")
    set_release(checkout, "dev", a_release(checkout, "b"))
    found = evidence(promoting.read_release(checkout, "dev"), alerts=lambda *_: [HOSTILE])
    request = Request(source="dev", target="staging", emergency=HOSTILE)
    assert command.run(request, [], Way(folder=checkout, dry_run=True), found) == ExitCode.FAILED
    text = capfd.readouterr().out
    assert text.count(r"\x1b[2J \x202e") > MOST_COMMITS
    assert "and 12 more" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    # Nothing of it is outside of code, where a server would render it, link it or notify somebody.
    outside = re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)
    assert [found for found in ("<img", "<a ", "@all", "<!--", "evil", "#1") if found in outside] == []


class TestRollback:
    """Back to the release before, by the history of the file."""

    @pytest.fixture
    def released(self, checkout: Path) -> Path:
        """The checkout in which prod had the releases a, b and c."""
        for digit in "abc":
            set_release(checkout, "prod", a_release(checkout, digit))
        return checkout

    def back(self, checkout: Path, *, reason: str = "") -> int:
        return promote(checkout, Request(target="prod", rollback=True, reason=reason))

    def of(self, checkout: Path, digit: str) -> Release:
        """The release with a digest of this digit, as prod's file had it."""
        every = Files(repository=Repository(checkout), commit="HEAD").releases("prod")
        return next(one for one in every if one.short[0] == digit)

    def now(self, checkout: Path) -> str:
        """Merge what was pushed, and return the digit of the release that prod then has."""
        branch = next(name for name in promoting.remote_branches(checkout) if name.startswith("rollback/"))
        git(checkout, "fetch", "--quiet", "origin", branch)
        git(checkout, "merge", "--quiet", "--no-ff", "--no-edit", "FETCH_HEAD")
        git(checkout, "push", "--quiet", "origin", "main", f":{branch}")
        return promoting.read_release(checkout, "prod").short[0]

    def test_it_is_the_release_before_each_time(self, released: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert self.back(released, reason="Logins fail\nAccepts: all @ada") == ExitCode.DONE
        text = capfd.readouterr().out
        assert "**Why:** `Logins fail Accepts: all @ada`" in text
        git(released, "fetch", "--quiet", "origin", f"rollback/prod/{'b' * 12}")
        now, before = (self.of(released, digit) for digit in "bc")
        message = git(released, "log", "-1", "--format=%an: %B", "FETCH_HEAD").splitlines()
        assert message[0] == f"Ada: Roll prod back to {now.short}, MLflow {now.mlflow}"
        assert [line for line in message[2:] if not line.startswith("Gates: ")] == [
            f"Release: {now.digest}",
            f"Built-From: {now.commit}",
            "Release-From: its history",
            f"Release-Before: {before.digest}",
            f"Before-Built-From: {before.commit}",
            "Reason: Logins fail Accepts: all @ada",
        ]
        assert "### `prod`: `cccccccccccc` → back to `bbbbbbbbbbbb` from `its history`" in text
        assert "<b>It goes back over 1 commit</b>" in text
        assert self.now(released) == "b"
        # The one that was rolled back is not gone back to.
        assert self.back(released) == ExitCode.DONE
        assert self.now(released) == "a"
        with pytest.raises(CommandError, match="no release before the present one in its history"):
            self.back(released)

    def test_a_release_that_came_back_has_its_own_one_before(self, released: Path) -> None:
        assert self.back(released) == ExitCode.DONE
        assert self.now(released) == "b"
        set_release(released, "prod", a_release(released, "d"))
        assert self.back(released) == ExitCode.DONE
        assert self.now(released) == "b"

    def test_the_file_is_as_it_was_but_for_what_else_changed(self, released: Path) -> None:
        file = released / "stacks" / "Pulumi.prod.yaml"
        file.write_text(file.read_text().replace("monthlyBudget: 1200", "monthlyBudget: 1300"))
        committed(released, "More budget")
        assert self.back(released) == ExitCode.DONE
        assert self.now(released) == "b"
        assert "monthlyBudget: 1300" in file.read_text()

    def test_a_schema_without_a_way_back_is_refused_with_the_restore_point(
        self, checkout: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        set_release(checkout, "prod", a_release(checkout, "a", "3.16.1"))
        set_release(checkout, "prod", a_release(checkout, "b", "3.17.2"))
        assert self.back(checkout) == ExitCode.FAILED
        printed = capfd.readouterr()
        assert (
            "restore point with from_revision b7e2c1a4d9f3, docs/upgrades.md#back-to-the-restore-point" in printed.out
        )
        assert "Stopped by schema" in printed.err
        assert promoting.remote_branches(checkout) == ["main"]

    def test_the_schema_that_a_rolled_back_release_brought_counts(
        self, checkout: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """The databases stay at the newest schema that a release brought, whatever the file says now."""
        for digit, mlflow in (("a", "3.16.1"), ("b", "3.16.1"), ("c", "3.17.2"), ("b", "3.16.1")):
            set_release(checkout, "prod", a_release(checkout, digit, mlflow))
        assert self.back(checkout) == ExitCode.FAILED
        assert "does not run on dc11669786a5" in capfd.readouterr().out

    def test_history_ends_where_there_was_no_image(self, released: Path) -> None:
        file = released / "stacks" / "Pulumi.prod.yaml"
        before = file.read_text()
        file.write_text((released / "stacks" / "Pulumi.staging.yaml").read_text().replace("staging", "prod"))
        committed(released, "Restore the databases")
        file.write_text(before)
        committed(released, "The restored release")
        with pytest.raises(CommandError, match="no release before"):
            self.back(released)

    def test_a_shallow_clone_has_no_history(self, tmp_path: Path, released: Path) -> None:
        git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{released.parent}/remote.git", "shallow")
        with pytest.raises(CommandError, match="Run: git fetch --unshallow"):
            self.back(tmp_path / "shallow")


@pytest.mark.parametrize("more", ["dev staging", "--with limits", "--accepts smoke", "--emergency x", "--rollback"])
def test_the_next_stages_take_no_decision_of_a_person(more: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["promote", "--next", *more.split()]) == ExitCode.USAGE
    assert "Run: mlflow-platform promote --next --dry-run" in capfd.readouterr().err


def test_a_pull_request_is_opened_in_a_workflow_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    assert cli.run(["promote", "dev", "staging", "--pull-request"]) == ExitCode.USAGE
    assert "GITHUB_REPOSITORY (owner/name) and GITHUB_TOKEN are expected" in capfd.readouterr().err
