"""Runs a stack's program on the offline Azure without an engine: what an `up` would ask of Azure, in a second.

    stack = OfflineStack("prod", tmp_path / "azure.json")
    stack.up(configuration("prod"))
    plan = stack.up(configuration("prod", soakHours=48))

The engine's part is small here: it compares the inputs, creates and updates in the order of the program, and deletes
last; dynamic resources answer with their inputs. A replacement is planned and not done. What needs more than that needs
the real engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pulumi.runtime import mocks
from pulumi.runtime.proto import provider_pb2

from delivery.azure_types.type_tokens import PACKAGE, versionless
from delivery.offline_azure import addresses, computed_outputs
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.errors import RefusedError
from delivery.offline_azure.provider import Provider, outputs_of, plain, wire
from delivery.offline_azure.retrying import repeated
from delivery.preview.plan import Op, Plan, State, Step
from tests.support import recorder
from tests.support.recorder import Graph
from tests.support.stacks import PROJECT, configured, program


class OfflineStack:
    """A stack on an offline Azure kept in a file, with the state that its updates leave."""

    def __init__(self, name: str, file: Path) -> None:
        # It does one thing after the other.
        self.name, self.file, self.azure = name, file, Azure(file, operation_seconds=0)
        self.refused: Sequence[RefusedError] = ()
        self._state: dict[str, tuple[str, State]] = {}

    def copied(self, file: Path) -> OfflineStack:
        """Return the same stack on an Azure of its own, kept in this file."""
        file.write_text(self.file.read_text())
        copy = OfflineStack(self.name, file)
        copy._state = dict(self._state)
        return copy

    def preview(self, written: Mapping[str, Any]) -> Plan:
        """Return what an `up` with these values of the stack's file would do.

        What is to be created has the outputs that it will have: nothing is unknown. Raises RunError where the program
        refuses the settings.
        """
        return self._run(written, applies=False)[0]

    def up(self, written: Mapping[str, Any]) -> Plan:
        """Do it, and return what was done. Raises RefusedError where Azure refuses a request.

        As the engine it goes on with all else, and what was refused stays as it was: `refused` has every answer.
        """
        plan, self._state = self._run(written, applies=True)
        if self.refused:
            raise self.refused[0]
        return plan

    def _run(self, written: Mapping[str, Any], *, applies: bool) -> tuple[Plan, dict[str, tuple[str, State]]]:
        engine = _Engine(self.azure, self._state, applies=applies)
        graph = recorder.record(program(written), preview=False, answers=engine, project=PROJECT, stack=self.name)
        engine.protect(graph)
        self.refused = engine.refused
        for urn, (token, state) in reversed(self._state.items()):
            if urn not in engine.state:
                engine.delete(token, state)
                engine.steps.append(Step(op=Op.DELETE, urn=urn, type=token, before=state, after=None))
        return Plan(stack=self.name, steps=tuple(engine.steps), config=configured(written)), engine.state


class _Engine(mocks.Mocks):
    """Answers each registration as the provider does, and notes the step."""

    def __init__(self, azure: Azure, before: Mapping[str, tuple[str, State]], *, applies: bool) -> None:
        self._azure, self._before, self._applies = azure, before, applies
        self._provider = Provider(azure)
        self.state: dict[str, tuple[str, State]] = {}
        self.steps: list[Step] = []
        self.replaced: dict[str, tuple[str, ...]] = {}
        self.refused: list[RefusedError] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        if not args.custom:
            return None, dict(args.inputs)
        urn = f"urn:pulumi:s::{PROJECT}::{args.typ}::{args.name}"
        token, old = self._before.get(urn, (args.typ, None))
        new = self._applied(urn, token, args, old)
        because = self.replaced.get(urn, ())
        changed = Op.REPLACE if because else Op.UPDATE
        op = Op.CREATE if old is None else Op.SAME if old.inputs == new.inputs else changed
        self.state[urn] = (token, new)
        self.steps.append(Step(op=op, urn=urn, type=token, before=old, after=new, because=because))
        return new.id, dict(new.outputs)

    def protect(self, graph: Graph) -> None:
        """Note what the program protects, which the answer to a registration does not see."""
        for urn, (token, state) in self.state.items():
            self.state[urn] = (token, replace(state, protect=graph.options(urn.rpartition("::")[2]).protect))
        self.steps = [replace(step, after=self.state[step.urn][1]) for step in self.steps]

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        assert args.token == "azure-native:authorization:getClientConfig"
        return dict(computed_outputs.client()), []

    def _applied(self, urn: str, token: str, args: mocks.MockResourceArgs, old: State | None) -> State:
        if not token.startswith(PACKAGE):
            return State(inputs=dict(args.inputs), id=args.name, outputs=dict(args.inputs))
        olds = wire(old.inputs) if old else None
        checked = self._provider.Check(
            provider_pb2.CheckRequest(urn=urn, news=wire(args.inputs), olds=olds, randomSeed=b"seed"), None
        )
        inputs = plain(checked.inputs)
        kind = versionless(token)
        if old is not None and old.inputs != inputs:
            request = provider_pb2.DiffRequest(urn=urn, id=old.id, old_inputs=olds, news=checked.inputs)
            self.replaced[urn] = tuple(self._provider.Diff(request, None).replaces)
        if self.replaced.get(urn) or not self._applies:
            identifier = addresses.address(kind, inputs)
            outputs = outputs_of({"id": identifier, "type": kind, "inputs": inputs})
            return State(inputs=inputs, id=identifier, outputs={**outputs, **(old.outputs if old else {})})
        if old is not None and old.inputs == inputs:
            return replace(old, outputs=outputs_of(self._azure.read(kind, old.id) or {}))
        if old is not None:
            try:
                made = repeated(lambda: self._azure.update(kind, old.id, inputs))
            except RefusedError as refused:
                self.refused.append(refused)
                return old
        else:
            made = repeated(lambda: self._made(kind, inputs))
        return State(inputs=inputs, id=str(made["id"]), outputs=outputs_of(made))

    def delete(self, token: str, state: State) -> None:
        """Delete what the program has no longer."""
        if self._applies and token.startswith(PACKAGE):
            repeated(lambda: self._azure.delete(versionless(token), state.id))

    def _made(self, kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Create a resource; where a server settles ask again, as the program's own resource does before."""
        try:
            return self._azure.create(kind, inputs)
        except RefusedError as refused:
            if refused.code != "AadAuthOperationCannotBePerformedWhenServerIsNotAccessible":
                raise
        return self._azure.create(kind, inputs)
