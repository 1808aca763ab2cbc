"""The pipelines of Azure DevOps, whose schema no linter of a registry knows: expanded, and held to rules of our own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.stacks import stacks
from tests.support.command_line import parse

REPOSITORY = Path(__file__).resolve().parents[1]
DEPLOY = "azure-pipelines.yml"
FILES = [REPOSITORY / DEPLOY, *sorted((REPOSITORY / ".azure-pipelines").glob("*.yml"))]
SOURCES = {file.name: file.read_text() for file in FILES}
ON_AZURE = {name for name in stacks() if name not in ("local", "bootstrap")}
PROGRAM = ".venv/bin/mlflow-platform"
OTHER_COMMANDS = (
    *("make toolchain", "make venv", ".ci/run"),
    *(f'echo "##vso[task.uploadsummary]$(Build.SourcesDirectory)/.local/{name}.md"' for name in ("plan", "promotion")),
)
ROOT = {"trigger", "pr", "lockBehavior", "pool", "parameters", "stages", "schedules", "resources"}
PLACES = {"image push": "build", "promote": "promote"}
"""The environment of a command that is for all stacks, of which the connection is mlflow-ENVIRONMENT."""

OF_A_PERSON = ("--accepts", "--emergency", "--rollback", " up ")
BY_HAND, ON_SCHEDULE = (f"{word}(variables['Build.Reason'], 'Schedule')" for word in ("ne", "eq"))
OF_MAIN = "eq(variables['Build.SourceBranch'], 'refs/heads/main')"
FIELD = "<a field of the form>"
FEWEST_BUILDS = 2
STEPS = {"checkout", "script", "task", "publish", "download"}
IN_DEPLOYMENT = "deploy"
TARGET_BRANCH = "git://$(System.TeamProject)/$(Build.Repository.Name)@$(System.PullRequest.TargetBranch)"
TOKEN = "SYSTEM_ACCESSTOKEN"
REFUSAL = "false"
MACRO = "$(System.AccessToken)"
_EACH = re.compile(r"\$\{\{ each (\w+) in parameters\.(\w+) \}\}")
_FIELDS = re.compile(r"\$\{\{ each (\w+) in parameters \}\}")
_CONTAINS = re.compile(r"\$\{\{ if contains\(([\w.]+), '(.+)'\) \}\}")
_NAME = re.compile(r"\$\{\{ ([\w.]+) \}\}")
_FIELD = re.compile(r"\$\{\{ parameters\.\w+ \}\}")


def expanded(source: str, **given: str) -> dict[str, Any]:
    """The pipeline as Azure DevOps runs it with these parameters: loops over them, and conditions on what one contains,
    are written out. Raises ValueError for other expressions."""
    document = _loaded(source)
    values = {one["name"]: one["default"] for one in document.get("parameters", [])} | given
    found: dict[str, Any] = _expanded(document, values, {})
    return found


@cache
def _loaded(source: str) -> Mapping[str, Any]:
    document: Mapping[str, Any] = yaml.safe_load(source)
    return document


def _expanded(node: Any, values: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [one for item in node for one in _items(item, values, names)]
    if isinstance(node, dict):
        return {_text(key, names): _expanded(value, values, names) for key, value in node.items()}
    return _text(node, names) if isinstance(node, str) else node


def _items(item: Any, values: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Any]:
    key, below = next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else ("", None)
    if loop := _EACH.fullmatch(key):
        for value in values[loop[2]]:
            yield from _expanded(below, values, {**names, loop[1]: str(value)})
    elif loop := _FIELDS.fullmatch(key):
        for field, value in values.items():
            yield from _expanded(below, values, {**names, f"{loop[1]}.key": field, f"{loop[1]}.value": str(value)})
    elif condition := _CONTAINS.fullmatch(key):
        yield from _expanded(below, values, names) if condition[2] in names[condition[1]] else ()
    else:
        yield _expanded(item, values, names)


def _text(text: str, names: Mapping[str, str]) -> str:
    found = _FIELD.sub(FIELD, _NAME.sub(lambda match: names[match[1]] if match[1] in names else match[0], text))
    if "${{" in found:
        raise ValueError(f"an expression that nothing replaces: {found}")
    return found


def faults(sources: Mapping[str, str]) -> list[str]:
    """What is wrong with the pipelines, by file, stage and job."""
    return [f"{name}: {fault}" for name, source in sources.items() for fault in _found(name, source)]


@cache
def _found(name: str, source: str) -> tuple[str, ...]:
    """The same file has the same faults: a mutation changes one of them."""
    return tuple(_of_file(name, source))


def _of_file(name: str, source: str) -> Iterator[str]:
    try:
        document = expanded(source)
    except (ValueError, KeyError) as error:
        yield f"cannot be expanded: {error}"
        return
    yield from _of_document(document)
    for field in _loaded(source).get("parameters", ()):
        if field["type"] == "string" and "values" not in field:
            yield from _with_a_macro(expanded(source, **{field["name"]: MACRO}), field["name"])
    if name == DEPLOY:
        yield from _of_deployment([stage["stage"] for stage in document["stages"]], document["stages"])


def _with_a_macro(document: Mapping[str, Any], field: str) -> Iterator[str]:
    """A field's text stands in the environment of steps, where macros are replaced by their values."""
    for stage in document["stages"]:
        for job in stage["jobs"]:
            steps = _steps(job)
            if FIELD in str(steps) and steps[0].get("script") != REFUSAL:
                yield f"puts the value of a macro in {field} into the environment of a step"


