"""The lock files as committed: pinned by content, free of hosts, and consistent with each other and their sources."""

from __future__ import annotations

import json
import re

import pytest

from tests.tools.conftest import CHECKOUT

PAIRS = {
    "requirements.txt": "requirements.in",
    "runtime/requirements.lock": "runtime/requirements.in",
    "requirements-local.txt": "requirements-local.in",
    "requirements-dev.txt": "requirements-dev.in",
    "tools/uv.txt": "tools/uv.in",
    "tools/go.txt": "tools/go.in",
    "tools/kubernetes/kubectl.txt": "tools/kubernetes/kubectl.in",
    "tools/policies.txt": "tools/policies.in",
}


def normal(name: str) -> str:
    """A package's name in the one spelling that its index uses."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes by package."""
    requirement = re.compile(r"^([\w.-]+)==(\S+)[^\\\n]*((?:\\\n    --hash=sha256:[0-9a-f]{64}\s*)*)", re.MULTILINE)
    text = (CHECKOUT / lock).read_text()
    return {normal(found[1]): (found[2], found[3].count("--hash")) for found in requirement.finditer(text)}


@pytest.mark.parametrize("lock", PAIRS)
def test_every_package_is_pinned_with_hashes_and_no_index_is_named(lock: str) -> None:
    text = (CHECKOUT / lock).read_text()
    content = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    found = pins(lock)
    assert found
    assert len(re.findall(r"^\S", content, re.MULTILINE)) == len(found)
    assert [name for name, (_, hashes) in found.items() if hashes == 0] == []


@pytest.mark.parametrize(("lock", "source"), PAIRS.items())
def test_what_is_asked_for_is_locked(lock: str, source: str) -> None:
    asked = re.findall(r"^([\w.-]+)(?:==(\S+))?", (CHECKOUT / source).read_text(), re.MULTILINE)
    found = pins(lock)
    assert asked
    for name, version in asked:
        assert normal(name) in found
        assert version in ("", found[normal(name)][0])


def test_a_package_has_the_same_version_in_all_locks_of_the_environment() -> None:
    seen: dict[str, set[str]] = {}
    for lock in list(PAIRS)[:4]:
        for name, (version, _) in pins(lock).items():
            seen.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in seen.items() if len(versions) > 1} == {}


@pytest.mark.parametrize(
    ("folder", "package", "version"),
    [
        ("azurite", "azurite", "3.37.0"),
        ("charts", "uplot", "1.6.32"),
        ("load", "autocannon", "9.0.0"),
        ("kusto", "@kusto/language-service-next", "12.4.1"),
    ],
)
def test_packages_of_npm_are_pinned_by_content_with_no_registry_named(folder: str, package: str, version: str) -> None:
    packages = json.loads((CHECKOUT / "tools" / folder / "package-lock.json").read_text())["packages"]
    installed = {name: entry for name, entry in packages.items() if name}
    assert installed[f"node_modules/{package}"]["version"] == version
    assert [name for name, entry in installed.items() if "integrity" not in entry] == []
    assert [name for name, entry in installed.items() if "resolved" in entry] == []


@pytest.mark.parametrize(
    "module", ["pulumi/engine", "pulumi/language", "kubernetes/control_plane", "kubernetes/kwok", "kubernetes/provider"]
)
def test_every_go_module_of_the_build_has_its_checksum(module: str) -> None:
    folder = CHECKOUT / "tools" / module
    sums = (folder / "go.sum").read_text()
    lines = (folder / "go.mod").read_text().splitlines()
    replaced = {line.removeprefix("replace ").split()[0] for line in lines if " => " in line}
    required = [line.removeprefix("require ").split()[:2] for line in lines if re.match(r"(require |\t)\S+ v\d", line)]
    assert len(required) > 50
    missing = [
        name for name, version in required if name not in replaced and f"{name} {version}/go.mod h1:" not in sums
    ]
    assert missing == []
