"""What the engine means to do, read from `pulumi preview --json`.

Read a preview that was made with FLAGS, or a refresh with DRIFT_FLAGS. Pulumi's source (pkg/backend/display/json.go)
defines the document. What it leaves out or says twice is put right here, so that nothing above this module knows of it.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pulumi.runtime.rpc import UNKNOWN as UNKNOWN

from components.azure.roles import AzureRole, assignment_name
from delivery.azure_types import paths
from delivery.azure_types.type_tokens import short

FLAGS: Final = ("--json", "--show-sames", "--show-replacement-steps", "--ignore-protect")
"""Without `--ignore-protect` the engine stops at the first protected resource and names none of the others."""

DRIFT_FLAGS: Final = ("--preview-only", "--json")
"""Of a refresh: what Azure has in place of what the program made last. A refresh names what stays by itself."""

CONFIG_BEFORE: Final = "configBefore"
"""A key beside the engine's: the configuration of the revision that was brought up before, in the same form."""

_PASSED: Final = re.compile(r"(?:info: )?guardrails: (\d{1,4}) passed, (\d{1,4}) waived")
# A preview says the first, a refresh the second.
_STAYS = ("same", "refresh")
_ENGINES_OWN = ("pulumi:pulumi:", "pulumi:providers:")
_DYNAMIC = "pulumi-python:dynamic"
# The program's pickled code of dynamic resources, and what providers keep for themselves.
_INTERNAL = "__"
# What the engine prints for every secret.
_SECRET: Final = "[secret]"  # noqa: S105 - it stands for one
_NAMED_BY: Final = ("scope", "principalId", "roleDefinitionId")


class PlanError(ValueError):
    """The document is no preview of the engine. The message says what to give instead."""


class Op(enum.StrEnum):
    """What happens to a resource. PENDING is the deletion that an earlier, failed update left behind."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    PENDING = "pending delete"
    SAME = "same"


@dataclass(frozen=True, kw_only=True)
class State:
    """A resource as it is or will be: inputs in camelCase, `id` and `outputs` empty where the engine knows none yet.

    `depends_on` has the urns of each input that comes from other resources, and under "" those of the resource as a
    whole.
    """

    inputs: Mapping[str, Any]
    id: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    protect: bool = False
    parent: str = ""
    source: str = ""
    depends_on: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One resource of the plan. `kind` is its type without provider and API version, as in `storage:StorageAccount`.

    `before` is None for what is created, `after` for what is deleted. `because` names the inputs that make the engine
    replace it, none where only another resource's replacement does. `paths` are the inputs that the engine itself
    finds changed, whole lists too, none where it does not say: those that the program leaves to Azure are not among
    them. `awaits` are the inputs that take an output of a resource which is updated in place: `after` has the value of
    now, which stays unless the program takes another output of that resource.
    """

    op: Op
    urn: str
    type: str
    before: State | None
    after: State | None
    because: Sequence[str] = ()
    paths: Sequence[str] = ()
    awaits: Sequence[str] = ()

    @property
    def name(self) -> str:
        return self.urn.rpartition("::")[2]

    @property
    def kind(self) -> str:
        return short(self.type) if self.type.startswith("azure-native:") else self.type

    @property
    def old(self) -> Mapping[str, Any]:
        """The inputs that it has, none for what is created."""
        return self.before.inputs if self.before else {}

    @property
    def new(self) -> Mapping[str, Any]:
        """The inputs that it gets, none for what is deleted."""
        return self.after.inputs if self.after else {}

    @property
    def state(self) -> State:
        """As it will be, or as it was where it goes away."""
        return self.after or self.before or State(inputs={})

    @property
    def protected(self) -> bool:
        """Whether the engine refuses to delete it today."""
        return self.before is not None and self.before.protect

    @property
    def loses_protection(self) -> bool:
        """Whether it stays and the engine would let it be deleted from now on."""
        return self.protected and self.after is not None and not self.after.protect


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every resource of a stack with what happens to it. Components and the engine's own resources are left out.

    `errors` has the engine's messages where it could not compute the plan; the steps are then of no use. `config` has
    the stack's configuration as the engine prints it, `config_before` that of the revision that it is compared with,
    empty where nobody knows it, `guardrails` how many rules of the program passed and are waived, None where it does
    not say so.
    """

    stack: str
    steps: Sequence[Step]
    errors: Sequence[str] = ()
    config: Mapping[str, str] = field(default_factory=dict)
    config_before: Mapping[str, str] = field(default_factory=dict)
    guardrails: tuple[int, int] | None = None

    @property
    def changes(self) -> list[Step]:
        """What is created, updated, replaced or deleted."""
        return [step for step in self.steps if step.op is not Op.SAME]

    @property
    def awaiting(self) -> list[Step]:
        """What takes a value that nobody knows before the update, though it takes it from where it did."""
        return [step for step in self.steps if step.awaits]

    def of(self, *ops: Op) -> list[Step]:
        """The steps of these kinds."""
        return [step for step in self.steps if step.op in ops]

    def at(self, urn: str) -> Step | None:
        """The step of a resource."""
        return next((step for step in self.steps if step.urn == urn), None)

    @property
    def empty_before(self) -> bool:
        """Whether the stack has nothing yet."""
        return all(step.before is None for step in self.steps)


def read(document: object) -> Plan:
    """The plan in a preview's JSON. Raises PlanError for anything else, and for a preview without `--show-sames`."""
    if not isinstance(document, Mapping) or not isinstance(document.get("steps", []), list):
        raise PlanError(f"this is no preview of the engine; give the output of `pulumi preview {' '.join(FLAGS)}`.")
    raw = [step for step in document.get("steps", []) if isinstance(step, Mapping)]
    errors = tuple(_errors(document.get("diagnostics") or ()))
    same = (document.get("changeSummary") or {}).get("same", 0)
    if not errors and same > sum(step.get("op") in _STAYS for step in raw):
        raise PlanError(f"the preview leaves out what stays; give the output of `pulumi preview {' '.join(FLAGS)}`.")
    return Plan(
        stack=_stack(raw),
        steps=tuple(sorted(_settled([*_steps(raw)]), key=lambda step: step.urn)),
        errors=errors,
        config=_texts(document.get("config")),
        config_before=_texts(document.get(CONFIG_BEFORE)),
        guardrails=_guardrails(document.get("diagnostics") or ()),
    )


