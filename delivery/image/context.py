"""The build context: the few files that runtime/Containerfile reads, in a folder of their own.

So the image depends on nothing else in the checkout, and nothing else can get into it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tools import wheels
from tools.package_index import uv_environment
from tools.steps import Report, ToolError, run

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
CONTAINERFILE = CHECKOUT / "runtime" / "Containerfile"
_LOCK = CHECKOUT / "runtime" / "requirements.lock"
_PACKAGE = ("mlflow_runtime", "pyproject.toml")
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")
_INDEX = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|INDEX_\w+_(USERNAME|PASSWORD)|FIND_LINKS|NO_INDEX"
    r"|INSECURE_HOST|HTTP_TIMEOUT)|((https?|all|no)_proxy)",
    re.IGNORECASE,
)
_SYSTEM_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_MOUNTED_LINKS = "/context/links"
_MOUNTED_AUTHORITIES = "/run/secrets/authorities"


def write(folder: Path, *, source_date_epoch: int, report: Report) -> None:
    """Fill the empty `folder`. The runtime's wheel is built with this Python's setuptools, and fetches nothing."""
    lock = without(_LOCK.read_text(), dropped())
    (folder / "requirements.lock").write_text(lock)
    (folder / "links").mkdir()
    for wheel in local_wheels(os.environ, lock):
        shutil.copy(wheel, folder / "links")
    uv = wheels.unpacked(CHECKOUT / "tools" / "uv.txt", essential="bin/uv", report=report) / "bin" / "uv"
    shutil.copy(uv, folder / "uv")
    shutil.copytree(HERE / "stage", folder / "stage", ignore=shutil.ignore_patterns("__pycache__"))
    source = folder / "source"
    source.mkdir()
    for name in _PACKAGE:
        _copy(CHECKOUT / "runtime" / name, source / name)
    run(
        [sys.executable, "-c", _BUILD, folder / "runtime.whl"],
        doing="building the runtime's wheel",
        report=report,
        remedy="The package in runtime/ does not build; its pyproject.toml says how it should.",
        cwd=source,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(source_date_epoch)},
    )
    shutil.rmtree(source)


_BUILD = "import os, sys, setuptools.build_meta as b; os.mkdir(sys.argv[1]); b.build_wheel(sys.argv[1])"


def dropped() -> list[str]:
    """Names of the locked distributions that the image goes without."""
    lines = (HERE / "dropped.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def without(lock: str, names: Iterable[str]) -> str:
    """The lock file less the distributions `names`. Raises `ToolError` for one that it does not have."""
    blocks = list(_blocks(lock))
    missing = sorted(set(names) - {name for name, _ in blocks})
    if missing:
        raise ToolError(
            f"delivery/image/dropped.txt names {', '.join(missing)}, not in runtime/requirements.lock: remove it"
        )
    return "".join(text for name, text in blocks if name not in set(names))


def pinned(lock: str, name: str) -> str:
    """The version of a distribution in a lock file."""
    return str(dict(_PIN.findall(lock))[name])


def _blocks(lock: str) -> Iterator[tuple[str, str]]:
    """Each requirement with its hashes and comments, and before them the text at the top, under the name ''."""
    name, lines = "", list[str]()
    for line in lock.splitlines(keepends=True):
        pin = _PIN.match(line)
        if pin:
            yield name, "".join(lines)
            name, lines = pin[1], []
        lines.append(line)
    yield name, "".join(lines)


def package_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Where packages come from, as uv's variables for the build: how the user's uv or pip are configured here."""
    translated = uv_environment(environ)
    settings = {name: value for name, value in translated.items() if value and _INDEX.fullmatch(name)}
    if links := _links(settings):
        # Those of this machine are in the context.
        settings["UV_FIND_LINKS"] = ",".join([*(link for link in links if not _is_local(link)), _MOUNTED_LINKS])
    if authorities(environ):
        settings["SSL_CERT_FILE"] = _MOUNTED_AUTHORITIES
    return settings


def authorities(environ: Mapping[str, str]) -> Path | None:
    """The certificate authorities that this machine trusts, which may be more than the base does."""
    named = uv_environment(environ).get("SSL_CERT_FILE")
    path = Path(named) if named else _SYSTEM_AUTHORITIES
    return path if path.is_file() else None


def local_wheels(environ: Mapping[str, str], lock: str) -> list[Path]:
    """Wheels of locked distributions in folders of this machine that its pip or uv looks into; hashes decide later."""
    names = {_normal(name) for name, _ in _PIN.findall(lock)}
    folders = [Path(link).expanduser() for link in _links(uv_environment(environ)) if _is_local(link)]
    found = (wheel for folder in folders for wheel in sorted(folder.glob("*.whl")))
    return [wheel for wheel in found if _normal(wheel.name.partition("-")[0]) in names]


def _links(settings: Mapping[str, str]) -> list[str]:
    return [link for link in settings.get("UV_FIND_LINKS", "").split(",") if link]


def _is_local(link: str) -> bool:
    return "://" not in link


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    else:
        shutil.copy(source, target)
