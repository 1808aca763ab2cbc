"""The offline Azure: resources in one JSON file, and the answers of Azure Resource Manager to what is done with them.

It refuses what Azure refuses: bodies that the schemas do not allow (400), a missing parent (404), a name that is
taken or softly deleted (409), the deletion of what is locked or in use (409), and what a test injected. Every call is
one JSON line in `<state>.calls.jsonl`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.azure_cloud import addresses, bodies, immutable, sdk_types
from tests.azure_cloud.schema import Json

LOCK: Final = "azure-native:authorization:ManagementLockByScope"

# One name for all of Azure, not one per resource group.
WORLDWIDE: Final[Mapping[str, str]] = {
    "azure-native:storage:StorageAccount": "StorageAccountAlreadyTaken",
    "azure-native:keyvault:Vault": "VaultAlreadyExists",
    "azure-native:dbforpostgresql:Server": "ServerNameAlreadyExists",
    "azure-native:containerregistry:Registry": "AlreadyInUse",
}
# These vanish with their parent and are in nobody's way.
GO_WITH_PARENT: Final = {
    "azure-native:dbforpostgresql:Configuration",
    "azure-native:storage:BlobServiceProperties",
    "azure-native:keyvault:Secret",
}
# These cannot go while something refers to them.
HELD_BY_REFERENCE: Final = {
    "azure-native:network:Subnet",
    "azure-native:network:VirtualNetwork",
    "azure-native:network:NetworkSecurityGroup",
    "azure-native:network:NatGateway",
    "azure-native:network:PublicIPAddress",
    "azure-native:privatedns:PrivateZone",
    "azure-native:app:ManagedEnvironment",
}
INJECTED: Final[Mapping[str, tuple[int, str, str]]] = {
    "throttled": (429, "TooManyRequests", "The request is being throttled. Please try after '10' seconds."),
    "conflict": (
        409,
        "AnotherOperationInProgress",
        "Another operation on this or a dependent resource is in progress.",
    ),
    "forbidden": (403, "AuthorizationFailed", "The client does not have authorization to perform the action."),
    "quota": (400, "QuotaExceeded", "Operation could not be completed as it results in exceeding approved quota."),
}


class RefusedError(Exception):
    """Azure's answer to a request that it does not carry out."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f'Status={status} Code="{code}" Message="{message}"')
        self.status, self.code = status, code


class HalfDoneError(Exception):
    """The resource is there and its provisioning failed."""


