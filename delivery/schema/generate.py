"""Write `migrations.json` of mlflow_runtime.schema: `python -m delivery.schema.generate [VERSION ...]`.

Runs each migration of the installed MLflow on a PostgreSQL of its own. Notes what the catalog then says, and what
`rows.py` says of rows. The heads of VERSIONs, which need not be installed, are read from their wheels. Heads of earlier
calls are retained.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from mlflow.store.db import utils as mlflow_db
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialModels
from sqlalchemy import URL, Connection, Engine, create_engine

from delivery.schema import catalog
from delivery.schema.changes import changes
from delivery.schema.rows import JUDGED, writes_rows
from delivery.schema.scratch import empty_database
from mlflow_runtime.schema.history import release

TABLE = Path(__file__).resolve().parents[2] / "runtime" / "mlflow_runtime" / "schema" / "migrations.json"
_SCRIPTS = "mlflow/store/db_migrations/versions/"


def migrations(empty: URL) -> list[dict[str, Any]]:
    """Run each migration of the installed MLflow on an empty database; return their entries, oldest first."""
    engine = create_engine(empty)
    try:
        return _walk(engine)
    finally:
        engine.dispose()


def unjudged() -> dict[str, str]:
    """Scripts of the installed MLflow that write rows and are not judged in `rows.py`, by revision."""
    scripts = ScriptDirectory.from_config(mlflow_db._get_alembic_config("")).walk_revisions()
    return {
        script.revision: script.path
        for script in scripts
        if script.revision not in JUDGED and writes_rows(Path(script.path).read_text())
    }


def _walk(engine: Engine) -> list[dict[str, Any]]:
    InitialModels.metadata.create_all(engine)
    scripts = [*ScriptDirectory.from_config(mlflow_db._get_alembic_config("")).walk_revisions()]
    with engine.begin() as connection:
        return [_entry(connection, script) for script in reversed(scripts)]


def _entry(connection: Connection, script: Script) -> dict[str, Any]:
    before = catalog.read(connection)
    with Operations.context(MigrationContext.configure(connection)):
        script.module.upgrade()
    noted = [*changes(before, catalog.read(connection)), *JUDGED.get(script.revision, ())]
    found = [asdict(change) for change in noted]
    return {"revision": script.revision, "title": script.doc, "changes": found}


def head_in_wheel(name: str) -> str:
    """The newest revision in MLflow's wheel of a version. The small wheel has the scripts too."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = ["--no-deps", "--only-binary=:all:", "--quiet", f"--dest={folder}", f"mlflow-skinny=={name}"]
        subprocess.run([sys.executable, "-m", "pip", "download", *wanted], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as content:
            sources = [content.read(file) for file in content.namelist() if file.startswith(_SCRIPTS)]
    return head_of(sources)


def head_of(sources: Iterable[bytes]) -> str:
    """The one revision that no other script builds on. The scripts are read, not run."""
    named = [_names(source) for source in sources if b"down_revision" in source]
    heads = {names["revision"] for names in named} - {names["down_revision"] for names in named}
    if len(heads) != 1:
        raise ValueError(f"one head was expected and these were found: {sorted(map(str, heads))}")
    return str(heads.pop())


def _names(source: bytes) -> Mapping[str, Any]:
    return {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in ("revision", "down_revision")
    }


def document(empty: URL, heads: Mapping[str, str]) -> dict[str, Any]:
    """Return the table with these heads and that of the installed version, by an empty database."""
    found = migrations(empty)
    all_heads = {**heads, version("mlflow"): found[-1]["revision"]}
    return {
        "command": "python -m delivery.schema.generate",
        "heads": {name: all_heads[name] for name in sorted(all_heads, key=release)},
        "migrations": found,
    }


def rendered(table: Mapping[str, Any]) -> str:
    """The table as the file has it: a line for each head and each change."""
    lines = ["{", f' "command": {json.dumps(table["command"])},', ' "heads": {']
    lines.append(",\n".join(f"  {json.dumps(name)}: {json.dumps(head)}" for name, head in table["heads"].items()))
    lines += [" },", ' "migrations": [']
    entries = []
    for entry in table["migrations"]:
        start = f'  {{"revision": {json.dumps(entry["revision"])}, "title": {json.dumps(entry["title"])}, "changes": ['
        inner = ",\n".join(f"   {json.dumps(change)}" for change in entry["changes"])
        entries.append(f"{start}\n{inner}\n  ]}}" if inner else f"{start}]}}")
    return "\n".join([*lines, ",\n".join(entries), " ]", "}", ""])


if __name__ == "__main__":
    if due := unjudged():
        sys.exit(f"these write rows: read them, and say in rows.py what older code notices of it: {due}")
    kept = json.loads(TABLE.read_text())["heads"] if TABLE.exists() else {}
    with empty_database() as empty:
        TABLE.write_text(rendered(document(empty, kept | {name: head_in_wheel(name) for name in sys.argv[1:]})))
