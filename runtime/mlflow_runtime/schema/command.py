"""`mlflow-runtime schema OLD NEW`: what a change of MLflow's version does to the databases."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from mlflow_runtime.schema import history
from mlflow_runtime.schema.comparison import Comparison, Direction, compare
from mlflow_runtime.schema.history import UnknownVersionError
from mlflow_runtime.schema.versions import version_in


def run(arguments: Sequence[str]) -> int:
    """Print the comparison that the arguments ask for. Exit code: 0 compared, 2 a version that is not known."""
    given = _parser().parse_args(arguments)
    try:
        print(report(version_in(given.old), version_in(given.new), as_json=given.json))
    except UnknownVersionError as error:
        print(f"mlflow-runtime schema: {error}", file=sys.stderr)
        return 2
    return 0


def report(old: str, new: str, *, as_json: bool) -> str:
    """Return the comparison of two versions as text or JSON. Raise UnknownVersionError for one that is not known."""
    found = history.known()
    comparison = compare(found, found.head_of(old), found.head_of(new))
    return json.dumps(document(old, new, comparison), indent=2) if as_json else text(old, new, comparison)


def document(old: str, new: str, comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON."""
    return {
        "old": {"mlflow": old, "revision": comparison.old_head},
        "new": {"mlflow": new, "revision": comparison.new_head},
        "direction": comparison.direction,
        "migration": comparison.direction is Direction.FORWARD,
        "older_code_runs_on_newer_schema": comparison.older_code_runs,
        "revisions": [
            {
                "revision": migration.revision,
                "title": migration.title,
                "changes": [str(change) for change in migration.changes],
                "obstacles": [str(one.change) for one in comparison.obstacles if one.migration is migration],
            }
            for migration in comparison.migrations
        ],
    }


def text(old: str, new: str, comparison: Comparison) -> str:
    """The comparison for a reader."""
    older = old if comparison.direction is Direction.FORWARD else new
    lines = [f"MLflow {old} ({comparison.old_head}) -> {new} ({comparison.new_head})"]
    match comparison.direction:
        case Direction.NONE:
            return "\n".join([*lines, "No migration: both need the same schema."])
        case Direction.FORWARD:
            lines.append(f"Migration: {len(comparison.migrations)} revisions, by prepare of the new image.")
        case Direction.BACK:
            lines.append(
                f"No migration: {new} is older, and MLflow does not migrate back. The schema stays where "
                f"{len(comparison.migrations)} later revisions took it."
            )
    if comparison.older_code_runs:
        lines.append(f"The code of {older} runs on the newer schema: nothing that it knows is removed or refused.")
    else:
        lines.append(f"The code of {older} does NOT run on the whole of the newer schema:")
        lines += [f"  {one.migration.revision} {one.change}" for one in comparison.obstacles]
    if comparison.direction is Direction.BACK and not comparison.older_code_runs:
        lines.append("A way back is a restore of the databases to their restore point; see docs/upgrades.md.")
    lines.append("Revisions:")
    lines += [f"  {migration.revision} {migration.title}" for migration in comparison.migrations]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlflow-runtime schema",
        description="Whether a change of MLflow's version migrates the databases, and whether the older version's "
        "code runs on the newer schema.",
    )
    parser.add_argument(
        "old",
        metavar="OLD",
        help="the version that runs: a number, a lock file that pins it, or an image's configuration as JSON",
    )
    parser.add_argument("new", metavar="NEW", help="the version to come, in the same way")
    parser.add_argument("--json", action="store_true", help="print a document for programs")
    return parser
