"""The branch of a promotion when things go wrong: killed at a call of git, several at once, a remote that refuses.

And how git is signed in.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from delivery.outcome import ExitCode
from delivery.repository import sign_in
from tests.delivery.promote import promoting
from tests.delivery.promote.promoting import Promoting, a_release, git, set_release

BRANCH = "promote/staging/aaaaaaaaaaaa"

# Stands before git on PATH. It counts the calls of all of one promotion, and kills who calls it at one of them, before
# or after git did its work.
WRAPPER = """\
#!/bin/sh
echo "$*" >> "$COUNTED_IN/calls"
number=$(wc -l < "$COUNTED_IN/calls")
if [ "$KILLED_AT" = "$number before" ]; then kill -KILL $PPID; exit 1; fi
{git} "$@"
code=$?
if [ "$KILLED_AT" = "$number after" ]; then kill -KILL $PPID; fi
exit $code
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    checkout = promoting.written(tmp_path)
    set_release(checkout, "dev", a_release(checkout, "a"))
    return checkout


@pytest.fixture
def counted(tmp_path: Path) -> dict[str, str]:
    """Variables by which a process calls git through the wrapper."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").write_text(WRAPPER.format(git=shutil.which("git")))
    (programs / "git").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "COUNTED_IN": str(tmp_path)}


def promoted(checkout: Path, variables: Mapping[str, str] | None = None) -> tuple[int | None, str]:
    """Promote in a process of its own; return its exit code and what it said."""
    return Promoting(checkout, checkout.parent / "said", variables).ended()


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text().splitlines()


def test_a_promotion_that_is_killed_at_any_call_of_git_ends_right_when_it_runs_again(
    tmp_path: Path, checkout: Path, counted: dict[str, str]
) -> None:
    before = promoting.local_state(checkout)
    assert promoted(checkout, counted)[0] == 0
    made = calls(tmp_path)
    # From here on it writes; the calls before only read.
    writing = next(number for number, call in enumerate(made, 1) if " hash-object -w " in call)
    for number in range(1, len(made) + 1):
        for when in ("before", "after") if number >= writing else ("after",):
            if BRANCH in promoting.remote_branches(checkout):
                git(checkout, "push", "--quiet", "--delete", "origin", BRANCH)
            (tmp_path / "calls").unlink()
            assert promoted(checkout, {**counted, "KILLED_AT": f"{number} {when}"})[0] == -signal.SIGKILL
            assert promoting.local_state(checkout) == before
            if number < writing:
                assert promoting.remote_branches(checkout) == ["main"]
                continue
            assert promoted(checkout)[0] == 0
            assert promoting.remote_branches(checkout) == ["main", BRANCH]
            assert promoting.local_state(checkout) == before


def test_of_eight_at_once_one_pushes_and_the_others_say_so(tmp_path: Path, checkout: Path) -> None:
    before = promoting.local_state(checkout)
    started = [Promoting(checkout, tmp_path / str(number)) for number in range(8)]
    ended = [process.ended() for process in started]
    assert [code for code, _ in ended] == [0] * 8, ended
    last = [said.splitlines()[-1] for _, said in ended]
    assert sum(line.startswith(f"Pushed branch {BRANCH} to origin") for line in last) == 1
    assert (
        sum(line.startswith(f"origin has branch {BRANCH} with this change, by Ada; nothing was") for line in last) == 7
    )
    assert promoting.remote_branches(checkout) == ["main", BRANCH]
    assert promoting.local_state(checkout) == before


def test_a_remote_that_refuses_is_quoted(tmp_path: Path, checkout: Path) -> None:
    hook = tmp_path / "remote.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'branches are made by the bot' >&2\nexit 1\n")
    hook.chmod(0o755)
    code, said = promoted(checkout)
    assert code == ExitCode.FAILED
    assert "branches are made by the bot" in said
    assert promoting.remote_branches(checkout) == ["main"]


def test_variables_of_a_hook_do_not_lead_to_another_repository(tmp_path: Path, checkout: Path) -> None:
    git(tmp_path, "init", "--quiet", "elsewhere")
    elsewhere = {"GIT_DIR": str(tmp_path / "elsewhere" / ".git"), "GIT_INDEX_FILE": str(tmp_path / "index")}
    assert promoted(checkout, elsewhere)[0] == ExitCode.DONE
    assert promoting.remote_branches(checkout) == ["main", BRANCH]
    assert not (tmp_path / "index").exists()


def test_git_is_signed_in_to_the_server_of_the_workflow_alone(tmp_path: Path) -> None:
    environ = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_TOKEN": "of-the-step", "GIT_CONFIG_COUNT": "1"}
    environ |= {"GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Ada"}

    def asked(*arguments: str, given: dict[str, str]) -> str:
        command = ["git", "-C", str(tmp_path), "config", *arguments]
        variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **given, **sign_in(given)}
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False).stdout.strip()

    def header(url: str, given: dict[str, str] = environ) -> str:
        return asked("--get-urlmatch", "http.extraheader", url, given=given)

    scheme, _, secret = header("https://github.com/example/ml.git").removeprefix("Authorization: ").partition(" ")
    assert (scheme, base64.b64decode(secret)) == ("Basic", b"x-access-token:of-the-step")
    assert header("https://github.com.evil.example/ml.git") == ""
    assert header("https://example.com/ml.git") == ""
    assert header("https://github.com/example/ml.git", {**environ, "GITHUB_TOKEN": ""}) == ""
    assert header("http://github.com/ml.git", {**environ, "GITHUB_SERVER_URL": "http://github.com"}) == ""
    assert asked("user.name", given=environ) == "Ada"

    pipeline = {"SYSTEM_COLLECTIONURI": "https://dev.azure.com/example/", "SYSTEM_ACCESSTOKEN": "of-the-job"}
    assert header("https://example@dev.azure.com/example/ml/_git/ml", pipeline) == "Authorization: Bearer of-the-job"
    assert header("https://dev.azure.com/another/ml/_git/ml", pipeline) == ""
    assert header("https://dev.azure.com/example/ml", {**pipeline, "SYSTEM_ACCESSTOKEN": ""}) == ""
