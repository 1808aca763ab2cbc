"""What is in the image, and that MLflow misses nothing of what was left out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from components.mlflow.runtime_contract import CONTRACT, LABEL
from delivery.image import context, layout
from delivery.image.build import BILL_OF_MATERIALS
from delivery.image.container import command
from tests.delivery.image.conftest import Built
from tests.support.plane import REPOSITORY

ROUTES = Path(__file__).with_name("every_route.py")
LOCK = REPOSITORY / "runtime" / "requirements.lock"
MOST_MB = 520


@pytest.fixture(scope="module")
def image(built: Built) -> layout.Image:
    return layout.read(built.folder / "layout")


def test_it_holds_the_lock_less_what_is_dropped(built: Built) -> None:
    components = json.loads((built.folder / "sbom.cdx.json").read_text())["components"]
    installed = {part["name"]: part["version"] for part in components if part["purl"].startswith("pkg:pypi/")}
    lock = context.without(LOCK.read_text(), context.dropped())
    other_platforms = {"pywin32", "tzdata", "waitress"}
    assert installed == {name: version for name, version in _pins(lock).items() if name not in other_platforms}
    assert any(part["purl"].startswith("pkg:deb/debian/libc6@") for part in components)


def test_the_bill_of_materials_is_inside_too(built: Built) -> None:
    inside = layout.content(built.folder / "layout", BILL_OF_MATERIALS)
    assert inside == (built.folder / "sbom.cdx.json").read_bytes()


def test_labels_say_what_it_is_made_from(built: Built) -> None:
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.strip()
    labels = built.document["labels"]
    assert labels["org.opencontainers.image.revision"].removesuffix("-changed") == revision
    assert labels["org.mlflow.version"] == context.pinned(LOCK.read_text(), "mlflow")
    assert labels[LABEL] == str(CONTRACT)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", labels["org.opencontainers.image.base.digest"])


def test_its_configuration(image: layout.Image) -> None:
    config = image.config["config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["mlflow-runtime"]
    assert config["StopSignal"] == "SIGTERM"
    assert {step["created"] for step in image.config["history"][-10:]} == {"1970-01-01T00:00:00Z"}


def test_nothing_can_install_or_compile_in_it_or_raise_its_rights(image: layout.Image) -> None:
    forbidden = re.compile(r"(pip[0-9.]*|uvx?|easy_install|gcc|cc|g\+\+|clang|ld|make|tcc)$")
    programs = [path for path in image.files if re.search(r"/s?bin/[^/]+$", path)]
    assert [path for path in programs if forbidden.match(path.rpartition("/")[2])] == []
    assert [path for path in image.files if re.search(r"/(ensurepip|pip|setuptools|uv)(/|$)", path)] == []
    assert [path for path, file in image.files.items() if file.mode & 0o6000 and file.kind == "0"] == []


def test_nothing_of_the_building_machine_is_in_it(built: Built, image: layout.Image) -> None:
    assert {path for path in image.files if path.count("/") == 2 and path.startswith("/opt/")} == {
        "/opt/mlflow",
        "/opt/mlflow-runtime",
    }
    assert [path for path in image.files if path.startswith(("/run/secrets", "/context", "/stage", "/root/.c"))] == []
    config = json.dumps(image.config)
    assert [name for name in ("UV_", "PIP_", "_PROXY=", "secret_") if name in config] == []
    settings = context.package_settings({"PIP_INDEX_URL": "https://user:word@packages.example.com/simple"})
    assert settings["UV_DEFAULT_INDEX"].startswith("https://user:word@")  # the names that matter are these
    assert str(built.folder) not in config


def test_what_roles_do_not_read_is_gone(image: layout.Image) -> None:
    packages = [path for path in image.files if path.startswith("/opt/")]
    assert [path for path in packages if path.endswith((".map", ".pyx", ".pyi", ".h"))] == []
    assert [path for path in packages if "/tests/" in path] == []
    assert sum(file.size for file in image.files.values()) < MOST_MB * 1_000_000


def test_every_module_has_bytecode_that_carries_no_time(built: Built, image: layout.Image) -> None:
    code = layout.content(built.folder / "layout", _bytecode(image, "mlflow/version"))
    hash_based_and_unchecked = 0b01
    assert int.from_bytes(code[4:8], "little") == hash_based_and_unchecked


def test_every_route_of_mlflow_answers_as_with_all_packages(built: Built) -> None:
    """400 routes, each with and without arguments."""
    line = command(built.identifier, ["-"], {})
    line[2:2] = ["--interactive", "--entrypoint=python"]
    started = [subprocess.Popen(c, stdin=ROUTES.open(), stdout=-1, stderr=-1) for c in (line, [sys.executable, "-"])]
    outputs = [process.communicate(timeout=180) for process in started]
    for process, (_, errors) in zip(started, outputs, strict=True):
        assert process.returncode == 0, errors.decode()
    with_less, with_all = (json.loads(answers) for answers, _ in outputs)
    assert len(with_all) > 700
    assert _different(with_all, with_less) == {}


def _different(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    names = one.keys() | other.keys()
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}


def _bytecode(image: layout.Image, module: str) -> str:
    folder, _, name = module.rpartition("/")
    return next(path for path in image.files if re.search(rf"/{folder}/__pycache__/{name}\.cpython-\d+\.pyc$", path))


def _pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ]+)", lock, re.MULTILINE))
