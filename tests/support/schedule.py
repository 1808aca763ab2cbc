"""Which tests stay together on a worker, which start first, and which start no process of their own.

The table of seconds is `.ci/budgets`. A line of it is a part of `.ci/run`, or a folder or file of tests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

BUDGETS: Final = Path(__file__).resolve().parents[2] / ".ci" / "budgets"
EACH_FILE: Final = "/*"
"""The end of a line that speaks of each file below a folder."""

PROCESSES: Final = "processes"
"""The marker of tests that may start processes; `make test-quick` leaves them out."""

KUBERNETES: Final = "kubernetes"
"""The marker of tests that need a real Kubernetes, and the fixture that gives it: `make test` leaves them out."""

STARTS_PROCESSES: Final[Mapping[str, bool]] = {
    "tests": True,
    "tests/clients": False,
    "tests/components": False,
    "tests/components/compute/aks/test_flows.py": True,
    "tests/components/compute/local": True,
    "tests/components/emulators": True,
    "tests/components/emulators/test_entra.py": False,
    "tests/components/emulators/test_identities.py": False,
    "tests/components/emulators/test_vault.py": False,
    "tests/components/mlflow/observability/test_kql.py": True,
    "tests/delivery/audit": False,
    "tests/delivery/quotas": False,
    "tests/delivery/apply/test_approval.py": False,
    "tests/delivery/apply/test_neighbours.py": False,
    "tests/delivery/apply/test_report.py": False,
    "tests/delivery/apply/test_smoke.py": False,
    "tests/delivery/bench": False,
    "tests/delivery/bench/test_load.py": True,
    "tests/delivery/bench/test_processes.py": True,
    "tests/delivery/cost/test_capacity.py": False,
    "tests/delivery/cost/test_charges.py": False,
    "tests/delivery/cost/test_components.py": False,
    "tests/delivery/cost/test_retail.py": False,
    "tests/delivery/dashboard": False,
    "tests/delivery/azure_types": False,
    "tests/delivery/doctor": False,
    "tests/delivery/doctor/test_doctor.py": True,
    "tests/delivery/offline_azure/test_alerts.py": False,
    "tests/delivery/drift": False,
    "tests/delivery/offline_azure/test_bootstrapped.py": False,
    "tests/delivery/offline_azure/test_budgets.py": False,
    "tests/delivery/local/test_ownership.py": False,
    "tests/delivery/local/test_progress.py": False,
    "tests/delivery/offline_azure/test_cloud.py": False,
    "tests/delivery/offline_azure/test_image_imports.py": False,
    "tests/delivery/offline_azure/test_immutable.py": False,
    "tests/delivery/offline_azure/test_postgres.py": False,
    "tests/delivery/offline_azure/test_retrying.py": False,
    "tests/delivery/offline_azure/test_rules.py": False,
    "tests/delivery/policy_pack/test_policies.py": False,
    "tests/delivery/preview/test_findings.py": False,
    "tests/delivery/preview/test_forms.py": False,
    "tests/delivery/preview/test_plan.py": False,
    "tests/delivery/preview/test_changes.py": False,
    "tests/delivery/preview/test_recordings.py": False,
    "tests/delivery/preview/test_traps.py": False,
    "tests/delivery/offline_azure/test_server_parameters.py": False,
    "tests/delivery/offline_azure/test_stacks_key.py": False,
    "tests/delivery/offline_azure/test_exclusive.py": False,
    "tests/delivery/pull_request": False,
    "tests/delivery/pull_request/test_killed_anywhere.py": True,
    "tests/delivery/kubernetes": False,
    "tests/delivery/promote/test_gates.py": False,
    "tests/delivery/promote/test_lines.py": False,
    "tests/delivery/promote/test_promote_parts.py": False,
    "tests/delivery/recover/test_addresses.py": False,
    "tests/delivery/test_federation.py": False,
    "tests/delivery/recover/test_parts.py": False,
    "tests/delivery/reference/test_alerts.py": False,
    "tests/delivery/reference/test_workflows.py": False,
    "tests/delivery/smoke/test_smoke_parts.py": False,
    "tests/end_to_end/fuzz": False,
    "tests/end_to_end/local/test_leaks.py": False,
    "tests/infra": False,
    "tests/infra/settings/test_remedies.py": True,
    "tests/infra/settings/test_stack_file.py": True,
    "tests/runtime/artifacts/test_byte_range.py": False,
    "tests/runtime/artifacts/test_memory.py": False,
    "tests/runtime/artifacts/test_names.py": False,
    "tests/runtime/artifacts/test_spool.py": False,
    "tests/runtime/artifacts/test_upload.py": False,
    "tests/runtime/azure/test_blob_address.py": False,
    "tests/runtime/azure/test_certificates.py": False,
    "tests/runtime/metrics": False,
    "tests/runtime/middleware/access": False,
    "tests/runtime/middleware/test_bodies.py": False,
    "tests/runtime/middleware/test_content_codings.py": False,
    "tests/runtime/middleware/test_file_answers.py": False,
    "tests/runtime/middleware/test_observed.py": False,
    "tests/runtime/prepare/test_databases.py": False,
    "tests/runtime/patches/test_database_errors.py": False,
    "tests/runtime/patches/test_repeated.py": False,
    "tests/runtime/patches/test_workspace_memory.py": False,
    "tests/runtime/prepare/test_privileges.py": False,
    "tests/runtime/prepare/test_settings.py": False,
    "tests/runtime/prepare/test_vault.py": False,
    "tests/runtime/schema/test_comparison.py": False,
    "tests/runtime/service/test_health.py": False,
    "tests/runtime/service/test_settings.py": False,
    "tests/runtime/service/test_stores.py": False,
    "tests/runtime/test_addresses.py": False,
    "tests/runtime/test_deadline.py": False,
    "tests/runtime/test_environment.py": False,
    "tests/runtime/test_loading.py": False,
    "tests/runtime/test_logs.py": False,
    "tests/support": False,
    "tests/support/test_run.py": True,
    "tests/support/test_warm.py": True,
    "tests/support/test_warm_roles.py": True,
    "tests/support/test_warm_smoke.py": True,
    "tests/test_house.py": False,
    "tests/test_azure_pipelines.py": False,
    "tests/test_runbooks.py": False,
    "tests/test_workflows.py": False,
    "tests/tools/test_lock_files.py": False,
    "tests/tools/test_words.py": False,
}
"""Whether the tests below a path may start processes; the deepest path decides. A guard holds the others to it."""


def budgets(text: str) -> dict[str, float]:
    """Return the seconds by name. Raise ValueError for a line that is not `SECONDS NAME`, or a name twice."""
    found: dict[str, float] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        seconds, _, name = line.partition(" ")
        if not seconds.isdecimal() or not name.strip() or name in found:
            raise ValueError(f".ci/budgets: got line {number}, {line!r}; expected `SECONDS NAME`, each name once")
        found[name] = float(seconds)
    return found


def group(file: str, seconds: Mapping[str, float]) -> str:
    """Return the path of the budgets' line that holds the test file, or the file itself."""
    line = _deepest(file, _folders(seconds))
    return file if line is None or line.endswith(EACH_FILE) else line


