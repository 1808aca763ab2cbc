"""The resources of a stack, read from what Pulumi prints: a preview, an exported stack, or a plain list of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi.runtime.rpc import UNKNOWN

_GONE = frozenset({"delete", "delete-replaced", "discard", "discard-replaced", "read", "read-discard"})
_API_VERSION = re.compile(r"^(azure-native:[a-z]+)/v\d+\w*:")
# The key by which the engine marks a value as one of its own kinds; of these only secrets are found in inputs.
_MARKED = "4dabf18193072939515e22adb298388d"
# Azure has none of these: they live in the engine.
_NOT_AZURE = ("pulumi:", "pulumi-python:")


class InputError(ValueError):
    """The document contains no readable resources. The message says what to give instead."""


class NotPricedError(ValueError):
    """What a resource costs cannot be said. The message is the reason."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource of a stack: its Pulumi type without an API version, its name, and its inputs in camelCase."""

    type: str
    name: str
    inputs: Mapping[str, Any]

    def given(self, path: str) -> Any:
        """The input at a dotted path, None where there is none. It may be unknown still."""
        value: Any = self.inputs
        for key in path.split("."):
            if value == UNKNOWN:
                break
            value = _shown(value.get(key)) if isinstance(value, Mapping) else None
        return value

    def text(self, path: str, default: str | None = None) -> str:
        """A text that has to be known. Raises NotPricedError."""
        value = self.given(path)
        value = default if value is None else value
        if not isinstance(value, str) or value == UNKNOWN:
            raise NotPricedError(f"{path} is not given or not known")
        return value

    def number(self, path: str, default: float | None = None) -> float:
        """A number that has to be known. Raises NotPricedError."""
        value = self.given(path)
        return _number(path, default if value is None else value)

    def items(self, path: str) -> list[Any]:
        """A list that has to be known, empty where there is none. Raises NotPricedError."""
        value = self.given(path) or []
        if not isinstance(value, list):
            raise NotPricedError(f"{path} is not given or not known")
        return value


def read(document: object) -> list[Resource]:
    """The resources that the stack has, or will have after the update, in the order of the document.

    Takes what `pulumi preview --json --show-sames` and `pulumi stack export` print, and a list of objects with `type`,
    `inputs` and, if wanted, `name`. Components, the engine's own resources, resources that are only read and those
    that go away are left out. Raises InputError, also for a preview that leaves out what does not change: a sum of
    changes would look like a sum of the stack.
    """
    if isinstance(document, list):
        states: Sequence[object] = document
    elif isinstance(document, Mapping) and isinstance(document.get("steps"), list):
        states = _planned(document)
    elif isinstance(document, Mapping) and isinstance(document.get("deployment"), Mapping):
        states = document["deployment"].get("resources") or []
    else:
        raise InputError(
            "this is neither a preview, nor an exported stack, nor a list of resources; give the output of "
            "`pulumi preview --json --show-sames` or of `pulumi stack export`"
        )
    return list(_resources(states))


def _planned(preview: Mapping[str, Any]) -> list[object]:
    steps = [step for step in preview["steps"] if isinstance(step, Mapping)]
    unchanged = (preview.get("changeSummary") or {}).get("same", 0)
    # The stack itself is always among the steps, and is counted where it does not change.
    shown = sum(step.get("op") == "same" for step in steps)
    if unchanged > shown:
        raise InputError(
            f"the preview leaves out {unchanged - shown} resources that do not change; give the output of "
            "`pulumi preview --json --show-sames`"
        )
    # A replacement has more than one step: the last one counts.
    states = {step.get("urn"): step["newState"] for step in steps if step.get("op") not in _GONE and "newState" in step}
    return list(states.values())


def _resources(states: Sequence[object]) -> Iterator[Resource]:
    for state in states:
        if not isinstance(state, Mapping) or not isinstance(state.get("type"), str):
            raise InputError(f"this is no resource, as it has no type: {str(state)[:80]}; give `type` and `inputs`")
        if not state.get("custom", True) or state.get("external") or state.get("delete"):
            continue
        kind = _API_VERSION.sub(r"\1:", state["type"])
        if kind.startswith(_NOT_AZURE):
            continue
        name = state.get("name") or str(state.get("urn", "")).rpartition("::")[2] or kind.rpartition(":")[2]
        yield Resource(type=kind, name=name, inputs=state.get("inputs") or {})


def _shown(value: Any) -> Any:
    """A secret is as good as unknown."""
    return UNKNOWN if isinstance(value, Mapping) and _MARKED in value else value


def _number(path: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise NotPricedError(f"{path} is not given or not known") from None