def _texts(config: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (config or {}).items()}


def _stack(steps: Iterable[Mapping[str, Any]]) -> str:
    urns = (str(step.get("urn", "")) for step in steps)
    return next((urn.split(":")[2] for urn in urns if urn.startswith("urn:pulumi:")), "")


def _steps(raw: Sequence[Mapping[str, Any]]) -> Iterable[Step]:
    by_urn: dict[str, dict[str, Mapping[str, Any]]] = {}
    for step in raw:
        by_urn.setdefault(str(step["urn"]), {})[str(step["op"])] = step
    for urn, ops in by_urn.items():
        yield from (made for op, step in _ops(ops) if (made := _step(urn, op, step)))


def _settled(steps: Sequence[Step]) -> Sequence[Step]:
    """Return the steps without changes to a value that Azure computed once and keeps.

    Of a resource that is updated in place the provider previews inputs, name and location: each computed output of it
    is unknown. An input that takes such an output previews as changed, or as a reason to recreate its resource, as of
    each role assignment after a change of an identity's tags (pulumi-azure-native, provider.go, `Update`). An input
    that is built from one, as an image's address, is unknown as well, and the program may have changed the rest of it:
    its change stays. So does that of a dynamic resource, which may wait for another value, as a new revision's name.

    That the program takes another output of the same resource looks the same: `awaits` names the input, and a report
    says that it is known after the update.
    """
    known = {step.urn: step for step in steps if step.op is not Op.PENDING}
    kept: set[str] = set()
    while found := {urn: stays for urn, step in known.items() if (stays := _settle(step, known, kept)) != step}:
        kept |= {urn for urn in found if known[urn].op is Op.REPLACE}
        known |= found
    return [step if step.op is Op.PENDING else known[step.urn] for step in steps]


def _settle(step: Step, known: Mapping[str, Step], kept: Collection[str]) -> Step:
    """Return the step with the values that it has where it takes them from what computed them once.

    `kept` names resources that the engine would recreate and that stay.
    """
    if step.op not in (Op.UPDATE, Op.REPLACE) or step.before is None or step.type.startswith(_DYNAMIC):
        return step
    sources = {key: [known[urn] for urn in urns if urn in known] for key, urns in step.state.depends_on.items()}
    in_place = {key for key, found in sources.items() if found and all(map(_in_place, found))}
    changed = {key for key in step.new if key in step.old and step.new[key] != step.old[key]}
    from_the_same = {key for key in in_place if step.state.depends_on[key] == step.before.depends_on.get(key)}
    waiting = {
        key
        for key in changed & from_the_same
        if _takes(step.old[key], step.new[key], {value for source in sources[key] for value in _unknown(source, kept)})
    }
    if "roleAssignmentName" in changed & from_the_same and _keeps_name(step, changed - waiting):
        waiting.add("roleAssignmentName")
    because = tuple(each for each in step.because if _input(each) not in waiting)
    # One without a reason of its own follows the replacement of another resource.
    follows = "" in in_place and any(each.urn in kept for each in sources[""])
    settles = not because and (step.because or follows) if step.op is Op.REPLACE else waiting
    if not settles:
        return step
    inputs = {**step.new, **{key: step.old[key] for key in waiting}}
    paths = tuple(each for each in step.paths if _input(each) not in waiting)
    op = Op.SAME if inputs == step.old else Op.UPDATE
    awaits = tuple(sorted({*step.awaits, *waiting}))
    return replace(step, op=op, after=replace(step.state, inputs=inputs), because=(), paths=paths, awaits=awaits)


