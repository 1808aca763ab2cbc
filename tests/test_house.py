"""Nothing of the product imports from a floor above its own, from tests, or in a circle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support import house

# Folders that only a workshop has beside the checkout; the tests say where they are skipped without them.
BESIDE = re.compile(r"""arm-schemas|replacements\.json|["'/]shared["'/]""")
MODULES = ("components.azure.roles", "components.azure")


def test_the_product_keeps_to_its_floors() -> None:
    imports = house.product()
    assert {module.split(".")[0] for module in imports} == house.FLOORS.keys()
    assert len(imports) > 200
    assert house.violations(imports) == []


def test_no_modules_of_the_product_import_each_other_in_a_circle() -> None:
    assert house.cycle(house.product(at_import=True)) == []


@pytest.mark.parametrize(
    ("module", "imported", "reason"),
    [
        ("delivery.cost.estimate", "tests.support.recorder", "never imports from tests"),
        ("__main__", "tests", "never imports from tests"),
        ("infra.program", "delivery.preview.command", "infra is not above delivery"),
        ("components.azure.roles", "infra.naming", "components is not above infra"),
        ("components.mlflow.topology", "mlflow_runtime.routes", "components is not above mlflow_runtime"),
        ("mlflow_runtime.cli", "components.mlflow", "mlflow_runtime is not above components"),
        ("infra.program", "mlflow_runtime", "infra is not above mlflow_runtime"),
        ("delivery.cost.load", "mlflow_runtime.routes", "delivery is not above mlflow_runtime"),
        ("__main__", "delivery", "__main__ is not above delivery"),
        ("tools.venv", "yaml", "standard library only"),
        ("tools.venv", "delivery.image", "tools is not above delivery"),
        ("components.azure.monitoring", "components.mlflow.topology", "knows nothing of components.mlflow"),
        ("components.azure.monitoring", "components.compute.contract", "knows nothing of components.compute"),
        ("components.azure.monitoring", "components.emulators.azurite", "knows nothing of components.emulators"),
        ("components.compute.contract", "components.mlflow", "knows nothing of components.mlflow"),
        ("components.emulators.azurite", "components.mlflow.platform", "knows nothing of components.mlflow"),
        ("components.compute.local.backend", "components.compute.aks.arm", "backends never import each other"),
        ("components.compute.nomad", "components.compute.aks", "backends never import each other"),
        ("components.compute.contract", "components.compute.aks.arm", "what backends share imports none of them"),
    ],
)
def test_a_wrong_import_is_named_with_its_reason(module: str, imported: str, reason: str) -> None:
    imports = {"components.compute.local.jobs": [], "components.compute.aks.arm": [], module: [imported]}
    (found,) = house.violations(imports, exceptions={})
    assert found.startswith(f"{module} imports {imported}: ")
    assert reason in found


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("delivery.preview.command", "infra.naming"),
        ("delivery.image.build", "tools.cache"),
        ("infra.program", "components.mlflow.platform"),
        ("components.mlflow.platform", "components.compute.contract"),
        ("components.compute.local.backend", "components.compute.contract"),
        ("components.compute.local.backend", "components.compute.local.jobs"),
        ("components.compute.contract", "components.compute.cron"),
        ("components.azure.roles", "pulumi_azure_native"),
        ("components.azurelike.roles", "components.mlflow"),
        ("mlflow_runtime.cli", "mlflow"),
        ("tools.venv", "subprocess"),
    ],
)
def test_an_import_from_below_is_allowed(module: str, imported: str) -> None:
    assert house.violations({module: [imported], "components.compute.local.jobs": []}, exceptions={}) == []