class Azure:
    """One Azure, kept in a file. Safe for threads; one process at a time."""

    def __init__(self, state: Path) -> None:
        self._file, self._lock = state, threading.RLock()
        self.calls_file = state.with_name(f"{state.name}.calls.jsonl")
        empty: dict[str, Any] = {"resources": {}, "deleted": {}, "taken": {}, "faults": [], "executions": {}}
        self._state = {**empty, **(json.loads(state.read_text()) if state.exists() else {})}

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """The resources by their ID in lower case, each with `id`, `type` (azure-native token), `inputs` and `body`."""
        return self._state["resources"]  # type: ignore[no-any-return]

    @property
    def executions(self) -> dict[str, dict[str, Any]]:
        """The executions of jobs by their ID in lower case."""
        return self._state["executions"]  # type: ignore[no-any-return]

    def calls(self) -> list[dict[str, Any]]:
        """Everything that was asked so far: `operation`, `type`, `id`, and `refused` where it was."""
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [json.loads(line) for line in lines]

    def inject(self, kind: str, *, operation: str, matching: str, times: int = 1) -> None:
        """Make the next calls of an operation fail whose ID matches the expression.

        Kinds: throttled (429), conflict (409), forbidden (403), quota (400), half (created, but provisioning failed).
        """
        if kind != "half" and kind not in INJECTED:
            raise ValueError(f"no fault {kind!r}; there are half, {', '.join(INJECTED)}")
        self._state["faults"].append({"kind": kind, "operation": operation, "matching": matching, "times": times})
        self.save()

    def take_name(self, token: str, name: str) -> None:
        """Somebody else has this worldwide name."""
        self._state["taken"][_worldwide(token, name)] = "elsewhere"
        self.save()

    def change(self, identifier: str, **inputs: Any) -> None:
        """What somebody does past Pulumi, e.g. in the portal."""
        self.resources[identifier.lower()]["inputs"] |= inputs
        self.save()

    def save(self) -> None:
        with self._lock:
            partial = self._file.with_name(f"{self._file.name}.partial")
            partial.write_text(json.dumps(self._state, indent=1, sort_keys=True))
            partial.replace(self._file)

    def create(self, token: str, inputs: Mapping[str, Json]) -> dict[str, Any]:
        """PUT of a new resource. Raises RefusedError, or HalfDoneError when it was made and left unfinished."""
        identifier = addresses.address(token, inputs)
        with self._lock, self._called("create", token, identifier) as fault:
            check_body(token, inputs)
            self._check_place(token, identifier, inputs)
            self._state["deleted"].pop(_worldwide(token, identifier), None)
            self._write(token, identifier, inputs)
            if fault == "half":
                raise HalfDoneError(
                    "The resource write operation failed to complete successfully: provisioning 'Failed'."
                )
            return self.resources[identifier.lower()]

    def update(self, token: str, identifier: str, inputs: Mapping[str, Json]) -> dict[str, Any]:
        """PUT of a resource that is there."""
        with self._lock, self._called("update", token, identifier):
            check_body(token, inputs)
            old = self._there(identifier)
            if reason := immutable.refusal(token, old["inputs"], inputs):
                raise RefusedError(400, "PropertyChangeNotAllowed", reason)
            self._write(token, identifier, inputs)
            return self.resources[identifier.lower()]

    def read(self, token: str, identifier: str) -> dict[str, Any] | None:
        with self._lock, self._called("read", token, identifier):
            return self.resources.get(identifier.lower())

    def delete(self, token: str, identifier: str) -> None:
        """DELETE; of what is gone already it is a success, as on Azure."""
        with self._lock, self._called("delete", token, identifier):
            if identifier.lower() not in self.resources:
                return
            self._check_free(token, identifier)
            gone = self.resources.pop(identifier.lower())
            for key in [key for key in self.resources if key.startswith(f"{identifier.lower()}/")]:
                del self.resources[key]
            if token == "azure-native:keyvault:Vault":
                protected = gone["inputs"].get("properties", {}).get("enablePurgeProtection") is True
                self._state["deleted"][_worldwide(token, identifier)] = {"id": identifier, "protected": protected}

    def purge(self, vault: str) -> None:
        """Give a softly deleted vault's name free; refused under purge protection."""
        key = _worldwide("azure-native:keyvault:Vault", vault)
        with self._lock, self._called("purge", "azure-native:keyvault:Vault", vault):
            deleted = self._state["deleted"].get(key)
            if deleted is None:
                raise RefusedError(
                    404, "DeletedVaultNotFound", f"The specified deleted vault '{vault}' does not exist."
                )
            if deleted["protected"]:
                raise RefusedError(409, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.")
            del self._state["deleted"][key]

    def _write(self, token: str, identifier: str, inputs: Mapping[str, Json]) -> None:
        body = bodies.body(token, inputs) if token in bodies.table() else dict(inputs)
        self.resources[identifier.lower()] = {"id": identifier, "type": token, "inputs": dict(inputs), "body": body}

    def _there(self, identifier: str) -> dict[str, Any]:
        if identifier.lower() not in self.resources:
            raise RefusedError(404, "ResourceNotFound", f"The Resource '{identifier}' was not found.")
        return self.resources[identifier.lower()]

    def _check_place(self, token: str, identifier: str, inputs: Mapping[str, Json]) -> None:
        if identifier.lower() in self.resources:
            raise RefusedError(409, "ResourceAlreadyExists", f"cannot create already existing resource '{identifier}'")
        above = addresses.parent(identifier)
        if above is not None and above.lower() not in self.resources:
            kind = "ParentResourceNotFound" if "/providers/" in above else "ResourceGroupNotFound"
            raise RefusedError(404, kind, f"'{above}' could not be found.")
        if token not in WORLDWIDE:
            return
        name = _worldwide(token, identifier)
        if name in self._state["taken"] or any(_worldwide(r["type"], r["id"]) == name for r in self.resources.values()):
            raise RefusedError(409, WORLDWIDE[token], f"The name '{name.split('#')[1]}' is already taken.")
        recovers = inputs.get("properties", {}).get("createMode") == "recover"
        if name in self._state["deleted"] and not recovers:
            message = (
                "A vault with the same name already exists in deleted state. Recover it, or purge it to reuse its name."
            )
            raise RefusedError(409, "ConflictError", message)

    def _check_free(self, token: str, identifier: str) -> None:
        key = identifier.lower()
        if token == "azure-native:dbforpostgresql:Configuration":
            raise RefusedError(405, "MethodNotAllowed", "A server parameter cannot be deleted.")
        for lock in self.resources.values():
            scope = lock["id"].lower().rpartition("/providers/")[0]
            # A lock holds what is below its scope, and what is above it from taking the scope along.
            if lock["type"] == LOCK and token != LOCK and (_within(key, scope) or _within(scope, key)):
                message = (
                    f"The scope '{identifier}' cannot be deleted because following scope(s) are locked: '{scope}'."
                )
                raise RefusedError(409, "ScopeLocked", message)
        below = [
            other["id"]
            for other_key, other in self.resources.items()
            if other_key != key and _within(other_key, key) and other["type"] not in GO_WITH_PARENT
        ]
        if token in HELD_BY_REFERENCE:
            quoted = re.compile(f'"{re.escape(key)}["/]')
            below += [
                other["id"]
                for other_key, other in self.resources.items()
                if other_key != key and quoted.search(json.dumps(other["inputs"]).lower())
            ]
        if below:
            raise RefusedError(
                409, "InUse", f"'{identifier}' cannot be deleted: it is in use by {', '.join(sorted(set(below)))}."
            )

    def _called(self, operation: str, token: str, identifier: str) -> _Call:
        return _Call(self, {"operation": operation, "type": token, "id": identifier})

    def fault(self, operation: str, identifier: str) -> str | None:
        """Take the injected fault that this call runs into, if any."""
        for fault in self._state["faults"]:
            due = fault["times"] > 0 and fault["operation"] == operation
            if due and re.search(fault["matching"], identifier, re.IGNORECASE):
                fault["times"] -= 1
                return str(fault["kind"])
        return None


class _Call:
    """One call: runs into what was injected, is written down, and leaves the state saved."""

    def __init__(self, azure: Azure, line: dict[str, str]) -> None:
        self._azure, self._line = azure, line

    def __enter__(self) -> str | None:
        fault = self._azure.fault(self._line["operation"], self._line["id"])
        if fault is not None and fault in INJECTED:
            refused = RefusedError(*INJECTED[fault])
            self._write(refused)
            raise refused
        return fault

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._write(error)

    def _write(self, error: BaseException | None) -> None:
        line = {**self._line, **({"refused": str(error)} if error else {})}
        with self._azure.calls_file.open("a") as calls:
            calls.write(json.dumps(line) + "\n")
        if self._line["operation"] != "read":
            self._azure.save()


def faults_of(token: str, inputs: Mapping[str, Json]) -> list[str]:
    """What is wrong with the body, by the ARM schema and by the SDK's own types."""
    by_schema = bodies.violations(token, inputs) if token in bodies.table() else []
    return by_schema or sdk_types.violations(token, inputs)


def check_body(token: str, inputs: Mapping[str, Json]) -> None:
    """Raise RefusedError (400) for a body that Azure does not take; unknown values pass."""
    if found := faults_of(token, inputs):
        message = f"The request content was invalid and could not be deserialized: {'; '.join(found)}"
        raise RefusedError(400, "InvalidRequestContent", message)


def _worldwide(token: str, name: str) -> str:
    return f"{token}#{name.rsplit('/', 1)[-1].lower()}"


def _within(key: str, scope: str) -> bool:
    return key == scope or key.startswith(f"{scope}/")
