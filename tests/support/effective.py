"""What each identity of a recorded stack may do in the end: by its own roles, and by what it can make of itself.

The steps are those of Azure's built-in roles, by Microsoft Learn: "Azure built-in roles" (their actions), "Best
practices for user-assigned managed identities" (who may assign an identity, or federate it, may act as it), "Prevent
shared key authorization" (who may write an account and list its keys), "Manage Microsoft Entra roles in Azure Database
for PostgreSQL", and "Azure RBAC for Key Vault" (only an unrestricted right to assign roles may change how a vault
decides).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from components.azure.roles import AzureRole
from tests.support.conditions import DELETE, WRITE, Condition
from tests.support.recorder import Graph

STRANGER = "99999999-9999-9999-9999-999999999999"
_ASSIGNMENT = "azure-native:authorization:RoleAssignment"
_ADMINISTRATOR = "azure-native:dbforpostgresql:AdministratorsMicrosoftEntra"
_SERVER, _ACCOUNT = "azure-native:dbforpostgresql:Server", "azure-native:storage:StorageAccount"
_REGISTRY, _VAULT = "azure-native:containerregistry:Registry", "azure-native:keyvault:Vault"


@dataclass(frozen=True, kw_only=True)
class Right:
    """`who` (an identity by its word) may do `what` on a scope."""

    who: str
    what: str
    on: str


@dataclass(frozen=True, kw_only=True)
class Escalation:
    """`who` comes to `gains` in so many `steps`, the last of which is `by`."""

    who: str
    gains: str
    by: str
    steps: int


@dataclass(frozen=True, kw_only=True)
class _Held:
    principal: str
    role: AzureRole
    scope: str
    condition: str | None


class Access:
    """Who holds what in a stack. Scopes are in words."""

    def __init__(self, recorded: Graph) -> None:
        self._graph = recorded
        components = [name for name in recorded.names if recorded.type(name) == "mlflow:azure:Identity"]
        self.principals = {
            name.removeprefix("identity-"): str(recorded.outputs(name)["principal_id"]) for name in components
        }
        self._held = [self._assignment(recorded.inputs(name)) for name in recorded.of_type(_ASSIGNMENT)]

    def direct(self) -> set[Right]:
        """Return what is assigned."""
        administered = {
            Right(who=self._who(self._graph.inputs(name)["objectId"]), what="ENTRA_ADMINISTRATOR", on="database server")
            for name in self._graph.of_type(_ADMINISTRATOR)
        }
        roles = {Right(who=self._who(each.principal), what=each.role.name, on=each.scope) for each in self._held}
        return roles | administered

    def grantable(self, who: str) -> set[tuple[str, str]]:
        """Return the roles that an identity may grant, each with its grantee: an identity's word, or `a stranger`."""
        everybody = {**self.principals, "a stranger": STRANGER}
        return {
            (role.name, name)
            for held in self._of(who)
            if held.role is AzureRole.RBAC_ADMINISTRATOR
            for role in AzureRole
            for name, principal in everybody.items()
            for action in (WRITE, DELETE)
            if held.condition is None or Condition(held.condition).allows(action, role=role.value, principal=principal)
        }

    def escalations(self, who: str) -> set[Escalation]:
        """Return all that an identity comes to beyond its roles, each by the fewest steps."""
        found: dict[str, set[Escalation]] = {}
        acting = {who: 0}
        waiting = [who]
        while waiting:
            identity = waiting.pop(0)
            for gains, by in self._steps(identity, itself=identity == who):
                step = Escalation(who=who, gains=gains, by=by, steps=acting[identity] + 1)
                if all(known.steps >= step.steps for known in found.get(gains, ())):
                    found.setdefault(gains, set()).add(step)
                become = gains.removeprefix("acts as ")
                if become in self.principals and become not in acting:
                    acting[become] = step.steps
                    waiting.append(become)
        return {each for alternatives in found.values() for each in alternatives if each.gains != f"acts as {who}"}

    def _steps(self, who: str, *, itself: bool) -> Iterator[tuple[str, str]]:
        """Return what one more step brings to whoever acts as an identity, or to that identity beyond its own roles."""
        for held in self._of(who):
            if held.role is AzureRole.CONTRIBUTOR and held.scope == "resource group":
                yield from self._of_contributor(who)
            if held.role is AzureRole.READER and held.scope == "resource group":
                yield "pulls from registry", "`*/read` of its role"
                yield "reads logs", "`*/read` of its role"
        for right in self.direct():
            if right.who == who and right.what in _DATA and not itself:
                yield f"{_DATA[right.what]} {right.on}", "acting as who may"
        for role, grantee in self.grantable(who):
            if grantee in (who, "a stranger"):
                yield f"grants {role} to {'itself' if grantee == who else grantee}", "its right to assign roles"

    def _of_contributor(self, who: str) -> Iterator[tuple[str, str]]:
        for other in self.principals:
            # Its own too: a credential that outlives the workflow's approval.
            yield f"acts as {other}", "a federated credential on the identity"
            if other != who:
                yield f"acts as {other}", "a container app or job that runs as it"
        for kind, gains, by in (
            (_ACCOUNT, "reads and writes account of the artifacts", "shared keys, switched on and listed"),
            (_SERVER, "administers database server", "one more Entra administrator"),
            (_REGISTRY, "pushes to registry", "`*` of its role"),
        ):
            if self._graph.of_type(kind):
                yield gains, by
        unrestricted = any(
            held.role is AzureRole.RBAC_ADMINISTRATOR and held.condition is None for held in self._of(who)
        )
        if unrestricted and self._graph.of_type(_VAULT):
            yield "reads and writes vault", "access policies in place of roles"

    def _of(self, who: str) -> list[_Held]:
        return [held for held in self._held if held.principal == self.principals[who]]

    def _who(self, principal: str) -> str:
        (found,) = [name for name, known in self.principals.items() if known == principal]
        return found

    def _assignment(self, values: dict[str, str]) -> _Held:
        assert values["principalType"] == "ServicePrincipal"
        return _Held(
            principal=values["principalId"],
            role=AzureRole(values["roleDefinitionId"].rsplit("/", 1)[-1]),
            scope=_scope(values["scope"]),
            condition=values.get("condition"),
        )


_DATA = {
    AzureRole.STORAGE_BLOB_DATA_READER.name: "reads",
    AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR.name: "reads and writes",
    AzureRole.KEY_VAULT_SECRETS_USER.name: "reads",
    AzureRole.KEY_VAULT_SECRETS_OFFICER.name: "reads and writes",
    "ENTRA_ADMINISTRATOR": "administers",
}


def _scope(identifier: str) -> str:
    if "/secrets/" in identifier:
        return f"secret {identifier.rsplit('/', 1)[-1]}"
    words = {
        "images-registry": "registry",
        "store-container": "artifact container",
        "store-account": "account of the artifacts",
        "vault-vault": "vault",
        "group": "resource group",
        "identity-cluster-nodes-identity": "identity of cluster-nodes",
    }
    last = identifier.rsplit("/", 1)[-1]
    return f"subnet {last.removeprefix('network-')}" if "/Subnet/" in identifier else words[last]