def test_an_exception_allows_its_packages_alone_and_is_not_kept_without_need() -> None:
    exceptions = {("delivery.cost", "mlflow_runtime.routes"): "reason"}
    needed = {"delivery.cost.load": ["mlflow_runtime.routes"]}
    assert house.violations(needed, exceptions) == []
    for more in ({"delivery.costs": ["mlflow_runtime.routes"]}, {"delivery.cost": ["mlflow_runtime.cli"]}):
        (found,) = house.violations({**needed, **more}, exceptions)
        assert "delivery is not above mlflow_runtime" in found
    (stale,) = house.violations({"delivery.cost.load": []}, exceptions)
    assert stale == "delivery.cost does not import mlflow_runtime.routes: remove its exception"


def test_every_python_file_is_on_a_floor_or_in_the_tests() -> None:
    assert house.on_no_floor() == []


@pytest.mark.parametrize("path", ["ops/x.py", "runtime/mlflow_other/x.py", "stacks/x.py", "setup.py"])
def test_a_python_file_on_no_floor_is_named(tmp_path: Path, path: str) -> None:
    hidden_and_built = (".venv/lib/x.py", "clients/mlflow-entra/build/lib/x.py", "node_modules/y/x.py")
    for name in (path, "__main__.py", "delivery/cost/x.py", "tests/support/x.py", *hidden_and_built):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert house.on_no_floor(tmp_path) == [path]


def readers_of_what_is_beside(sources: Mapping[str, str]) -> list[str]:
    return [module for module, source in sources.items() if BESIDE.search(source)]


def test_the_product_reads_nothing_beside_its_checkout() -> None:
    assert readers_of_what_is_beside({module: file.read_text() for module, file in house.files().items()}) == []


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ('TABLE = ROOT.parent / "shared" / "facts.md"', True),
        ("TABLE = ROOT.parent / 'shared'", True),
        ("TABLE = Path('../shared/facts.md')", True),
        ('TABLE = Path("/x/shared/facts.md")', True),
        ("shared = 1", False),
        ('"""A disk is shared or private."""', False),
        ('KIND = "shared-models"', False),
    ],
)
def test_a_reader_of_what_is_beside_the_checkout_is_found(source: str, reads: bool) -> None:
    assert readers_of_what_is_beside({"delivery.reads": source}) == (["delivery.reads"] if reads else [])


def test_a_circle_is_named() -> None:
    assert house.cycle({"a": ["b"], "b": ["c", "os"], "c": []}) == []
    found = house.cycle({"a": ["b"], "b": ["c"], "c": ["a"]})
    assert found[0] == found[-1]
    assert set(found) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("source", "expected", "at_import"),
    [
        ("import os.path, sys", {"os.path", "sys"}, {"os.path", "sys"}),
        ("from components.azure import roles", {"components.azure.roles"}, {"components.azure.roles"}),
        ("from components.azure import Roles", {"components.azure"}, {"components.azure"}),
        ("def f():\n    import tests", {"tests"}, set()),
        ("class A:\n    import tests\n    async def f(self):\n        from b import c", {"tests", "b"}, {"tests"}),
        ("try:\n    import tests\nexcept ImportError:\n    import b", {"tests", "b"}, {"tests", "b"}),
        ("if TYPE_CHECKING:\n    import tests", {"tests"}, set()),
        ('importlib.import_module("delivery.cost")', {"delivery.cost"}, {"delivery.cost"}),
        ('import_module(name="delivery.cost")', {"delivery.cost"}, {"delivery.cost"}),
        ('__import__("tests.x")', {"tests.x"}, {"tests.x"}),
        ('pkgutil.resolve_name("tests.x:Y.z")', {"tests.x"}, {"tests.x"}),
        ('def f():\n    importlib.import_module("tests")', {"tests"}, set()),
        ('importlib.import_module(name, "tests")', set(), set()),
        ('print("tests")', set(), set()),
    ],
)
def test_imports_are_read_wherever_they_are(source: str, expected: set[str], at_import: set[str]) -> None:
    assert house.read(source, MODULES) == expected
    assert house.read(source, MODULES, at_import=True) == at_import


def test_a_relative_import_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an absolute one"):
        house.read("from . import roles", MODULES)