def _of_document(document: Mapping[str, Any]) -> Iterator[str]:
    if unknown := document.keys() - ROOT:
        yield f"has keys that Azure DevOps does not know: {', '.join(unknown)}"
    if document.get("lockBehavior") != "sequential":
        yield "a deployment that waits is replaced by a newer one"
    if document.get("pr") != "none":
        yield "starts for pull requests past the policy of the branch"
    trigger = document.get("trigger")
    if trigger != "none" and not (isinstance(trigger, dict) and trigger.get("branches") == {"include": ["main"]}):
        yield "starts for every branch"
    for schedule in document.get("schedules", ()):
        if schedule.get("always") is not True:
            yield "its schedule rests while nothing is committed"
        if schedule.get("branches") != {"include": ["main"]}:
            yield "its schedule is of every branch"
    if document.get("pool") != {"vmImage": "ubuntu-24.04"}:
        yield "runs on a machine that is kept between jobs, or that changes by itself"
    names = [stage["stage"] for stage in document["stages"]]
    if len({*names}) < len(names):
        yield "has two stages of one name"
    for stage in document["stages"]:
        for job in stage["jobs"]:
            name = job.get("job") or job.get("deployment")
            yield from (f"{stage['stage']}/{name} {fault}" for fault in _of_job(job, stage))
            if "schedules" in document and job.get("condition") != BY_HAND:
                yield from (f"{stage['stage']}/{name} {fault}" for fault in _on_a_schedule(job))


def _of_deployment(names: list[str], stages: list[Mapping[str, Any]]) -> Iterator[str]:
    planned = {name.removeprefix("plan_") for name in names if name.startswith("plan_")}
    applied = {name.removeprefix("apply_") for name in names if name.startswith("apply_")}
    if not planned == applied == ON_AZURE:
        yield f"deploys {', '.join(sorted(applied))} and not {', '.join(sorted(ON_AZURE))}"
    for before, stage in zip(names, stages[1:], strict=False):
        if stage["stage"].startswith("plan_"):
            condition = str(stage.get("condition"))
            follows = before == "check" or before.startswith("apply_")
            if not follows or "dependsOn" in stage or "not(failed()), not(canceled())" not in condition:
                yield f"{stage['stage']} does not wait for the check and for the stack before it"


