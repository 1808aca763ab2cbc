"""Each command of a runbook on delivery (promote, rollback, drift, a failed `up`, destroy) and on clusters is run.

A command is its program and words without what they are about: `pulumi up --refresh`. The table names the test that
runs it, most on the real engine and the offline Azure. Commands of `az` need a subscription, and are not run.
Each alert has a row in the runbook of Azure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from components.mlflow.observability.panels import MEMORY, PANELS, Alert
from delivery.reference.alerts import render
from tests.support.advice import REPOSITORY, of_markdown, words_of

_DOCS: Final = REPOSITORY / "docs"
# By document: its sections that are such a runbook; none is the whole document.
RUNBOOKS: Final[Mapping[Path, tuple[str, ...]]] = {
    _DOCS / "runbooks" / "promote.md": (),
    _DOCS / "runbooks" / "aks.md": (),
    _DOCS / "runbooks" / "azure.md": (
        *("`up` or `preview` fails", "The engine was killed", "Drift", "A lock is in the way"),
    ),
    _DOCS / "azure.md": ("Destroy",),
    _DOCS / "delivery.md": ("Apply", "Drift", "Promotion"),
}
PROGRAMS: Final = ("mlflow-platform", "pulumi", "make")
# Their next word says what they do.
GROUPS: Final = ("stack", "config", "image", "state")

STORY: Final = "end_to_end/azure/test_story.py::test_a_teams_first_days"
LIFE: Final = "end_to_end/azure/test_lives.py::test_a_life"
CHANGE: Final = "end_to_end/azure/test_lives.py::test_a_change_is_previewed_and_done_and_touches_nothing_else"
MOVE: Final = (
    "end_to_end/kubernetes/test_moves.py::test_a_protected_stack_moves_into_a_cluster_and_back_and_its_data_stays"
)
OWNERS: Final = (
    "end_to_end/kubernetes/test_moves.py::"
    "test_a_stack_moves_between_its_own_clusters_and_those_of_other_owners_and_leaves_theirs_as_they_are"
)
BESIDE: Final = (
    "end_to_end/kubernetes/test_moves.py::test_a_generation_takes_the_place_of_the_other_and_protected_data_stays"
)
DRIFT: Final = "end_to_end/azure/test_drift.py::test_what_differs_is_found_and_each_line_has_both_ways_out"
KILLED: Final = (
    "delivery/recover/test_product.py::test_what_a_killed_up_has_left_on_azure_is_neither_lost_nor_made_twice"
)
IMPORTED: Final = (
    "delivery/recover/test_recovery.py::test_what_azure_has_is_imported_and_what_it_has_not_is_left_to_the_next_up"
)
PASTED: Final = "delivery/promote/test_real_engine.py::test_a_command_of_the_documentation_works"
SCHEDULED: Final = "delivery/promote/test_next.py::test_a_command_of_the_documentation_works"
RUN_BY: Final[Mapping[str, str]] = {
    "make kubernetes-programs": "tools/test_kubernetes_programs.py::test_all_programs_are_on_the_printed_path",
    "make test-aks": "tools/test_ci_run.py::test_all_of_them_run_where_the_variable_asks_for_them",
    "make image": "delivery/image/conftest.py::start_build",
    "make recover": KILLED,
    "mlflow-platform doctor": "delivery/doctor/test_doctor.py::test_a_stack_is_made_well_by_the_commands_alone",
    "mlflow-platform drift": STORY,
    "mlflow-platform drift --again": "delivery/drift/test_again.py::test_only_what_a_second_look_sees_as_well_is_drift",
    "mlflow-platform drift --reason --revert": DRIFT,
    "mlflow-platform image push --to": "delivery/image/test_push.py::test_what_arrives_has_the_digest_of_the_build",
    "mlflow-platform manifests": "delivery/kubernetes/test_manifests.py::test_manifests_of_a_stack_are_printed",
    "mlflow-platform preview": STORY,
    "mlflow-platform preview --save": STORY,
    "mlflow-platform promote": STORY,
    "mlflow-platform promote --dry-run": PASTED,
    "mlflow-platform promote --emergency": PASTED,
    "mlflow-platform promote --image": PASTED,
    "mlflow-platform promote --next": SCHEDULED,
    "mlflow-platform promote --next --pull-request": SCHEDULED,
    "mlflow-platform promote --reason --rollback": PASTED,
    "mlflow-platform promote --with": PASTED,
    "mlflow-platform recover": STORY,
    "mlflow-platform smoke": "delivery/smoke/test_smoke_run.py::test_passes_and_touches_nothing_of_the_user",
    "mlflow-platform up --approved": STORY,
    "pulumi cancel": "delivery/recover/test_recovery.py::test_a_lock_alone_is_taken_off",
    "pulumi config rm": LIFE,
    "pulumi config rm --path": OWNERS,
    "pulumi config set": LIFE,
    "pulumi config set --path": OWNERS,
    "pulumi destroy": LIFE,
    "pulumi import": IMPORTED,
    "pulumi preview --refresh": LIFE,
    "pulumi refresh --diff --preview-only": CHANGE,
    "pulumi stack history --json": DRIFT,
    "pulumi stack --show-urns": BESIDE,
    "pulumi stack output": MOVE,
    "pulumi stack rm --preserve-config": LIFE,
    "pulumi state unprotect --yes": BESIDE,
    "pulumi up": LIFE,
    "pulumi up --refresh": CHANGE,
}


def commands(documents: Mapping[str, str]) -> set[str]:
    """The commands that documents name."""
    return {found for text in documents.values() for one in of_markdown(text) if (found := _shape(one))}


def _shape(command: str) -> str | None:
    program, *words = words_of(command) or [""]
    if Path(program).name not in PROGRAMS or not words:
        return None
    options = sorted({word.partition("=")[0] for word in words if word.startswith("--")})
    of_group = [word for word in words[1:2] if words[0] in GROUPS and not word.startswith("-")]
    return " ".join([Path(program).name, words[0], *of_group, *options])


def _texts() -> dict[str, str]:
    return {
        str(path): "".join(_sections(path.read_text(), names) if names else [path.read_text()])
        for path, names in RUNBOOKS.items()
    }


def _sections(text: str, names: Sequence[str]) -> Iterator[str]:
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    for name in names:
        (found,) = [part for part in parts if part.startswith(f"## {name}\n")]
        yield found


def test_each_command_of_a_runbook_is_run_by_a_test() -> None:
    assert commands(_texts()) == RUN_BY.keys()


def test_a_command_that_nothing_runs_is_found() -> None:
    new = "```sh\npulumi up -s prod --refresh --target URN\n```\n"
    assert commands({**_texts(), "new": new}) - RUN_BY.keys() == {"pulumi up --refresh --target"}


def named(text: str) -> set[str]:
    """The names in the first cells of tables, where a cell may hold several."""
    cells = re.findall(r"^\| (`[^|]+`) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def of_alerts() -> set[str]:
    """The alerts that have a row in the runbook."""
    (section,) = _sections((_DOCS / "runbooks" / "azure.md").read_text(), ["Alerts"])
    return named(section)


def test_each_alert_has_a_row_in_the_runbook_and_each_row_an_alert() -> None:
    assert named(render()) - of_alerts() == set()
    assert of_alerts() - named(render()) == set()


def test_an_alert_without_a_row_is_named() -> None:
    alert = Alert(name="memory", title="MLflow: much memory", severity=0, above=1e9, what_to_do="Look.")
    assert named(render([*PANELS, replace(MEMORY, alert=alert)])) - of_alerts() == {"memory"}


@pytest.mark.parametrize("test", sorted({*RUN_BY.values()}))
def test_what_runs_it_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((REPOSITORY / "tests" / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
