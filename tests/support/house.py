"""The floors of the house, and what breaks them: see `violations` and `cycle`.

Nothing imports from a floor above its own, and the product never imports from tests. Both are functions of plain
mappings from a module to what it imports; `product` reads those of this repository.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]

Imports = Mapping[str, Collection[str]]
"""By module, the modules that it imports."""

# Each floor with those below it. `mlflow_runtime` runs inside the image, where none of the others is.
FLOORS: Final[Mapping[str, frozenset[str]]] = {
    "__main__": frozenset({"infra"}),
    "delivery": frozenset({"infra", "components", "tools"}),
    "infra": frozenset({"components"}),
    "components": frozenset(),
    "mlflow_runtime": frozenset(),
    "mlflow_entra": frozenset(),
    "tools": frozenset(),
}
TESTS: Final = "tests"
# It runs before there is a venv.
STANDARD_LIBRARY_ONLY: Final = "tools"

# Where the modules of each floor are, and the folder that their names begin in.
_FOLDERS: Final = (
    *((floor, ".") for floor in ("delivery", "infra", "components", "tools")),
    ("runtime/mlflow_runtime", "runtime"),
    ("clients/mlflow-entra/mlflow_entra", "clients/mlflow-entra"),
)

# Inside of a floor: what the first must know nothing of.
APART: Final = (
    ("components.azure", "components.mlflow"),
    ("components.compute", "components.mlflow"),
    ("components.emulators", "components.mlflow"),
)
_BACKENDS: Final = "components.compute"

EXCEPTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("delivery.dashboard", "mlflow_runtime.metrics.snapshot"): "it evaluates the rows of the services' own metrics",
    ("delivery.dashboard", "mlflow_runtime.routes"): "it asks each service for the path that the service serves",
    (
        "delivery.preview",
        "mlflow_runtime.schema",
    ): "it judges the schemas of two releases as the image does",
    ("delivery.promote", "mlflow_runtime.schema"): "it compares the schemas of two releases as the image does",
    ("delivery.schema", "mlflow_runtime.schema"): "it writes the table of migrations in the form that the image reads",
}
"""Imports from a package that no floor allows, each with its reason. One that nothing needs is a violation."""


def violations(imports: Imports, exceptions: Mapping[tuple[str, str], str] = EXCEPTIONS) -> list[str]:
    """Return one line for each import that the house does not allow, and for each exception without an import."""
    backends, needed, refused = _backends(imports), set[tuple[str, str]](), list[str]()
    for module, imported in ((module, imported) for module, targets in imports.items() for imported in targets):
        if (reason := _refusal(module, imported, backends)) is None:
            continue
        allowing = [pair for pair in exceptions if _inside(module, pair[0]) and _inside(imported, pair[1])]
        needed.update(allowing)
        if not allowing:
            refused.append(f"{module} imports {imported}: {reason}")
    stale = [
        f"{module} does not import {imported}: remove its exception" for module, imported in exceptions.keys() - needed
    ]
    return sorted(refused + stale)


def cycle(imports: Imports) -> list[str]:
    """Return modules that import each other in a circle, the first one again at the end; empty if there are none."""
    try:
        graphlib.TopologicalSorter({module: set(targets) for module, targets in imports.items()}).prepare()
    except graphlib.CycleError as error:
        return [str(module) for module in error.args[1]]
    return []


def _refusal(module: str, imported: str, backends: Collection[str]) -> str | None:
    floor, target = module.split(".")[0], imported.split(".")[0]
    if target == TESTS:
        return "the product never imports from tests"
    if target in FLOORS and target != floor and target not in FLOORS[floor]:
        return f"{floor} is not above {target}"
    if floor == STANDARD_LIBRARY_ONLY and target != floor and target not in sys.stdlib_module_names:
        return f"{floor} needs the standard library only"
    for part, other in APART:
        if _inside(module, part) and _inside(imported, other):
            return f"{part} knows nothing of {other}"
    for backend in backends:
        others = (other for other in backends if other != backend)
        if _inside(module, backend) and any(_inside(imported, other) for other in others):
            return "backends never import each other"
    return None


def _backends(imports: Imports) -> set[str]:
    """The packages in components.compute: each is a backend, by its folder."""
    depth = _BACKENDS.count(".") + 2
    below = (module.split(".") for module in imports if module.startswith(f"{_BACKENDS}."))
    return {".".join(parts[:depth]) for parts in below if len(parts) > depth}


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def product(root: Path = REPOSITORY, *, at_import: bool = False) -> dict[str, frozenset[str]]:
    """Return what each module of the product imports, in functions too; `at_import` leaves those out.

    `at_import` means what runs when the module is imported: no function's body and nothing under TYPE_CHECKING.
    """
    modules = files(root)
    return {module: read(file.read_text(), modules, at_import=at_import) for module, file in modules.items()}


def files(root: Path = REPOSITORY) -> dict[str, Path]:
    """Return the file of each module of the product."""
    found = {"__main__": root / "__main__.py"}
    for folder, base in _FOLDERS:
        for file in sorted((root / folder).rglob("*.py")):
            parts = file.relative_to(root / base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def read(source: str, modules: Collection[str], *, at_import: bool = False) -> frozenset[str]:
    """Return the modules that a source imports; `from a import b` means a.b where that is one of the modules.

    Raises ValueError for a relative import, which the house does without.
    """
    found: set[str] = set()
    for node in _nodes(ast.parse(source), at_import=at_import):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ValueError(f"line {node.lineno}: got a relative import; expected an absolute one.")
            below = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in modules else node.module for name in below}
    return frozenset(found)


def _nodes(node: ast.AST, *, at_import: bool) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _is_for_types(child)
        if not (at_import and later):
            yield from _nodes(child, at_import=at_import)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
