"""The offline Azure: resources in one JSON file, and what Azure Resource Manager answers to each request.

It refuses what Azure refuses: bodies that the SDK's own types do not allow (400), a missing parent (404), what `rules`
finds beside the other resources, a name that is taken or soft-deleted (409), the deletion of a resource that is locked
or in use (409), and what a test injected. Every call is one JSON line in `<state>.calls.jsonl`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from delivery.azure_types import type_tokens
from delivery.offline_azure import (
    activity_log,
    addresses,
    alerts,
    bodies,
    budgets,
    computed_outputs,
    defaults,
    deletion,
    exclusive,
    faults,
    image_imports,
    links,
    postgres,
    revisions,
    rules,
    sdk_types,
    server_parameters,
    subscription,
    updates,
)
from delivery.offline_azure.errors import HalfDoneError, RefusedError
from delivery.offline_azure.values import Json, merged

# Types whose names are globally unique, each with the error for a name that is taken.
GLOBALLY_UNIQUE: Final[Mapping[str, str]] = {
    type_tokens.STORAGE_ACCOUNT: "StorageAccountAlreadyTaken",
    type_tokens.VAULT: "VaultAlreadyExists",
    type_tokens.SERVER: "ServerNameAlreadyExists",
    type_tokens.REGISTRY: "AlreadyInUse",
}

SOMEBODY: Final = "somebody@example.com"
"""Who changes something beside the program, unless a test says who."""

# What Azure knows of a resource beside its inputs, which an update leaves as it is.
_NOTED: Final = ("images", "links", "owner", "settling")

Check = Callable[[str, Mapping[str, Json]], Sequence[str]]
"""Returns what is wrong with the inputs of a type, one line `path: reason` a fault."""


class Azure:
    """One Azure, kept in a file. Safe for threads; one process at a time.

    `checks` look at each body before the installed SDK's own types do, to make this Azure stricter. `now` is its clock.
    For `operation_seconds` an operation has a resource that takes one at a time for itself.
    """

    def __init__(
        self,
        state: Path,
        *,
        checks: Sequence[Check] = (),
        now: Callable[[], datetime] = budgets.utc_now,
        operation_seconds: float = exclusive.OPERATION_SECONDS,
    ) -> None:
        self._file, self._lock, self._now = state, threading.RLock(), now
        self._exclusive = exclusive.Exclusive(operation_seconds)
        self._checks = (*checks, sdk_types.violations)
        self.calls_file = state.with_name(f"{state.name}.calls.jsonl")
        self._cleared = threading.Event()
        empty: dict[str, Any] = {"resources": {}, "deleted": {}, "taken": {}, "faults": [], "executions": {}}
        empty |= {"outcomes": {}, "published": {}, "imports": {}, "alerts": [], "unregistered": []}
        self._state = {**empty, **(json.loads(state.read_text()) if state.exists() else {})}

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """The resources by their ID in lower case, each with `id`, `type` (its type token), `inputs` and `body`."""
        return self._state["resources"]  # type: ignore[no-any-return]

    @property
    def executions(self) -> dict[str, dict[str, Any]]:
        """The executions of jobs by their ID in lower case."""
        return self._state["executions"]  # type: ignore[no-any-return]

    @property
    def outcomes(self) -> dict[str, list[str]]:
        """How the next executions of a job, or revisions of an app, end, by its name; without an entry they succeed.

        A job's are the statuses of an execution (Succeeded, Failed, Stopped), an app's `revisions.OUTCOMES`.
        """
        return self._state["outcomes"]  # type: ignore[no-any-return]

    def calls(self) -> list[dict[str, Any]]:
        """Return every request so far: `operation`, `type`, `id`, `caller`, `at`, and `refused` if Azure refused it.

        The operation `change` is somebody's beside the program.
        """
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [json.loads(line) for line in lines]

    def inject(
        self,
        kind: str,
        *,
        operation: str,
        matching: str,
        times: int = 1,
        every: int | None = None,
        seconds: float = 60,
    ) -> None:
        """Make calls of an operation run into a fault whose ID matches the expression, until `clear_faults`.

        Kinds: throttled (429), conflict (409), forbidden (403), quota (400), offer and capacity (the region), policy
        (of the tenant), half (created, but provisioning failed), slow (done, and answered after `seconds`), linger
        (deleted, and its subnet keeps the link of what is gone). The next `times` calls are hit, or with `every` each
        n-th one of all that match, without an end. What the provider repeats by itself counts as a call, as it does on
        Azure.
        """
        fault = faults.fault(kind, operation=operation, matching=matching, times=times, every=every, seconds=seconds)
        with self._lock:
            self._cleared.clear()
            self._state["faults"].append(fault)
            self.save()

    def clear_faults(self) -> None:
        """End every fault. Calls that wait in a slow one are answered now, and links that outlived theirs are gone."""
        with self._lock:
            for resource in self.resources.values():
                resource.pop("links", None)
            self._state["faults"].clear()
            self._cleared.set()
            self.save()

    def publish(self, image: str, *, readable: bool = True) -> None:
        """Declare an image that can be imported: REGISTRY/REPOSITORY@DIGEST, the registry by its ARM ID or address.

        Nothing else can be. `readable` says whether who deploys may read it: by a role, or since it needs no sign-in.
        """
        with self._lock:
            self._state["published"][image_imports.key(image)] = readable
            self.save()

    def import_image(self, registry: str, version: str, request: Mapping[str, Any]) -> str:
        """Accept the import of an image into a registry; return the path of the operation. Raises RefusedError."""
        with self.called("import", type_tokens.REGISTRY, registry), self._lock:
            published = self._state["published"]
            if refused := image_imports.refusal(registry, version, request, published, self.resources):
                raise refused
            operation = image_imports.operation(registry, self.resources)
            self._state["imports"][operation.lower()] = {"registry": registry.lower(), "request": request, "looks": 0}
            return operation

    def import_ended(self, operation: str) -> bool:
        """Return whether an import has ended, which it has at the second look. Raises RefusedError if it failed."""
        with self.called("get", type_tokens.REGISTRY, operation), self._lock:
            found = self._state["imports"][operation.lower()]
            found["looks"] += 1
            if found["looks"] < 2:
                return False
            target = self._there(found["registry"])
            image_imports.copy(found["request"], target, self._state["published"], self.resources)
            return True

    def is_import(self, path: str) -> bool:
        """Return whether a path is that of an import's operation."""
        return path.lower() in self._state["imports"]

    def fire(self, rule: str, *, severity: str = "Sev2", at: datetime | None = None) -> None:
        """Have an alert rule fire now, or at another time, and be resolved meanwhile. Raises KeyError for no rule."""
        with self._lock:
            self._state["alerts"].append(alerts.fired(self.resources[rule.lower()], at or self._now(), severity))
            self.save()

    def alerts(self, scope: str, query: Mapping[str, str]) -> tuple[list[Any], int | None]:
        """Return a page of the alerts of a resource group, and where the next one begins. Raises RefusedError."""
        with self.called("list", alerts.PATH, scope), self._lock:
            self._there(scope.lower())
            return alerts.listed(self._state["alerts"], scope, query, self._now())

    def unregister(self, name: str) -> None:
        """Make a resource provider, or a feature as PROVIDER/NAME, one that the subscription has not registered."""
        self._state["unregistered"].append(name)
        self.save()

    def take_name(self, type_token: str, name: str) -> None:
        """Make a globally unique name one that somebody else has taken."""
        self._state["taken"][_unique_name(type_token, name)] = "elsewhere"
        self.save()

    def change(self, identifier: str, *, by: str = SOMEBODY, **inputs: Any) -> None:
        """Change a resource as somebody does in the portal. Objects are merged, all else is replaced."""
        found = self.resources[identifier.lower()]
        with self.called("change", found["type"], found["id"], caller=by), self._lock:
            found["inputs"] = merged(found["inputs"], inputs)

    def remove(self, identifier: str, *, by: str = SOMEBODY) -> None:
        """Delete a resource, and nothing below it, as somebody does in the portal."""
        found = self.resources[identifier.lower()]
        with self.called("delete", found["type"], found["id"], caller=by), self._lock:
            del self.resources[identifier.lower()]

    def activity(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the activity log of a resource. Raises RefusedError."""
        return activity_log.answer(self.calls(), query, self._now())

    def save(self) -> None:
        with self._lock:
            partial = self._file.with_name(f"{self._file.name}.partial")
            # Without an indent, which Python's encoder would write by itself, and slowly: this happens after each call.
            partial.write_text(json.dumps(self._state, sort_keys=True))
            partial.replace(self._file)

    def check(self, type_token: str, inputs: Mapping[str, Json]) -> None:
        """Raise RefusedError (400) for a body that Azure does not take; unknown values pass."""
        for check in self._checks:
            if found := check(type_token, inputs):
                message = f"The request content was invalid and could not be deserialized: {'; '.join(found)}"
                raise RefusedError(400, "InvalidRequestContent", message)

    def create(self, type_token: str, inputs: Mapping[str, Json]) -> dict[str, Any]:
        """Create a resource (PUT). Raises RefusedError, or HalfDoneError if its provisioning failed."""
        identifier = addresses.address(type_token, inputs)
        held = exclusive.held(type_token, identifier, inputs)
        with self.called("create", type_token, identifier) as fault, self._exclusive.operation(held), self._lock:
            self.check(type_token, inputs)
            if refused := subscription.refusal(identifier, inputs, self._state["unregistered"]):
                raise refused
            self._check_place(type_token, identifier, inputs)
            self._check_beside(type_token, identifier, inputs)
            if refused := postgres.not_accessible(type_token, identifier, self.resources):
                raise refused
            if refused := budgets.refusal(type_token, inputs, None, self._now()):
                raise refused
            self._state["deleted"].pop(_unique_name(type_token, identifier), None)
            self._write(type_token, identifier, inputs)
            if fault == faults.HALF:
                raise HalfDoneError(
                    "The resource write operation failed to complete successfully: provisioning 'Failed'."
                )
            return self._answered(identifier)

    def update(self, type_token: str, identifier: str, inputs: Mapping[str, Json]) -> dict[str, Any]:
        """Update an existing resource (PUT). Raises RefusedError."""
        held = exclusive.held(type_token, identifier, inputs)
        with self.called("update", type_token, identifier), self._exclusive.operation(held), self._lock:
            self.check(type_token, inputs)
            old = self._there(identifier)
            if refused := updates.refusal(type_token, identifier, old["inputs"], inputs, self.resources):
                raise refused
            if refused := budgets.refusal(type_token, inputs, old, self._now()):
                raise refused
            self._check_beside(type_token, identifier, inputs)
            self._write(type_token, identifier, inputs)
            return self._answered(identifier)

    def read(self, type_token: str, identifier: str) -> dict[str, Any] | None:
        with self.called("read", type_token, identifier), self._lock:
            return self._answered(identifier) if identifier.lower() in self.resources else None

    def delete(self, type_token: str, identifier: str) -> None:
        """Delete a resource. A resource that does not exist is a success, as on Azure. Raises RefusedError."""
        inputs = self.resources.get(identifier.lower(), {}).get("inputs", {})
        held = exclusive.held(type_token, identifier, inputs)
        with (
            self.called("delete", type_token, identifier) as fault,
            self._exclusive.operation(held),
            self._lock,
        ):
            if identifier.lower() not in self.resources:
                return
            if refused := deletion.refusal(type_token, identifier, self.resources):
                raise refused
            gone = self.resources.pop(identifier.lower())
            if type_token in deletion.ONLY_FORGOTTEN:
                return
            if fault == faults.LINGER and (link := links.left_by(type_token, gone["inputs"])):
                self.resources[link[0].lower()]["links"] = [link[1]]
            for key in [key for key in self.resources if key.startswith(f"{identifier.lower()}/")]:
                del self.resources[key]
            if type_token == type_tokens.VAULT:
                protected = gone["inputs"].get("properties", {}).get("enablePurgeProtection") is True
                self._state["deleted"][_unique_name(type_token, identifier)] = {
                    "id": identifier,
                    "protected": protected,
                }

    def purge(self, vault: str) -> None:
        """Purge a soft-deleted vault, so that its name is free. Raises RefusedError under purge protection."""
        key = _unique_name(type_tokens.VAULT, vault)
        with self.called("purge", type_tokens.VAULT, vault), self._lock:
            deleted = self._state["deleted"].get(key)
            if deleted is None:
                raise RefusedError(
                    404, "DeletedVaultNotFound", f"The specified deleted vault '{vault}' does not exist."
                )
            if deleted["protected"]:
                raise RefusedError(409, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.")
            del self._state["deleted"][key]

    def _write(self, type_token: str, identifier: str, inputs: Mapping[str, Json]) -> None:
        old = self.resources.get(identifier.lower(), {})
        kept = computed_outputs.written_back(type_token, inputs, old.get("inputs", {}))
        kept = server_parameters.written_back(type_token, kept, old.get("inputs", {}))
        version = old.get("version", 0) + 1
        kept = budgets.written_back(type_token, identifier, kept, version)
        resource: dict[str, Any] = {"id": identifier, "type": type_token, "inputs": kept, "version": version}
        filled = defaults.filled_in(type_token, identifier, kept, self.resources)
        resource["body"] = bodies.body(type_token, merged(filled, kept))
        if not old:
            resource |= postgres.noted(type_token, identifier, inputs, self.resources)
        resource |= {key: old[key] for key in _NOTED if key in old}
        if type_token == type_tokens.CONTAINER_APP:
            name = addresses.own_name(identifier)
            outcomes = self.outcomes.get(name, [])
            resource["revisions"] = revisions.after(old.get("revisions", []), name, inputs, outcomes)
            resource["answer"] = revisions.summary(resource["revisions"])
        self.resources[identifier.lower()] = resource

    def _answered(self, identifier: str) -> dict[str, Any]:
        """Return a resource with `filled`, which Azure chose where the inputs say nothing."""
        found = self.resources[identifier.lower()]
        filled = defaults.filled_in(found["type"], found["id"], found["inputs"], self.resources)
        return {**found, "filled": filled}

    def _there(self, identifier: str) -> dict[str, Any]:
        if identifier.lower() not in self.resources:
            raise RefusedError(404, "ResourceNotFound", f"The Resource '{identifier}' was not found.")
        return self.resources[identifier.lower()]

    def _check_beside(self, type_token: str, identifier: str, inputs: Mapping[str, Json]) -> None:
        refused = rules.refusal(type_token, identifier, inputs, self.resources)
        if refused := refused or server_parameters.refusal(type_token, inputs):
            raise refused

    def _check_place(self, type_token: str, identifier: str, inputs: Mapping[str, Json]) -> None:
        # A server's parameters are always there: to create one is to set it.
        if identifier.lower() in self.resources and type_token != type_tokens.CONFIGURATION:
            raise RefusedError(409, "ResourceAlreadyExists", f"cannot create already existing resource '{identifier}'")
        above = addresses.parent(identifier)
        if above is not None and above.lower() not in self.resources:
            kind = "ParentResourceNotFound" if "/providers/" in above else "ResourceGroupNotFound"
            raise RefusedError(404, kind, f"'{above}' could not be found.")
        if type_token not in GLOBALLY_UNIQUE:
            return
        name = _unique_name(type_token, identifier)
        if name in self._state["taken"] or any(
            _unique_name(r["type"], r["id"]) == name for r in self.resources.values()
        ):
            raise RefusedError(409, GLOBALLY_UNIQUE[type_token], f"The name '{name.split('#')[1]}' is already taken.")
        recovers = inputs.get("properties", {}).get("createMode") == "recover"
        if name in self._state["deleted"] and not recovers:
            message = (
                "A vault with the same name already exists in deleted state. Recover it, or purge it to reuse its name."
            )
            raise RefusedError(409, "ConflictError", message)

    def called(self, operation: str, type_token: str, identifier: str, *, caller: str = "") -> _Call:
        """Return the context of one call: it meets injected faults, is recorded, and leaves the state saved.

        `caller` is by default who runs the program.
        """
        said = {"caller": caller or str(computed_outputs.client()["objectId"]), "at": self._now().isoformat()}
        return _Call(self, {"operation": operation, "type": type_token, "id": identifier, **said})

    def met(self, line: Mapping[str, str]) -> faults.Fault | None:
        """Take the injected fault that this call runs into, if any."""
        with self._lock:
            return faults.met(self._state["faults"], line["operation"], line["id"])

    def write_down(self, line: Mapping[str, str]) -> None:
        with self._lock:
            with self.calls_file.open("a") as calls:
                calls.write(json.dumps(line) + "\n")
            if line["operation"] != "read":
                self.save()

    def wait(self, seconds: float) -> None:
        """Wait in a slow call, until the time is over or faults are cleared."""
        self._cleared.wait(seconds)


class _Call:
    """The context of one call; see `Azure.called`."""

    def __init__(self, azure: Azure, line: dict[str, str]) -> None:
        self._azure, self._line = azure, line
        self._fault: faults.Fault | None = None

    def __enter__(self) -> str | None:
        self._fault = self._azure.met(self._line)
        kind = str(self._fault["kind"]) if self._fault else None
        if kind is not None and kind in faults.ANSWERS:
            refused = RefusedError(*faults.ANSWERS[kind])
            self._write(refused)
            raise refused
        return kind

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._write(error)
        if self._fault is not None and self._fault["kind"] == faults.SLOW and error is None:
            self._azure.wait(self._fault["seconds"])

    def _write(self, error: BaseException | None) -> None:
        self._azure.write_down({**self._line, **({"refused": str(error)} if error else {})})


def _unique_name(type_token: str, name: str) -> str:
    return f"{type_token}#{name.rsplit('/', 1)[-1].lower()}"
