"""The floors of the house, and what breaks them: see `violations` and `cycle`.

Nothing imports from a floor above its own, and the product never imports from tests. Both are functions of plain
mappings from a module to what it imports; `product` reads those of this repository.
"""

from __future__ import annotations

import ast
import graphlib
import os
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
    ("components.azure", "components.compute"),
    ("components.azure", "components.emulators"),
    ("components.compute", "components.mlflow"),
    ("components.emulators", "components.mlflow"),
)
_BACKENDS: Final = "components.compute"
# What the backends share. Every other file or folder there is a backend.
_SHARED_BY_BACKENDS: Final = frozenset({"contract", "cron", "dynamic", "image"})

# A call of one of these imports the module that its first argument names.
_IMPORTERS: Final = frozenset({"import_module", "__import__", "resolve_name"})

# Folders at any depth that hold no sources; those whose name begins with a dot are left out too.
_WITHOUT_SOURCES: Final = frozenset({"__pycache__", "build", "node_modules", "test-output"})

EXCEPTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("components.azure", "components.compute.dynamic"): "states name the class that all dynamic providers share",
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
    if _inside(module, _BACKENDS):
        others = (other for other in backends if not _inside(module, other))
        if any(_inside(imported, other) for other in others):
            own = any(_inside(module, backend) for backend in backends)
            return "backends never import each other" if own else "what backends share imports none of them"
    return None


def _backends(imports: Imports) -> set[str]:
    """The backends in components.compute: its files and folders, without those that the backends share."""
    below = (module.split(".")[2] for module in imports if module.startswith(f"{_BACKENDS}."))
    return {f"{_BACKENDS}.{name}" for name in below if name not in _SHARED_BY_BACKENDS}


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


def on_no_floor(root: Path = REPOSITORY) -> list[str]:
    """Return the Python files that neither a floor nor the tests hold, by their path from the root."""
    known = {*files(root).values(), *(root / TESTS).rglob("*.py")}
    return [str(file.relative_to(root)) for file in _sources(root) if file not in known]


def _sources(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name not in _WITHOUT_SOURCES and not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def read(source: str, modules: Collection[str], *, at_import: bool = False) -> frozenset[str]:
    """Return the modules that a source imports; `from a import b` means a.b where that is one of the modules.

    `import_module("a.b")` and its like count too, where the name is a constant.

    Raises ValueError for a relative import, which the house does without.
    """
    found: set[str] = set()
    for node in _nodes(ast.parse(source), at_import=at_import):
        if isinstance(node, ast.Call):
            found |= _named_in_a_string(node)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ValueError(f"line {node.lineno}: got a relative import; expected an absolute one.")
            below = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in modules else node.module for name in below}
    return frozenset(found)


def _named_in_a_string(call: ast.Call) -> set[str]:
    """The module that a call imports by its name; `resolve_name` also takes one with an object after a colon."""
    function = ast.unparse(call.func).rpartition(".")[2]
    first = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "name")][:1]
    names = {argument.value for argument in first if isinstance(argument, ast.Constant)}
    return {str(name).partition(":")[0] for name in names} if function in _IMPORTERS else set()


def _nodes(node: ast.AST, *, at_import: bool) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _is_for_types(child)
        if not (at_import and later):
            yield from _nodes(child, at_import=at_import)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