def budget(group: str, seconds: Mapping[str, float]) -> float:
    """Return the seconds that a group may take; infinite where no line speaks of it."""
    line = _deepest(group, _folders(seconds))
    return float("inf") if line is None else seconds[line]


def starts_processes(file: str) -> bool:
    """Return whether the tests of this file may start processes."""
    path = _deepest(file, STARTS_PROCESSES)
    return path is None or STARTS_PROCESSES[path]


def order(groups: Iterable[str], seconds: Mapping[str, float]) -> list[str]:
    """Return each group once, the longest first; those without a budget come last, in their own order."""

    def rank(name: str) -> float:
        allowed = budget(name, seconds)
        return 0 if allowed == float("inf") else -allowed

    return sorted(dict.fromkeys(groups), key=rank)


def spent(durations: Iterable[tuple[str, float]], seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the sum of the durations, given as test file and seconds, of each group."""
    found: dict[str, float] = defaultdict(float)
    for file, duration in durations:
        found[group(file, seconds)] += duration
    return dict(found)


def outgrown(spent: Mapping[str, float], seconds: Mapping[str, float]) -> list[str]:
    """Return one sentence for each group that took longer than its budget."""
    return [
        f"{name}: took {duration:.0f} s; expected at most {budget(name, seconds):.0f} s, see .ci/budgets"
        for name, duration in spent.items()
        if duration > budget(name, seconds)
    ]


def _folders(seconds: Mapping[str, float]) -> list[str]:
    """Return the lines of tests. The part `tests` of `.ci/run` is no folder: its files would stay on one worker."""
    return [name for name in seconds if "/" in name]


def _deepest(file: str, paths: Iterable[str]) -> str | None:
    """Return the longest of the paths that is the file or a folder above it."""
    holding = [path for path in paths if f"{file}/".startswith(f"{path.removesuffix(EACH_FILE)}/")]
    return max(holding, key=len, default=None)
