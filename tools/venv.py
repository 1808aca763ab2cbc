"""Make `.venv` in the checkout: the locked dependencies, this project and its runtime in place, and Azurite.

The first call on a machine fetches uv and the packages; later ones, of other checkouts too, link the packages from uv's
cache; a call with nothing to do answers in milliseconds. Packages come from where the user's pip takes them, and only
as wheels with the hashes of the lock files. What else is in `.venv` is removed when the locks change; a `.venv` that
this tool did not finish is replaced.
`.venv/azurite` is a link to the folder that holds Azurite's node_modules.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

if not __package__:  # run as a file: its own folder on the import path would hide the project's and Python's modules
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tools import bytecode, cache, wheels
from tools.azurite import install as azurite
from tools.package_index import uv_arguments, uv_environment
from tools.steps import OLDEST_PYTHON, Report, ToolError, main, output, run

_TOOLS = Path(__file__).resolve().parent
_UV = _TOOLS / "uv.txt"
_LOCKS = ("requirements.txt", "runtime/requirements.lock", "requirements-local.txt")
_DEVELOPMENT_LOCK = "requirements-dev.txt"
_STAMP = "complete.json"
_REMEDY = (
    "Check that pip reaches a package index (`pip download pip`); a private one is set with `pip config set "
    "global.index-url URL`. Then call this again."
)


def provide(checkout: Path, *, development: bool, report: Report) -> Path:
    """The environment's folder, brought to the state of the lock files unless it is there already.

    `development` adds the packages of lint and tests; without it an environment that has them is good as it is.
    """
    venv = checkout / ".venv"
    accepted = [_stamp(checkout, venv, dev) for dev in {development, True}]
    if _read_stamp(venv) in accepted:
        return venv
    with cache.lock(cache.root() / f"venv-{cache.digest([str(venv)])}.lock", report):
        if _read_stamp(venv) in accepted:
            return venv
        _make(checkout, venv, development, report)
    return venv


def _make(checkout: Path, venv: Path, development: bool, report: Report) -> None:
    uv = wheels.unpacked(_UV, essential="bin/uv", report=report) / "bin" / "uv"
    development = development or _has_development(venv)
    if venv.exists() and not _is_usable(venv):
        report(f"replacing {venv}: it is unfinished, was made for another place, or its Python is gone")
        cache.remove(venv)
    (venv / _STAMP).unlink(missing_ok=True)
    if not venv.exists():
        base = getattr(sys, "_base_executable", sys.executable)  # not a venv's own link, which may go with that venv
        run([base, "-I", "-m", "venv", "--without-pip", venv], doing="creating .venv", report=report, remedy=_REMEDY)
    environment = uv_environment(os.environ) | {"UV_PYTHON": str(venv / "bin" / "python"), "UV_NO_PROGRESS": "1"}
    locks = [checkout / name for name in (*_LOCKS, *([_DEVELOPMENT_LOCK] if development else []))]
    run(
        [uv, "pip", "sync", "--require-hashes", "--no-build", *uv_arguments(os.environ), *locks],
        doing="installing the locked packages",
        report=report,
        remedy=_REMEDY,
        env=environment,
    )
    run(
        [uv, "pip", "install", "--no-deps", "--no-build-isolation", *_in_place(checkout)],
        doing="installing this project and its runtime in place",
        report=report,
        remedy="A package of this checkout does not build; pyproject.toml, here and in runtime/, say how they should.",
        env=environment,
    )
    bytecode.provide(checkout, venv, report)
    _link(venv / "azurite", azurite.provide(venv / "bin", report))
    staged = venv / f"{_STAMP}.new"
    staged.write_text(_stamp(checkout, venv, development))
    staged.replace(venv / _STAMP)


def _in_place(checkout: Path) -> list[str | Path]:
    return [part for folder in (checkout / "runtime", checkout) for part in ("--editable", folder)]


def _stamp(checkout: Path, venv: Path, development: bool) -> str:
    """What a finished environment is the result of. It carries its place, because scripts hold absolute paths."""
    names = (*_LOCKS, *([_DEVELOPMENT_LOCK] if development else []), "runtime/pyproject.toml")
    files = [checkout / name for name in names]
    tools = [_UV, _TOOLS / "azurite" / "package-lock.json"]
    project = checkout / "pyproject.toml"
    missing = [str(file) for file in (*files, project) if not file.exists()]
    if missing:
        raise ToolError(f"missing in the checkout: {', '.join(missing)}. Restore it from version control")
    python = venv / "pyvenv.cfg"
    made_from = [file.read_bytes() for file in (*files, *tools, *([python] if python.exists() else []))]
    made_from.append(_installed_part(project).encode())
    return json.dumps({"place": str(venv), "made_from": cache.digest(made_from), "development": development})


def _installed_part(project: Path) -> str:
    """What an installation reads of a pyproject.toml: a change of the settings of lint and tests does not count."""
    import tomllib  # not in a Python that is too old, which `tools.steps` refuses in one line

    try:
        document = tomllib.loads(project.read_text())
    except ValueError as error:
        raise ToolError(f"{project} is not TOML: {error}. Correct it") from error
    parts = [document.get("build-system"), document.get("project"), document.get("tool", {}).get("setuptools")]
    return json.dumps(parts, sort_keys=True)


def _read_stamp(venv: Path) -> str | None:
    """The stamp, or None where the environment is unfinished or its interpreter or Azurite is gone."""
    try:
        stamp = (venv / _STAMP).read_text()
    except OSError:
        return None
    is_there = (venv / "bin" / "python").exists() and (venv / "azurite" / azurite.BLOB_SERVER).exists()
    return stamp if is_there else None


def _has_development(venv: Path) -> bool:
    stamp = _read_stamp(venv)
    return stamp is not None and bool(json.loads(stamp)["development"])


def _is_usable(venv: Path) -> bool:
    """Whether the environment was finished once, in this place, and its Python runs and is new enough.

    An unfinished one is useless: a killed installer leaves packages that look installed and lack files.
    """
    probe = "import sys; print(*sys.version_info[:2])"
    try:
        place = json.loads((venv / _STAMP).read_text())["place"]
        answer = output([venv / "bin" / "python", "-I", "-c", probe])
        return bool(place == str(venv)) and tuple(map(int, answer.split())) >= OLDEST_PYTHON
    except (OSError, ValueError, LookupError, ToolError):
        return False


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target, target_is_directory=True)


def _run(report: Report) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", action="store_true", help="add what lint and tests need")
    given = parser.parse_args()
    print(provide(_TOOLS.parent, development=given.dev, report=report))


if __name__ == "__main__":
    sys.exit(main("venv", _run))
