"""The doctor on a stack of its own, with the real engine; its commands are pasted where they run offline."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.doctor import command
from delivery.doctor.checks import Command
from delivery.outcome import ExitCode
from delivery.pulumi.installation import REPOSITORY
from tests.delivery.apply.stack import Stack, made
from tests.support.stacks import DIGEST


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    repository = tmp_path / "repository"
    shutil.copytree(REPOSITORY / "stacks", repository / "stacks")
    for name in ("Pulumi.yaml", "requirements.txt"):
        shutil.copy(REPOSITORY / name, repository)
    with made(tmp_path, repository) as stack:
        yield stack


def looked(stack: Stack, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code = command.show(stack.engine, Command.UP, azure=False, as_json=True)
    written = json.loads(capfd.readouterr().out)
    assert (code == ExitCode.DONE) == written["passed"]
    return {one["name"]: one for one in written["checks"]}


def test_a_stack_is_made_well_by_the_commands_alone(stack: Stack, capfd: pytest.CaptureFixture[str]) -> None:
    document = yaml.safe_load(stack.file.read_text())
    document["config"]["mlflow-platform:image"] = {"digest": "none"}
    document["config"]["mlflow-platform:protect"] = "maybe"
    document["config"]["mlflow-platform:network"] = {"cidr": "10.40.2.0/24"}
    document["config"]["mlflow-platform:no"] = 1
    stack.file.write_text(yaml.safe_dump(document))
    lock = stack.product.folder / "state" / ".pulumi" / "locks" / "organization" / stack.product.project / "dev"
    lock.mkdir(parents=True, exist_ok=True)
    (lock / "1.json").write_text(
        json.dumps({"pid": 1, "username": "a", "hostname": "elsewhere", "timestamp": "2026-11-29T01:00:00Z"})
    )

    before = looked(stack, capfd)
    assert before["settings"]["result"] == "failed"
    assert before["lock"]["what"].startswith("created by a@elsewhere (pid 1)")
    assert before["subscription"] == {**before["subscription"], "result": "not checked", "what": "not asked for"}
    pasted = _paste(stack, before)
    between = looked(stack, capfd)
    assert between["settings"]["result"] == "ok", between
    assert between["network ranges"]["result"] == "warning", "what could not be looked at before"
    # Two of them set values in the stack's file, which is to be committed then.
    pasted += [*_paste(stack, between), *_paste(stack, looked(stack, capfd))]
    assert {line.split()[0] for line in pasted} >= {"git", "pulumi", "mlflow-platform"}

    after = looked(stack, capfd)
    left = {name: one["what"] for name, one in after.items() if one["result"] in ("failed", "warning")}
    assert sorted(left) == ["secrets provider", "state's backend", "subscription in the file"], left
    assert after["engine"]["what"] == "version 3.274.1, the pinned one"


def _paste(stack: Stack, checks: dict[str, Any]) -> list[str]:
    """Run the commands of what is not well, as a person at this repository does; return them."""
    done = []
    for check in checks.values():
        if check["result"] not in ("failed", "warning"):
            continue
        for remedy in check["remedies"]:
            line = remedy.replace("sha256:DIGEST", DIGEST)
            if "$(az " in line or "VAULT" in line or line.startswith(("pulumi login", "make ")):
                continue
            if line.startswith("mlflow-platform recover"):
                line = f"{line} --yes --config-file {stack.file}"
            environment = {**stack.product.environment, **_GIT}
            ran = subprocess.run(
                ["/bin/sh", "-c", line],
                cwd=stack.repository,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, (line, ran.stdout + ran.stderr)
            done.append(line)
    return done


_GIT = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "t"), ("EMAIL", "t@example.com"))
}
