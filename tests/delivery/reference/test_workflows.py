"""Who may write what: the table is what the files say, and a job with a pull request's code writes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import yaml

from delivery.reference import workflows
from delivery.reference.workflows import ANY, PULL_REQUEST, Rights, rights, sources, tables

FILES = sources()
PREVIEW, DEPLOY, PIPELINE = ".github/workflows/preview.yml", ".github/workflows/deploy-stack.yml", "azure-pipelines.yml"
SIGNS_IN = "id-token: write"
GRANTED = "    permissions:\n      contents: read\n"


def writing(rows: Sequence[Rights]) -> list[str]:
    """The jobs that run code which nobody has reviewed, and could write or deploy with it."""
    return [
        one.job
        for one in rows
        if one.code in (PULL_REQUEST, ANY)
        and (
            any(right == "yes" or right.endswith(("write", "write-all")) for right in {*one.token} - {SIGNS_IN})
            or (SIGNS_IN in one.token and one.identity != "preview")
            or (one.identity and not one.identity.endswith("preview"))
            or one.secrets
            or (one.environment and not one.environment.endswith("-preview"))
        )
    ]


def test_the_table_is_what_the_files_say() -> None:
    assert workflows.DOCUMENT.read_text() == workflows.render()


def test_each_job_has_its_row() -> None:
    jobs = [
        *(job for path, source in FILES.items() if ".github" in path for job in yaml.safe_load(source)["jobs"]),
        *(
            line
            for path, source in FILES.items()
            if ".github" not in path
            for line in source.splitlines()
            if _job(line)
        ),
    ]
    rows = rights(FILES)
    assert len(rows) == len(jobs) > 20
    assert len({one.job for one in rows}) == len(rows)


def _job(line: str) -> bool:
    return line.strip().startswith(("- job: ", "- deployment: "))


def test_a_job_with_the_code_of_a_pull_request_writes_nothing() -> None:
    rows = rights(FILES)
    unreviewed = [one.job for one in rows if one.code in (PULL_REQUEST, ANY)]
    assert {"preview: plan", "check: test", "azure-pipelines: preview/plan_STACK"} <= {*unreviewed}
    assert writing(rows) == []


WRITING = [
    (PREVIEW, "      id-token: write\n", "      id-token: write\n      checks: write\n", "preview: plan"),
    (PREVIEW, f"{GRANTED}      id-token: write\n", "    permissions: write-all\n", "preview: plan"),
    (PREVIEW, "          ref: ${{ github.event.pull_request.base.sha }}\n", "", "preview: report"),
    (PREVIEW, "ref: ${{ github.event.pull_request.base.sha }}", "ref: main", ""),
    (PREVIEW, "vars.PREVIEW_CLIENT_ID", "vars.DEPLOY_CLIENT_ID", "preview: plan"),
    (PREVIEW, "environment: ${{ matrix.stack }}-preview", "environment: ${{ matrix.stack }}", "preview: plan"),
    (PREVIEW, "vars.STATE_ACCOUNT", "secrets.STATE_KEY", "preview: plan"),
    (".github/workflows/check.yml", "      contents: read\n", "      contents: write\n", "check: test"),
    (DEPLOY, "vars.PREVIEW_CLIENT_ID", "vars.DEPLOY_CLIENT_ID", ""),
    (DEPLOY, "    environment: ${{ inputs.stack }}\n", "", ""),
    (PIPELINE, "AZURE_STORAGE_ACCOUNT: $(STATE", "SYSTEM_ACCESSTOKEN: $(System.AccessToken)\n# $(STATE", "plan_STACK"),
    (PIPELINE, "mlflow-${{ stack }}-preview", "mlflow-${{ stack }}", "preview/plan_STACK"),
    (PIPELINE, "eq(variables['Build.SourceBranch'], 'refs/heads/main'), ", "", "apply_STACK/apply"),
]


@pytest.mark.parametrize(("path", "old", "new", "job"), WRITING, ids=range(len(WRITING)))
def test_another_right_is_another_table_and_a_dangerous_one_is_found(path: str, old: str, new: str, job: str) -> None:
    assert old in FILES[path]
    changed = {**FILES, path: FILES[path].replace(old, new)}
    assert tables(changed) != tables(FILES)
    found = writing(rights(changed))
    assert any(job in one for one in found) if job else found == []
