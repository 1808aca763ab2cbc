"""The tables in docs/delivery.md of who may write what: each job of the workflows and pipelines, with its rights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from delivery.reference.configuration import REPOSITORY

DOCUMENT: Final = REPOSITORY / "docs" / "delivery.md"
_BEGIN, _END = "<!-- rights: written by `mlflow-platform reference` -->\n", "<!-- end of rights -->\n"

PULL_REQUEST: Final = "the pull request"
"""Whose code is not reviewed yet: a job that runs it must write nothing."""

_BASE, _MAIN, _STARTED, _NONE = "the base branch", "the main branch", "the branch it is started on", "none"
ANY: Final = "any branch, of a pull request too"
"""As PULL_REQUEST: a build of Azure DevOps that no condition keeps to the main branch."""

_REFS: Final[Mapping[str, str]] = {
    "${{ github.event.pull_request.base.sha }}": _BASE,
    "${{ github.event.repository.default_branch }}": _MAIN,
    "git://$(System.TeamProject)/$(Build.Repository.Name)@$(System.PullRequest.TargetBranch)": _BASE,
}
_ON_MAIN: Final = "eq(variables['Build.SourceBranch'], 'refs/heads/main')"
_OF_PULL_REQUEST: Final = "eq(variables['Build.Reason'], 'PullRequest')"
_LOOP: Final = re.compile(r"\$\{\{ (?:each|if) .+\}\}")
_NAME: Final = re.compile(r"\$\{\{ (?:inputs\.|matrix\.)?(\w+) \}\}")


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What one job holds. `code` is whose code it runs, `token` what the server's own token may where a step gets it.

    `identity` is what the job signs in to Azure as, `environment` whose reviewers and branches guard that; both are
    empty where there is none. `secrets` are those that the file names.
    """

    job: str
    code: str
    token: Sequence[str] = ()
    identity: str = ""
    environment: str = ""
    secrets: Sequence[str] = ()


def render() -> str:
    """Return the document with its tables as the files are."""
    before, _, rest = DOCUMENT.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return "".join([before, _BEGIN, tables(sources()), _END, after])


def sources(repository: Path = REPOSITORY) -> dict[str, str]:
    """Return the text of each workflow and pipeline by its path."""
    files = [*(repository / ".github" / "workflows").glob("*.yml"), *(repository / ".azure-pipelines").glob("*.yml")]
    every = [repository / "azure-pipelines.yml", *files]
    return {str(file.relative_to(repository)): file.read_text() for file in sorted(every)}


def rights(files: Mapping[str, str]) -> list[Rights]:
    """Return what each job holds, in the order of the files."""
    return [
        one
        for path, source in files.items()
        for one in (_of_github if _is_github(path) else _of_azure_devops)(Path(path).stem, source)
    ]


def tables(files: Mapping[str, str]) -> str:
    """Return a table for the workflows of GitHub and one for the pipelines of Azure DevOps."""
    ours = {path: source for path, source in files.items() if _is_github(path)}
    others = {path: source for path, source in files.items() if not _is_github(path)}
    github = _table("job of a workflow on GitHub", "its token may", rights(ours))
    return f"\n{github}\n{_table('job of a pipeline on Azure DevOps', 'gets the token of the job', rights(others))}\n"


def _is_github(path: str) -> bool:
    return path.startswith(".github/")


def _table(job: str, token: str, rows: Sequence[Rights]) -> str:
    head = f"| {job} | runs the code of | {token} | signs in to Azure as | environment | secrets |"
    lines = [head, "|---|---|---|---|---|---|"]
    for one in rows:
        cells = [f"`{one.job}`", one.code, ", ".join(one.token), *map(_code, (one.identity, one.environment))]
        lines.append("| " + " | ".join(cell or _NONE for cell in [*cells, ", ".join(map(_code, one.secrets))]) + " |")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _of_github(name: str, source: str) -> Iterator[Rights]:
    # YAML 1.1 takes the key `on` for a boolean.
    document: Mapping[Any, Any] = yaml.safe_load(source)
    for key, job in document["jobs"].items():
        granted = job.get("permissions", document.get("permissions", "as the repository says"))
        token = [granted] if isinstance(granted, str) else [f"{right}: {level}" for right, level in granted.items()]
        client = re.search(r"'AZURE_CLIENT_ID': '\$\{\{ vars\.(\w+)_CLIENT_ID \}\}'", str(job))
        yield Rights(
            job=f"{name}: {key}",
            code=f"`{Path(job['uses']).stem}`" if "uses" in job else _code_on_github(document[True], job["steps"]),
            token=token,
            identity=client[1].lower() if client else "",
            environment=_named(str(job.get("environment", ""))),
            secrets=sorted({*re.findall(r"secrets\.(\w+)", str(job))}),
        )


def _code_on_github(triggers: Any, steps: Sequence[Mapping[str, Any]]) -> str:
    refs = [(step.get("with") or {}).get("ref") for step in steps if "checkout@" in str(step.get("uses"))]
    started = PULL_REQUEST if "pull_request" in triggers else _STARTED
    return ", ".join(dict.fromkeys(started if ref is None else _REFS.get(ref, ref) for ref in refs)) or _NONE


def _of_azure_devops(name: str, source: str) -> Iterator[Rights]:
    document = yaml.safe_load(_NAME.sub(lambda found: found[1].upper(), source))
    stages = _flat(document["stages"])
    conditions = {stage["stage"]: str(stage.get("condition")) for stage in stages}
    for stage in stages:
        # What comes after a stage that was left out is left out too, where it asks for a success.
        asked = f"{conditions[stage['stage']]} {conditions.get(str(stage.get('dependsOn')), '')}"
        for job in _flat(stage["jobs"]):
            deployment = "deployment" in job
            steps = _flat(job["strategy"]["runOnce"]["deploy"]["steps"] if deployment else job["steps"])
            connections = [step["inputs"]["azureSubscription"] for step in steps if "inputs" in step]
            yield Rights(
                job=f"{name}: {stage['stage']}/{job['deployment' if deployment else 'job']}",
                code=_code_on_azure_devops(f"{asked} {job.get('condition')}", steps),
                token=["yes"] if "$(System.AccessToken)" in str(steps) else [],
                identity=", ".join(dict.fromkeys(connections)),
                environment=str(job.get("environment", "")),
            )


def _code_on_azure_devops(condition: str, steps: Sequence[Mapping[str, Any]]) -> str:
    of_self = _MAIN if _ON_MAIN in condition else PULL_REQUEST if _OF_PULL_REQUEST in condition else ANY
    refs = [step["checkout"] for step in steps if "checkout" in step]
    return ", ".join(dict.fromkeys(of_self if ref == "self" else _REFS.get(ref, ref) for ref in refs)) or _NONE


def _flat(items: Sequence[Any]) -> list[Mapping[str, Any]]:
    """The items of a list, those below a loop or a condition of the template once each."""
    found: list[Mapping[str, Any]] = []
    for item in items:
        key = next(iter(item)) if len(item) == 1 else ""
        found += _flat(item[key]) if _LOOP.fullmatch(str(key)) else [item]
    return found


def _named(environment: str) -> str:
    return _NAME.sub(lambda found: found[1].upper(), environment)
