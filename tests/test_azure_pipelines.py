"""The pipeline of Azure DevOps, whose schema no linter of a registry knows: expanded, and held to rules of our own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.offline_azure.product import stacks
from tests.support.command_line import parse

FILE = Path(__file__).resolve().parents[1] / "azure-pipelines.yml"
SOURCE = FILE.read_text()
ON_AZURE = {name for name in stacks() if name not in ("local", "bootstrap")}
PROGRAM = ".venv/bin/mlflow-platform"
OTHER_COMMANDS = (
    *("make toolchain", "make venv", ".ci/run"),
    'echo "##vso[task.uploadsummary]$(Build.SourcesDirectory)/.local/plan.md"',
)
ROOT = {"trigger", "pr", "lockBehavior", "pool", "parameters", "stages"}
STEPS = {"checkout", "script", "task", "publish", "download"}
IN_DEPLOYMENT = "deploy"
TARGET_BRANCH = "git://$(System.TeamProject)/$(Build.Repository.Name)@$(System.PullRequest.TargetBranch)"
TOKEN = "SYSTEM_ACCESSTOKEN"
_EACH = re.compile(r"\$\{\{ each (\w+) in parameters\.(\w+) \}\}")
_NAME = re.compile(r"\$\{\{ (\w+) \}\}")


def expanded(source: str) -> dict[str, Any]:
    """The pipeline as Azure DevOps runs it: loops over parameters are written out. Raises ValueError for other ones."""
    document = yaml.safe_load(source)
    values = {one["name"]: one["default"] for one in document.get("parameters", [])}
    found: dict[str, Any] = _expanded(document, values, {})
    return found


def _expanded(node: Any, values: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [one for item in node for one in _items(item, values, names)]
    if isinstance(node, dict):
        return {_text(key, names): _expanded(value, values, names) for key, value in node.items()}
    return _text(node, names) if isinstance(node, str) else node


def _items(item: Any, values: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Any]:
    loop = _EACH.fullmatch(next(iter(item))) if isinstance(item, dict) and len(item) == 1 else None
    if loop is None:
        yield _expanded(item, values, names)
        return
    (below,) = item.values()
    for value in values[loop[2]]:
        yield from _expanded(below, values, {**names, loop[1]: str(value)})


def _text(text: str, names: Mapping[str, str]) -> str:
    found = _NAME.sub(lambda match: names[match[1]] if match[1] in names else match[0], text)
    if "${{" in found:
        raise ValueError(f"an expression that nothing replaces: {found}")
    return found


def faults(source: str) -> list[str]:
    """What is wrong with the pipeline, by stage and job."""
    try:
        document = expanded(source)
    except (ValueError, KeyError) as error:
        return [f"cannot be expanded: {error}"]
    return list(_of_document(document))


def _of_document(document: Mapping[str, Any]) -> Iterator[str]:
    if unknown := document.keys() - ROOT:
        yield f"has keys that Azure DevOps does not know: {', '.join(unknown)}"
    if document.get("lockBehavior") != "sequential":
        yield "a deployment that waits is replaced by a newer one"
    if document.get("pr") != "none":
        yield "starts for pull requests past the policy of the branch"
    names = [stage["stage"] for stage in document["stages"]]
    if len({*names}) < len(names):
        yield "has two stages of one name"
    planned = {name.removeprefix("plan_") for name in names if name.startswith("plan_")}
    applied = {name.removeprefix("apply_") for name in names if name.startswith("apply_")}
    if not planned == applied == ON_AZURE:
        yield f"deploys {', '.join(sorted(applied))} and not {', '.join(sorted(ON_AZURE))}"
    for before, stage in zip(names, document["stages"][1:], strict=False):
        if stage["stage"].startswith("plan_"):
            condition = str(stage.get("condition"))
            follows = before == "check" or before.startswith("apply_")
            if not follows or "dependsOn" in stage or "not(failed()), not(canceled())" not in condition:
                yield f"{stage['stage']} does not wait for the check and for the stack before it"
    for stage in document["stages"]:
        for job in stage["jobs"]:
            name = job.get("job") or job.get("deployment")
            yield from (f"{stage['stage']}/{name} {fault}" for fault in _of_job(job, stage))


def _of_job(job: Mapping[str, Any], stage: Mapping[str, Any]) -> Iterator[str]:
    deploys = "deployment" in job
    steps = job["strategy"]["runOnce"][IN_DEPLOYMENT]["steps"] if deploys else job.get("steps")
    if not steps:
        yield "has no steps: what applies is a deployment"
        return
    condition = str(stage.get("condition", ""))
    of_main = "eq(variables['Build.SourceBranch'], 'refs/heads/main')" in condition or deploys
    if "timeoutInMinutes" not in job:
        yield "never ends"
    for step in steps:
        if len(step.keys() & STEPS) != 1:
            yield f"has a step of an unknown kind: {', '.join(step)}"
    checkouts = [step for step in steps if "checkout" in step]
    if len(checkouts) != 1 or any(step.get("persistCredentials") is not False for step in checkouts):
        yield "leaves the checkout's token on disk"
    targets = [step["checkout"] == TARGET_BRANCH for step in checkouts]
    if any(TOKEN in (step.get("env") or {}) for step in steps) and not (of_main or all(targets)):
        yield "runs a pull request's code with the job's token"
    commands = [str(step["script"]) for step in steps if "script" in step]
    tasks = [step for step in steps if "task" in step]
    commands += [str(step["inputs"]["inlineScript"]) for step in tasks]
    applies = any(" up " in command for command in commands)
    if applies and not deploys:
        yield "applies outside of an environment, and so without an approval"
    if deploys and stage.get("lockBehavior") != "sequential":
        yield "may run beside another update of the stack, or be replaced"
    for step in tasks:
        yield from _of_task(step, job, stage, applies=applies)
    for command in commands:
        yield from _of_command(command)


def _of_task(
    step: Mapping[str, Any], job: Mapping[str, Any], stage: Mapping[str, Any], *, applies: bool
) -> Iterator[str]:
    inputs, environment = step["inputs"], step.get("env") or {}
    if step["task"] != "AzureCLI@2" or inputs.get("addSpnToEnvironment") is not True:
        yield "signs in to Azure in another way than by the connection's federation"
    stack = str(stage["stage"] if "_" in stage["stage"] else job["job"]).partition("_")[2]
    connection = f"mlflow-{stack}" if applies else f"mlflow-{stack}-preview"
    if inputs["azureSubscription"] != connection:
        yield f"signs in by {inputs['azureSubscription']} and not {connection}"
    if environment.get("PULUMI_BACKEND_URL") != f"azblob://pulumi-{stack}":
        yield "works on another stack's state"
    if applies and job["environment"] != stack:
        yield f"applies in the environment {job['environment']} and not {stack}"
    if applies and (stage["dependsOn"] != f"plan_{stack}" or "ne(dependencies." not in stage["condition"]):
        yield "applies without a plan"
    if not applies and "PullRequest" not in str(stage.get("condition")):
        yield "plans for whatever starts it"
    if "IsFork" not in str(stage.get("condition")) and stage["stage"] == "preview":
        yield "signs in to Azure for a fork"


def _of_command(command: str) -> Iterator[str]:
    if command in OTHER_COMMANDS:
        return
    if "$(" in command:
        yield f"puts a value of Azure DevOps's into a shell, where it may be a command or a secret: {command}"
    if re.search(r"&&|\|\||[;|\n]", command.strip()):
        yield f"holds logic: {command}"
    words = shlex.split(command.partition(" >")[0])
    if words[0] != PROGRAM:
        yield f"runs another program than the product's: {command}"
        return
    if words[1] == "up" and "--approved" not in words:
        yield f"applies what nobody approved: {command}"
    try:
        parse(words[1:])
    except Exception as error:  # noqa: BLE001 - click has many, and each means that the command line refuses it
        yield f"gives a command that the command line refuses: {command}: {error!r}"


def test_the_pipeline_has_no_fault() -> None:
    assert faults(SOURCE) == []
    names = [stage["stage"] for stage in expanded(SOURCE)["stages"]]
    assert names == [
        "preview",
        "check",
        *(f"{what}_{stack}" for stack in ("dev", "staging", "prod") for what in ("plan", "apply")),
    ]


_UP = "          - deployment: apply\n"
MUTATIONS = [
    ("pr: none\n", "pr: [main]\n", "past the policy"),
    ("lockBehavior: sequential\npool", "pool", "replaced by a newer one"),
    ("        lockBehavior: sequential\n", "        lockBehavior: runLatest\n", "beside another update"),
    ("[dev, staging, prod]", "[dev, prod]", "deploys dev, prod"),
    ("          - job: plan\n            timeoutInMinutes: 30\n", "          - job: plan\n", "never ends"),
    ("persistCredentials: false", "persistCredentials: true", "token on disk"),
    ("mlflow-${{ stack }}-preview", "mlflow-${{ stack }}", "and not mlflow-dev-preview"),
    (
        "azureSubscription: mlflow-${{ stack }}\n",
        "azureSubscription: mlflow-prod\n",
        "by mlflow-prod and not mlflow-dev",
    ),
    ("environment: ${{ stack }}", "environment: dev", "environment dev and not staging"),
    (_UP, "          - job: apply\n", "has no steps"),
    (
        "\n                env:\n",
        f"\n                env:\n                  {TOKEN}: $(System.AccessToken)\n",
        "request's code with",
    ),
    ("addSpnToEnvironment: true", "addSpnToEnvironment: false", "another way than"),
    ("and(not(failed()), not(canceled()), ", "and(", "does not wait for the check"),
    (
        "        condition: and(not(failed())",
        "        dependsOn: []\n        condition: and(not(failed())",
        "does not wait",
    ),
    ("  - stage: check\n", "  - stage: checks\n", "does not wait"),
    ("AzureCLI@2", "AzureKeyVault@2", "another way than"),
    (", ne(variables['System.PullRequest.IsFork'], 'True')", "", "for a fork"),
    (f"checkout: {TARGET_BRANCH}", "checkout: self", "pull request's code with the job's token"),
    ("        dependsOn: plan_${{ stack }}\n", "        dependsOn: check\n", "without a plan"),
    ("ne(dependencies.plan_${{ stack }}.outputs['plan.preview.changes'], '0')", "true", "without a plan"),
    ('--approved "$PIPELINE_WORKSPACE/approved-${{ stack }}/plan.json"', "", "nobody approved"),
    ("azblob://pulumi-${{ stack }}", "azblob://pulumi-prod", "another stack's state"),
    ('"$SYSTEM_PULLREQUEST_SOURCECOMMITID"', '"$(System.AccessToken)"', "a command or a secret"),
    ("- script: .ci/run", "- script: .ci/run || true", "holds logic"),
    ("- script: .ci/run", "- script: pulumi up", "another program"),
    ("- script: .ci/run", "- bash: .ci/run", "unknown kind"),
    ("--pull-request", "--request", "the command line refuses"),
    ("each stack in parameters.stacks", "if parameters.stacks", "cannot be expanded"),
    ("pool:\n", "pools:\n", "does not know"),
]


@pytest.mark.parametrize(("old", "new", "fault"), MUTATIONS, ids=range(len(MUTATIONS)))
def test_each_fault_is_found(old: str, new: str, fault: str) -> None:
    assert old in SOURCE
    found = faults(SOURCE.replace(old, new))
    assert any(fault in one for one in found), found