def _keeps_name(step: Step, changed: Set[str]) -> bool:
    """Whether a role assignment's unknown name, which the program computes from three inputs, is the one it has."""
    scope, principal, definition = (str(step.old.get(key, "")) for key in _NAMED_BY)
    role = definition.rpartition("/")[2]
    if changed & set(_NAMED_BY) or role not in {*AzureRole} or step.new["roleAssignmentName"] != UNKNOWN:
        return False
    return bool(step.old["roleAssignmentName"] == assignment_name(scope, principal, AzureRole(role)))


def _input(path: str) -> str:
    """The input that a path begins with."""
    return re.split(r"[.\[]", path)[0]


def _in_place(step: Step) -> bool:
    return step.op is Op.SAME or (step.op is Op.UPDATE and step.type.startswith("azure-native:"))


def _unknown(step: Step, kept: Collection[str]) -> Set[str]:
    """The texts of a resource that a preview does not know: its outputs, but for its inputs where it is updated."""
    if step.before is None:
        return set()
    given = () if step.urn in kept else _texts_in(step.old)
    return {*_texts_in(step.before.outputs)} - {*given, "", _SECRET}


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts_in(each)


def _takes(old: object, new: object, computed: Collection[str]) -> bool:
    """Whether two values differ only where the old one is one of the computed texts, whole, and the new one unknown."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_takes(old[key], new[key], computed) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_takes(*pair, computed) for pair in zip(old, new, strict=True))
    return old == new or (new == UNKNOWN and isinstance(old, str) and old in computed)


def _step(urn: str, op: Op, step: Mapping[str, Any]) -> Step | None:
    """The step of a resource; None for a component, and for what is the engine's own."""
    states = [step.get("newState") or {}, step.get("oldState") or {}]
    type_ = next((str(state["type"]) for state in states if "type" in state), "")
    if type_.startswith(_ENGINES_OWN) or not any(state.get("custom") for state in states):
        return None
    return Step(
        op=op,
        urn=urn,
        type=type_,
        before=None if op is Op.CREATE else _state(step.get("oldState")),
        after=None if op in (Op.DELETE, Op.PENDING) else _state(step.get("newState")),
        because=tuple(sorted(step.get("replaceReasons") or ())),
        paths=tuple(sorted(step.get("detailedDiff") or ())),
    )


def _ops(ops: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[Op, Mapping[str, Any]]]:
    """A replacement is up to three steps. What is left of one without the others is of an earlier update.

    The resource that took its place may change as well.
    """
    if Op.REPLACE.value in ops:
        yield Op.REPLACE, ops[Op.REPLACE.value]
        return
    if "create-replacement" in ops and "delete-replaced" in ops:
        yield Op.REPLACE, {**ops["create-replacement"], "oldState": ops["delete-replaced"].get("oldState")}
        return
    changes = [(op, ops[op.value]) for op in (Op.CREATE, Op.UPDATE, Op.DELETE) if op.value in ops]
    yield from changes[:1]
    if "delete-replaced" in ops:
        yield Op.PENDING, ops["delete-replaced"]
    elif not changes:
        yield from [(Op.SAME, ops[op]) for op in _STAYS if op in ops][:1]


def _state(raw: Mapping[str, Any] | None) -> State | None:
    if not raw:
        return None
    depends_on = {key: tuple(sorted(urns or ())) for key, urns in (raw.get("propertyDependencies") or {}).items()}
    depends_on[""] = tuple(sorted(raw.get("dependencies") or ()))
    return State(
        inputs=_public(raw.get("inputs") or {}),
        id=str(raw.get("id", "")),
        outputs=_public(raw.get("outputs") or {}),
        protect=bool(raw.get("protect")),
        parent=str(raw.get("parent", "")),
        source=str(raw.get("sourcePosition", "")),
        depends_on=depends_on,
    )


def _public(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if not key.startswith(_INTERNAL)}


def _errors(diagnostics: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for diagnostic in diagnostics:
        if diagnostic.get("severity") == "error":
            yield re.sub(r"^error: ", "", str(diagnostic.get("message", ""))).strip()


def _guardrails(diagnostics: Iterable[Mapping[str, Any]]) -> tuple[int, int] | None:
    """The numbers of the line that the program writes, infra/guardrails/enforcement.py."""
    for diagnostic in diagnostics:
        if found := _PASSED.fullmatch(str(diagnostic.get("message", "")).strip()):
            return int(found[1]), int(found[2])
    return None


def physical_name(kind: str, inputs: Mapping[str, Any]) -> str:
    """A resource's name on Azure: what fills the last part of its type's path; empty for a type without one."""
    wanted = paths.inputs(paths.path(kind) or "")
    return str(inputs.get(wanted[-1], "")) if wanted else ""


def is_unknown(value: object) -> bool:
    """Whether a value, or a part of it, is known only after the update."""
    return UNKNOWN in value if isinstance(value, str) else UNKNOWN in json.dumps(value, default=str)
