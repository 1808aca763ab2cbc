"""The workflows: what zizmor does not see, and that each rule here finds the fault that it is for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.doctor.checks.repository import wanted
from delivery.stacks import on_azure
from tests.support.command_line import parse

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDER = REPOSITORY / ".github" / "workflows"
SOURCES = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.yml"))}
ON_AZURE = {name for name in on_azure() if name != "bootstrap"}
PROGRAM = ".venv/bin/mlflow-platform"
OTHER_COMMANDS = ("make toolchain", "make venv", ".ci/run")
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
WRITES = "write"
TRIGGERS = {"pull_request", "push", "schedule", "workflow_call", "workflow_dispatch"}
RUNNER = "ubuntu-24.04"
OF_PULL_REQUEST = "${{ github.event.pull_request.base.sha }}"
DEFAULT_BRANCH = "${{ github.event.repository.default_branch }}"
FEWEST_BUILDS = 2
BY_HAND = "github.event_name == 'workflow_dispatch'"
OF_A_PERSON = ("--accepts", "--emergency", "--rollback", f"{PROGRAM} up")
STARTS = {"opened", "reopened", "synchronize", "ready_for_review"}
"""What a pull request is looked at for: a promotion by schedule is a draft until a person says that it is ready."""


def faults(sources: Mapping[str, str]) -> list[str]:
    """What is wrong with the workflows, by file and job."""
    return [fault for name, source in sources.items() for fault in _found(name, source)]


@cache
def _found(name: str, source: str) -> tuple[str, ...]:
    """The same file has the same faults: a mutation changes one of them."""
    return tuple(_of_file(name, source))


def _of_file(name: str, source: str) -> Iterator[str]:
    # YAML 1.1 takes the key `on` for a boolean.
    document: Mapping[Any, Any] = yaml.safe_load(source)
    triggers = document[True]
    if document.get("permissions") != {}:
        yield f"{name}: its jobs have rights that they do not name"
    if others := sorted({*([triggers] if isinstance(triggers, str) else triggers)} - TRIGGERS):
        yield f"{name}: starts with the rights of the repository on somebody else's code: {', '.join(others)}"
    if "secrets." in source:
        yield f"{name}: uses a secret"
    for line in source.splitlines():
        if "uses:" in line and "@" in line and not re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line):
            yield f"{name}: an action without its SHA and version: {line.strip()}"
        if "uses:" in line and "@" in line and not re.search(r"uses: actions/(?!github-script)", line):
            yield f"{name}: an action that runs somebody else's code, or a script in YAML: {line.strip()}"
    if "pull_request" in triggers and {*((triggers["pull_request"] or {}).get("types") or ())} != STARTS:
        yield f"{name}: looks at a pull request too late, or never at one that was a draft"
    for key, job in document["jobs"].items():
        where = f"{name}: {key}"
        yield from (f"{where} {fault}" for fault in _of_job(job, document))


def _of_job(job: Mapping[str, Any], document: Mapping[Any, Any]) -> Iterator[str]:
    rights: Mapping[str, str] = job.get("permissions") or {}
    if not isinstance(job.get("permissions"), Mapping):
        yield "names no rights"
        return
    if "uses" in job:
        if not str(job["uses"]).startswith("./"):
            yield "calls a workflow of somebody else"
        return
    if "timeout-minutes" not in job:
        yield "never ends"
    if job.get("runs-on") != RUNNER:
        yield "runs on a machine that is kept between jobs"
    steps = job["steps"]
    writes = {right for right, level in rights.items() if level == WRITES and right != "id-token"}
    of_pull_request = "pull_request" in document[True]
    checkouts = [step for step in steps if str(step.get("uses", "")).startswith("actions/checkout@")]
    refs = {(step.get("with") or {}).get("ref") for step in checkouts}
    if of_pull_request and writes and refs != {OF_PULL_REQUEST}:
        yield f"runs the pull request's code with rights to write: {', '.join(sorted(writes))}"
    if any((step.get("with") or {}).get("persist-credentials") is not False for step in checkouts):
        yield "leaves the checkout's token on disk"
    if rights.get("id-token") == WRITES:
        if writes and (of_pull_request or refs != {DEFAULT_BRANCH}):
            yield "signs in to Azure and writes to GitHub"
        if "environment" not in job:
            yield "signs in to Azure outside of an environment"
        if of_pull_request and "head.repo.full_name == github.repository" not in str(job.get("if")):
            yield "signs in to Azure for a fork"
    commands = [str(step["run"]) for step in steps if "run" in step]
    applies = any(f"{PROGRAM} up" in command for command in commands)
    if any("continue-on-error" in one for one in (job, *steps)):
        yield "goes on after a failure"
    concurrency = job.get("concurrency") or document.get("concurrency") or {}
    reads = str(job.get("environment", "-preview")).endswith("-preview")
    if not reads and concurrency.get("cancel-in-progress") is not False:
        yield "may be cancelled while it changes something"
    if applies and (concurrency.get("cancel-in-progress") is not False or "inputs.stack" not in concurrency["group"]):
        yield "may run beside another update of the stack, or be cancelled"
    if applies and (job.get("needs") != "plan" or not str(job.get("environment")).endswith("inputs.stack }}")):
        yield "applies without a plan and the approval of the stack's environment"
    matrix = ((job.get("strategy") or {}).get("matrix") or {}).get("stack")
    if matrix is not None and set(matrix) != ON_AZURE:
        yield f"is for {', '.join(matrix)} and not for {', '.join(sorted(ON_AZURE))}"
    if "schedule" in document[True] and job.get("if") != BY_HAND:
        yield from _on_a_schedule(job, commands)
    proposes = any(f"{PROGRAM} promote" in command and "--pull-request" in command for command in commands)
    if proposes != ("pull-requests" in writes) and not of_pull_request:
        yield "opens a pull request without the right to, or may without need"
    for command in commands:
        yield from _of_command(command)
    if any("attest" in str(step.get("uses")) for step in steps) and not any(" image push " in one for one in commands):
        yield "attests what it has not pushed"


def _on_a_schedule(job: Mapping[str, Any], commands: list[str]) -> Iterator[str]:
    if "inputs." in str(job):
        yield "reads the fields of a form on a schedule, which has none"
    if any(word in command for command in commands for word in OF_A_PERSON):
        yield "decides on a schedule what a person decides"


def _of_command(command: str) -> Iterator[str]:
    if "${{" in command:
        yield f"puts a value of GitHub's into a shell: {command}"
    if re.search(r"&&|\|\||[;|\n]", command.strip()):
        yield f"holds logic: {command}"
    if command in OTHER_COMMANDS:
        return
    words = shlex.split(command.partition(" >>")[0])
    if words[0] != PROGRAM:
        yield f"runs another program than the product's: {command}"
        return
    if words[1] == "up" and "--approved" not in words:
        yield f"applies what nobody approved: {command}"
    if words[1:3] == ["image", "push"] and len(words[3 : words.index("--to")]) < FEWEST_BUILDS:
        yield f"publishes what one machine alone has built: {command}"
    try:
        parse(words[1:])
    except Exception as error:  # noqa: BLE001 - click has many, and each means that the command line refuses it
        yield f"gives a command that the command line refuses: {command}: {error!r}"


def test_the_workflows_have_no_fault() -> None:
    assert SOURCES.keys() >= {
        *("check.yml", "preview.yml", "deploy.yml", "deploy-stack.yml", "drift.yml"),
        *("image.yml", "promote.yml"),
    }
    assert faults(SOURCES) == []


MUTATIONS = [
    ("check.yml", "  pull_request:\n", "  pull_request_target:\n", "somebody else's code"),
    ("check.yml", "permissions: {}\n", "", "rights that they do not name"),
    ("check.yml", "    permissions:\n      contents: read\n", "", "names no rights"),
    ("check.yml", "          persist-credentials: false\n", "", "token on disk"),
    ("check.yml", "@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0", "@v5", "without its SHA"),
    ("check.yml", " # v5.0.0", "", "without its SHA"),
    ("check.yml", "    timeout-minutes: 90\n", "", "never ends"),
    ("check.yml", "- run: .ci/run", "- run: echo ${{ github.head_ref }}", "into a shell"),
    ("check.yml", "- run: .ci/run", "- run: .ci/run || true", "holds logic"),
    ("check.yml", "- run: .ci/run", "- run: pulumi up", "another program"),
    ("check.yml", '--against "$BASE"', '--since "$BASE"', "the command line refuses"),
    ("check.yml", "[dev, staging, prod]", "[dev, prod]", "is for dev, prod"),
    ("check.yml", "${{ matrix.stack }}", "${{ secrets.STACK }}", "uses a secret"),
    ("preview.yml", "          ref: ${{ github.event.pull_request.base.sha }}\n", "", "the pull request's code"),
    ("preview.yml", "      id-token: write\n", "      id-token: write\n      checks: write\n", "writes to GitHub"),
    ("preview.yml", "    environment: ${{ matrix.stack }}-preview\n", "", "outside of an environment"),
    (
        "preview.yml",
        "    if: github.event.pull_request.head.repo.full_name == github.repository\n",
        "",
        "for a fork",
    ),
    ("deploy-stack.yml", "      cancel-in-progress: false\n", "      cancel-in-progress: true\n", "be cancelled"),
    ("deploy-stack.yml", "group: stack-${{ inputs.stack }}", "group: deploy", "beside another update"),
    ("deploy-stack.yml", "    needs: plan\n", "", "without a plan"),
    (
        "deploy-stack.yml",
        "    environment: ${{ inputs.stack }}\n",
        "    environment: ${{ inputs.stack }}-preview\n",
        "approval",
    ),
    ("deploy.yml", "./.github/workflows/deploy-stack.yml", "evil/x/.github/workflows/y.yml@main", "somebody else"),
    ("check.yml", "  pull_request:\n", "  issue_comment:\n", "somebody else's code: issue_comment"),
    ("check.yml", "  pull_request:\n", "  workflow_run:\n", "somebody else's code: workflow_run"),
    ("check.yml", "    permissions:\n      contents: read\n", "    permissions: write-all\n", "names no rights"),
    ("check.yml", "uses: actions/checkout@", "uses: evil/checkout@", "somebody else's code, or a script"),
    ("check.yml", "uses: actions/checkout@", "uses: actions/github-script@", "a script in YAML"),
    ("check.yml", "runs-on: ubuntu-24.04", "runs-on: self-hosted", "kept between jobs"),
    (
        "check.yml",
        "    timeout-minutes: 90\n",
        "    timeout-minutes: 90\n    continue-on-error: true\n",
        "after a failure",
    ),
    ("deploy-stack.yml", "--approved .local/plan.json", "", "nobody approved"),
    (
        "deploy-stack.yml",
        "      - id: plan\n",
        "      - id: plan\n        continue-on-error: true\n",
        "after a failure",
    ),
    ("deploy-stack.yml", "    environment: ${{ inputs.stack }}\n", "", "outside of an environment"),
    ("image.yml", ".local/images/image-first .local/images/image-second", ".local/images/image-first", "one machine"),
    ("image.yml", "    environment: build\n", "", "outside of an environment"),
    ("image.yml", f"          ref: {DEFAULT_BRANCH}\n", "", "signs in to Azure and writes to GitHub"),
    ("image.yml", "cancel-in-progress: false", "cancel-in-progress: true", "while it changes something"),
    ("image.yml", "      - id: push\n        run: ", "      - id: push\n        name: ", "has not pushed"),
    ("image.yml", "image push ", "image publish ", "the command line refuses"),
    ("image.yml", "  workflow_dispatch:\n", "  pull_request:\n", "signs in to Azure for a fork"),
    ("promote.yml", f"          ref: {DEFAULT_BRANCH}\n", "", "signs in to Azure and writes to GitHub"),
    ("promote.yml", f"ref: {DEFAULT_BRANCH}", "ref: ${{ inputs.from }}", "signs in to Azure and writes to GitHub"),
    ("promote.yml", "    environment: promote\n", "", "outside of an environment"),
    ("promote.yml", "cancel-in-progress: false", "cancel-in-progress: true", "while it changes something"),
    ("promote.yml", '"$FROM"', '"${{ inputs.from }}"', "into a shell"),
    ("promote.yml", "          persist-credentials: false\n", "", "token on disk"),
    ("promote.yml", "${{ github.token }}", "${{ secrets.APP_KEY }}", "uses a secret"),
    ("promote.yml", f"    if: {BY_HAND}\n", "", "on a schedule, which has none"),
    ("promote.yml", "--next --pull-request", "--next --accepts smoke", "what a person decides"),
    ("promote.yml", "      pull-requests: write\n", "", "without the right to"),
    ("promote.yml", "--next --pull-request", "--next", "without need"),
    ("promote.yml", "--next", "--after", "the command line refuses"),
    ("drift.yml", "mlflow-platform drift", "mlflow-platform up", "what a person decides"),
    ("check.yml", ", ready_for_review", "", "never at one that was a draft"),
    ("preview.yml", "synchronize, ", "", "too late"),
]


@pytest.mark.parametrize(("file", "old", "new", "fault"), MUTATIONS, ids=range(len(MUTATIONS)))
def test_each_fault_is_found(file: str, old: str, new: str, fault: str) -> None:
    assert old in SOURCES[file]
    found = faults({**SOURCES, file: SOURCES[file].replace(old, new)})
    assert any(fault in one for one in found), found
    assert all(one.startswith(f"{file}: ") for one in found)


def test_every_action_is_pinned() -> None:
    used = [str(step["uses"]) for source in SOURCES.values() for step in _steps(source) if "uses" in step]
    assert used
    assert all(PINNED.fullmatch(one) for one in used)


@pytest.mark.parametrize("file", ["deploy-stack.yml", "preview.yml", "drift.yml"])
def test_the_doctor_looks_for_every_variable_of_a_stacks_environments(file: str) -> None:
    read = set(re.findall(r"vars\.(\w+)", SOURCES[file]))
    assert read <= {*wanted("dev"), *wanted("dev-preview")}
    assert {*wanted("dev-preview")} <= read


def _steps(source: str) -> list[Mapping[str, Any]]:
    return [step for job in yaml.safe_load(source)["jobs"].values() for step in job.get("steps", ())]