def _steps(job: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = job["strategy"]["runOnce"][IN_DEPLOYMENT]["steps"] if "deployment" in job else job.get("steps")
    return found or []


def _commands(steps: list[Mapping[str, Any]]) -> list[str]:
    scripts = [str(step["script"]) for step in steps if "script" in step]
    return scripts + [str(step["inputs"]["inlineScript"]) for step in steps if "task" in step]


def _on_a_schedule(job: Mapping[str, Any]) -> Iterator[str]:
    if FIELD in str(job):
        yield "reads the fields of a form on a schedule, which has none"
    if any(word in command for command in _commands(_steps(job)) for word in OF_A_PERSON):
        yield "decides on a schedule what a person decides"


def _of_job(job: Mapping[str, Any], stage: Mapping[str, Any]) -> Iterator[str]:
    deploys = "deployment" in job
    steps = _steps(job)
    if not steps:
        yield "has no steps: what applies is a deployment"
        return
    of_main = OF_MAIN in str(stage.get("condition", "")) or stage["stage"].startswith("apply_")
    if "timeoutInMinutes" not in job:
        yield "never ends"
    for step in steps:
        if len(step.keys() & STEPS) != 1:
            yield f"has a step of an unknown kind: {', '.join(step)}"
        if step.get("continueOnError"):
            yield "goes on after a failure"
    checkouts = [step for step in steps if "checkout" in step]
    if len(checkouts) != 1 or any(step.get("persistCredentials") is not False for step in checkouts):
        yield "leaves the checkout's token on disk"
    targets = [step["checkout"] == TARGET_BRANCH for step in checkouts]
    if any(TOKEN in (step.get("env") or {}) for step in steps) and not (of_main or all(targets)):
        yield "runs a pull request's code with the job's token"
    commands = _commands(steps)
    applies = any(" up " in command for command in commands)
    if applies and not deploys:
        yield "applies outside of an environment, and so without an approval"
    if deploys and not of_main:
        yield "deploys another branch than main"
    if deploys and stage.get("lockBehavior") != "sequential":
        yield "may run beside another update of the stack, or be replaced"
    for step in steps:
        if "task" in step:
            yield from _of_task(step, job, stage)
    for command in commands:
        yield from _of_command(command)


def _of_task(step: Mapping[str, Any], job: Mapping[str, Any], stage: Mapping[str, Any]) -> Iterator[str]:
    inputs, environment = step["inputs"], step.get("env") or {}
    if step["task"] != "AzureCLI@2" or inputs.get("addSpnToEnvironment") is not True:
        yield "signs in to Azure in another way than by the connection's federation"
    command = str(inputs["inlineScript"])
    applies = " up " in command
    place = next((place for words, place in PLACES.items() if f"{PROGRAM} {words} " in command), None)
    stack = str(stage["stage"] if "_" in stage["stage"] else job.get("job", "")).partition("_")[2]
    of_stack = stack if applies else f"{stack}-preview"
    if inputs["azureSubscription"] != f"mlflow-{place or of_stack}":
        yield f"signs in by {inputs['azureSubscription']} and not mlflow-{place or of_stack}"
    if place is None and environment.get("PULUMI_BACKEND_URL") != f"azblob://pulumi-{stack}":
        yield "works on another stack's state"
    changes = place or (stack if applies else None)
    if changes is not None and job.get("environment") != changes:
        yield f"changes something in the environment {job.get('environment')} and not {changes}"
    if applies and (stage["dependsOn"] != f"plan_{stack}" or "ne(dependencies." not in stage["condition"]):
        yield "applies without a plan"
    condition = str(stage.get("condition"))
    if not applies and OF_MAIN not in condition and "PullRequest" not in condition:
        yield "signs in for whatever starts it"
    if "IsFork" not in condition and stage["stage"] == "preview":
        yield "signs in to Azure for a fork"


def _of_command(command: str) -> Iterator[str]:
    if command in OTHER_COMMANDS:
        return
    if "$(" in command or FIELD in command:
        yield f"puts a value of Azure DevOps's into a shell, where it may be a command or a secret: {command}"
    if re.search(r"&&|\|\||[;|\n]", command.strip()):
        yield f"holds logic: {command}"
    words = shlex.split(command.partition(" >")[0])
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


def test_the_pipelines_have_no_fault() -> None:
    assert SOURCES.keys() == {DEPLOY, "drift.yml", "image.yml", "promote.yml"}
    assert faults(SOURCES) == []
    names = [stage["stage"] for stage in expanded(SOURCES[DEPLOY])["stages"]]
    assert names == [
        "preview",
        "check",
        *(f"{what}_{stack}" for stack in ("dev", "staging", "prod") for what in ("plan", "apply")),
    ]


_UP = "          - deployment: apply\n"
MUTATIONS_OF_DEPLOY = [
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


MUTATIONS = [
    *((DEPLOY, *mutation) for mutation in MUTATIONS_OF_DEPLOY),
    ("image.yml", "  branches:\n    include: [main]\n", "  branches:\n    include: ['*']\n", "for every branch"),
    ("image.yml", '"$PIPELINE_WORKSPACE/image-second" ', "", "one machine alone"),
    ("image.yml", "environment: build", "environment: dev", "environment dev and not build"),
    (
        "image.yml",
        "azureSubscription: mlflow-build",
        "azureSubscription: mlflow-prod",
        "by mlflow-prod and not mlflow-build",
    ),
    ("image.yml", OF_MAIN, "true", "another branch than main"),
    ("image.yml", "    lockBehavior: sequential\n", "", "beside another update"),
    ("image.yml", '--base "$BASE"', '--base "$(BASE_IMAGE)"', "a command or a secret"),
    ("image.yml", "image build", "image make", "the command line refuses"),
    ("image.yml", "vmImage: ubuntu-24.04", "vmImage: ubuntu-latest", "changes by itself"),
    ("image.yml", "            timeoutInMinutes: 40\n", "", "never ends"),
    ("image.yml", "persistCredentials: false", "persistCredentials: true", "token on disk"),
    (
        "image.yml",
        "              # With its",
        "                continueOnError: true\n              # With its",
        "after a failure",
    ),
    ("promote.yml", '"$FROM"', "${{ parameters.from }}", "a command or a secret"),
    ("promote.yml", f"        condition: {BY_HAND}\n", "", "on a schedule, which has none"),
    ("promote.yml", "promote --next", "promote --next --accepts smoke", "what a person decides"),
    (
        "promote.yml",
        "if contains(field.value, '$(')",
        "if contains(field.value, '$[')",
        "value of a macro in emergency",
    ),
    ("promote.yml", 'script: "false"', "script: make venv", "value of a macro in from"),
    ("promote.yml", "    always: true\n", "", "rests while nothing is committed"),
    ("promote.yml", "      include: [main]", "      include: ['*']", "of every branch"),
    ("promote.yml", f"    condition: {OF_MAIN}\n", "", "code with the job's token"),
    ("promote.yml", "mlflow-promote\n", "mlflow-prod\n", "by mlflow-prod and not mlflow-promote"),
    ("promote.yml", "environment: promote", "environment: prod", "environment prod and not promote"),
    ("promote.yml", "--pull-request", "--request", "the command line refuses"),
    ("promote.yml", "trigger: none", "trigger: ['*']", "for every branch"),
    ("drift.yml", "azblob://pulumi-${{ stack }}", "azblob://pulumi-prod", "another stack's state"),
    ("drift.yml", "mlflow-${{ stack }}-preview", "mlflow-${{ stack }}", "and not mlflow-dev-preview"),
    ("drift.yml", "    always: true\n", "", "rests while nothing is committed"),
    ("drift.yml", f"    condition: {OF_MAIN}\n", "", "for whatever starts it"),
    ("drift.yml", "mlflow-platform drift", "mlflow-platform up", "what a person decides"),
    ("drift.yml", "pr: none", "pr: [main]", "past the policy"),
]


@pytest.mark.parametrize(("file", "old", "new", "fault"), MUTATIONS, ids=range(len(MUTATIONS)))
def test_each_fault_is_found(file: str, old: str, new: str, fault: str) -> None:
    assert old in SOURCES[file]
    found = faults({**SOURCES, file: SOURCES[file].replace(old, new)})
    assert any(fault in one for one in found), found
    assert all(one.startswith(f"{file}: ") for one in found)


def test_the_docs_have_a_check_for_each_connection_that_changes_something() -> None:
    """The YAML of a pull request runs in its build, and names what connection it wants: an environment guards none."""
    rows = [
        line for line in (REPOSITORY / "docs/delivery.md").read_text().splitlines() if line.startswith("| service conn")
    ]
    used = {found for source in SOURCES.values() for found in re.findall(r"azureSubscription: (\S+.*)", source)}
    names = {one.replace("${{ stack }}", "STACK") for one in used}
    assert names == {"mlflow-STACK", "mlflow-STACK-preview", "mlflow-build", "mlflow-promote"}
    for name in names - {"mlflow-STACK-preview"}:
        (row,) = [row for row in rows if f"`{name}`" in row]
        assert "checks Branch control (`refs/heads/main`)" in row, name


@pytest.mark.parametrize("file", [DEPLOY, ".github/workflows/preview.yml"])
def test_a_report_expects_the_plan_of_every_stack(file: str) -> None:
    assert set(re.findall(r"--expect (\w+)", (REPOSITORY / file).read_text())) == ON_AZURE


def test_a_condition_of_a_schedule_is_the_other_jobs() -> None:
    (stage,) = expanded(SOURCES["promote.yml"])["stages"]
    assert [job["condition"] for job in stage["jobs"]] == [BY_HAND, ON_SCHEDULE]
