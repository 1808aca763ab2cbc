"""Small previews in the engine's own JSON, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

STACK = "prod"


def urn(kind: str, name: str) -> str:
    """The address of a resource; `kind` is its type without package."""
    return f"urn:pulumi:{STACK}::mlflow-platform::{_type(kind)}::{name}"


def step(
    op: str,
    kind: str,
    name: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    *,
    protect: tuple[bool, bool] = (False, False),
    reasons: Sequence[str] = (),
    depends_on: Mapping[str, Sequence[str]] | None = None,
    source: str = "",
    outputs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One step. `before` and `after` are inputs, `protect` is before and after, `depends_on` urns by input."""
    depends_on = depends_on or {}
    common = {
        "type": _type(kind),
        "urn": urn(kind, name),
        "custom": True,
        "created": "2026-11-29T01:22:25Z",
        "propertyDependencies": {key: list(urns) for key, urns in depends_on.items()},
        "dependencies": [one for urns in depends_on.values() for one in urns],
        "sourcePosition": source,
        "outputs": dict(outputs or {}),
    }
    found: dict[str, Any] = {"op": op, "urn": urn(kind, name), "provider": "", "detailedDiff": None}
    if before is not None:
        found["oldState"] = {**common, "id": _id(kind, name), "inputs": dict(before), "protect": protect[0]}
    if after is not None:
        found["newState"] = {**common, "inputs": dict(after), "protect": protect[1]}
    if reasons:
        found["replaceReasons"] = list(reasons)
    return found


def same(kind: str, name: str, inputs: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A resource that stays as it is."""
    return step("same", kind, name, inputs or {}, inputs or {}, **more)


def preview(*steps: Mapping[str, Any], errors: Sequence[str] = ()) -> dict[str, Any]:
    """The whole document, with the stack itself among the steps, as the engine has it."""
    stack = {
        "op": "same",
        "urn": f"urn:pulumi:{STACK}::mlflow-platform::pulumi:pulumi:Stack::mlflow-platform-{STACK}",
        "newState": {"type": "pulumi:pulumi:Stack", "custom": False},
    }
    every = [stack, *steps]
    return {
        "steps": every,
        "diagnostics": [{"severity": "error", "message": f"error: {one}\n"} for one in errors],
        "changeSummary": {"same": sum(one["op"] == "same" for one in every)},
        "config": {},
    }


def _id(kind: str, name: str) -> str:
    return f"/subscriptions/0/resourceGroups/rg/providers/Microsoft.Test/{kind.replace(':', '')}/{name}"


def _type(kind: str) -> str:
    return kind if kind.startswith(("pulumi", "mlflow:", "kubernetes:")) else f"azure-native:{kind}"
