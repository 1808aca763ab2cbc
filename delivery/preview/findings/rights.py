"""Who gains and who loses which right, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from components.azure.roles import AzureRole
from delivery.preview.differences import of as differences
from delivery.preview.plan import UNKNOWN, Op, Plan, State, Step, is_unknown, physical_name
from delivery.preview.reasons import Found, Reason, Row, Subject, Verdict
from delivery.preview.text import Code, Phrase, Strong, count, value

ASSIGNMENT = "authorization:RoleAssignment"
IDENTITY = "managedidentity:UserAssignedIdentity"
FEDERATION = "managedidentity:FederatedIdentityCredential"

MAY: Final[Mapping[AzureRole, str]] = {
    AzureRole.ACR_PULL: "pull images",
    AzureRole.ACR_PUSH: "push and pull images",
    AzureRole.AKS_CLUSTER_ADMIN: "do everything in Kubernetes",
    AzureRole.AKS_CLUSTER_USER: "sign in to Kubernetes",
    AzureRole.AKS_READER: "read everything in Kubernetes but secrets",
    AzureRole.CONTRIBUTOR: "change every resource",
    AzureRole.IDENTITY_FEDERATION_CONTRIBUTOR: "let others act as identities",
    AzureRole.KEY_VAULT_CRYPTO_USER: "encrypt and decrypt with keys",
    AzureRole.KEY_VAULT_SECRETS_OFFICER: "read, write and delete every secret",
    AzureRole.KEY_VAULT_SECRETS_USER: "read secrets",
    AzureRole.LOCKS_CONTRIBUTOR: "set and delete locks",
    AzureRole.MANAGED_IDENTITY_OPERATOR: "run resources as identities",
    AzureRole.NETWORK_CONTRIBUTOR: "change networks",
    AzureRole.RBAC_ADMINISTRATOR: "grant roles",
    AzureRole.READER: "read every resource",
    AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR: "read, write and delete blobs",
    AzureRole.STORAGE_BLOB_DATA_READER: "read blobs",
    AzureRole.STORAGE_BLOB_DELEGATOR: "sign addresses of blobs for others",
}

# Which role allows all that another one does. Microsoft Learn, "Azure built-in roles".
_INCLUDES: Final[Mapping[AzureRole, frozenset[AzureRole]]] = {
    AzureRole.ACR_PUSH: frozenset({AzureRole.ACR_PULL}),
    AzureRole.AKS_CLUSTER_ADMIN: frozenset({AzureRole.AKS_READER}),
    AzureRole.CONTRIBUTOR: frozenset(
        (
            AzureRole.AKS_CLUSTER_USER,
            AzureRole.IDENTITY_FEDERATION_CONTRIBUTOR,
            AzureRole.MANAGED_IDENTITY_OPERATOR,
            AzureRole.NETWORK_CONTRIBUTOR,
            AzureRole.READER,
        )
    ),
    AzureRole.KEY_VAULT_SECRETS_OFFICER: frozenset({AzureRole.KEY_VAULT_SECRETS_USER}),
    AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR: frozenset({AzureRole.STORAGE_BLOB_DATA_READER}),
}

# The last two parts of a scope's ARM id, in words. Others are reported by their type and name.
_SCOPES: Final[Mapping[str, str]] = {
    "resourcegroups": "group",
    "registries": "registry",
    "vaults": "vault",
    "secrets": "secret",
    "keys": "key",
    "containers": "container",
    "storageaccounts": "account",
    "jobs": "job",
    "managedclusters": "cluster",
    "userassignedidentities": "identity",
    "subscriptions": "subscription",
}


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One right: who has it, what it allows, on what, and whether a condition narrows it."""

    who: str
    may: str
    kind: str
    on: str
    narrowed: bool

    def phrase(self) -> Phrase:
        """`NAME may read blobs on container NAME`."""
        return [
            Code(self.who),
            f" {f'may {self.may}' if self.may else 'has a role that is not known here'} on {self.kind} ",
            Code(self.on),
            " under a condition" if self.narrowed else "",
        ]


def rights(plan: Plan) -> Iterator[Found]:
    """Assignments that come, go or change, and identities that somebody else may sign in as.

    A first deployment has nothing to compare: its rights are one row. So are those that take an output of an identity
    which is updated: nobody knows before the update that they stay.
    """
    assignments = [step for step in plan.changes if step.kind == ASSIGNMENT and step.op is not Op.PENDING]
    if plan.empty_before:
        if assignments:
            yield Row(subject=Subject.RIGHTS, what="rights", now=["none"], after=[f"{len(assignments)} assignments"])
    else:
        for step in assignments:
            yield from _assignment(step, plan)
    for step in plan.changes:
        if step.kind == FEDERATION and not plan.empty_before:
            yield from _federation(step)
    if awaiting := [step for step in plan.awaiting if step.kind == ASSIGNMENT and step.op is Op.SAME]:
        what = f"{count(len(awaiting), 'right')} of updated resources"
        yield Row(subject=Subject.RIGHTS, what=what, now=["granted"], after=[value(UNKNOWN)])


def grant(state: State, plan: Plan) -> Grant:
    """The right that an assignment is, or was."""
    known = _role(state)
    kind, on = _place(state, plan)
    return Grant(
        who=_holder(state, plan),
        may=MAY[known] if known else "",
        kind=kind,
        on=on,
        narrowed=bool(state.inputs.get("condition")),
    )


def _again(step: Step, plan: Plan) -> bool:
    """Whether a replaced assignment is the old one on what is replaced too: the same right of the same identity."""
    if step.before is None or step.after is None:
        return False
    same = all(step.old.get(key) == step.new.get(key) for key in ("roleDefinitionId", "condition"))
    return same and all(_same(step.before, step.after, key, plan) for key in ("principalId", "scope"))


def _same(before: State, after: State, key: str, plan: Plan) -> bool:
    """Whether an input has the value that it had, or its new one is not known and comes from the same resources."""
    if before.inputs.get(key) == after.inputs.get(key):
        return True
    return is_unknown(after.inputs.get(key)) and _sources(before, key, plan) == _sources(after, key, plan)


def _sources(state: State, key: str, plan: Plan) -> set[str]:
    """The types and names on Azure of the resources that an input comes from: a renamed one is the same to Azure."""
    steps = [step for urn in state.depends_on.get(key, ()) if (step := plan.at(urn)) is not None]
    return {f"{step.kind} {physical_name(step.kind, step.state.inputs)}" for step in steps}


def _assignment(step: Step, plan: Plan) -> Iterator[Found]:
    if _again(step, plan):
        return
    before = grant(step.before, plan) if step.before else None
    after = grant(step.after, plan) if step.after else None
    if after is not None:
        headline, words = _named(step)
        yield Reason(
            subject=Subject.RIGHTS,
            verdict=Verdict.DECIDE,
            headline=headline,
            phrase=[
                Strong(words),
                *after.phrase(),
                *([". Until now: ", *before.phrase()] if before else []),
                ".",
                *_condition(step),
            ],
            urn=step.urn,
        )
    yield Row(
        subject=Subject.RIGHTS,
        what="right",
        now=before.phrase() if before else ["none"],
        after=after.phrase() if after else ["none"],
    )


def _named(step: Step) -> tuple[str, str]:
    """A headline and the first words for an assignment that comes or changes."""
    if step.before is None or step.after is None:
        return "grants a right", "A right is granted: "
    if _wider(step.before, step.after):
        return "widens a right", "A right becomes wider: "
    return "changes a right", "A right changes: "


def _wider(before: State, after: State) -> bool:
    """Whether somebody may do all that was allowed, and more: by the role, the scope or a condition that goes."""
    old, new = _role(before), _role(after)
    includes = old is not None and new is not None and old in _INCLUDES.get(new, ())
    scopes = [str(state.inputs.get("scope", "")).lower().rstrip("/") for state in (before, after)]
    conditions = [state.inputs.get("condition") for state in (before, after)]
    same_or_more = (
        before.inputs.get("principalId") == after.inputs.get("principalId"),
        includes or before.inputs.get("roleDefinitionId") == after.inputs.get("roleDefinitionId"),
        scopes[0] == scopes[1] or scopes[0].startswith(f"{scopes[1]}/"),
        conditions[1] in (None, conditions[0]),
    )
    return all(same_or_more)


def _role(state: State) -> AzureRole | None:
    role = str(state.inputs.get("roleDefinitionId", "")).rpartition("/")[2].lower()
    return next((one for one in AzureRole if one.value == role), None)


def _condition(step: Step) -> Phrase:
    changed = [one for one in differences(step) if one.path == "condition"]
    if not changed:
        return []
    return [" Its condition changes from ", value(changed[0].before), " to ", value(changed[0].after), "."]


def _federation(step: Step) -> Iterator[Found]:
    def subject(of: Mapping[str, object]) -> Phrase:
        return [Code(str(of["subject"])), " of ", Code(str(of.get("issuer", "")))] if of.get("subject") else ["none"]

    who = str((step.before or step.state).inputs.get("resourceName", ""))
    if [*subject(step.old)] == [*subject(step.new)]:
        return
    if step.after is not None:
        yield Reason(
            subject=Subject.RIGHTS,
            verdict=Verdict.DECIDE,
            headline="lets another pipeline sign in",
            phrase=[
                Strong("Who may sign in"),
                " as ",
                Code(who),
                ": ",
                *subject(step.new),
                *([". Until now: ", *subject(step.old)] if step.before else []),
                ".",
            ],
            urn=step.urn,
        )
    yield Row(subject=Subject.RIGHTS, what=Code(who), now=subject(step.old), after=subject(step.new))


def _holder(state: State, plan: Plan) -> str:
    """The identity by its name in the program: `identity-tracking-identity` is tracking's."""
    for urn in state.depends_on.get("principalId", ()):
        found = plan.at(urn)
        if found is not None:
            return _own_name(found)
    principal = state.inputs.get("principalId", "")
    for other in plan.steps:
        if other.kind == IDENTITY and any(
            one.outputs.get("principalId") == principal for one in (other.before, other.after) if one
        ):
            return _own_name(other)
    return "an identity that is not known yet" if is_unknown(principal) else str(principal)


def _own_name(identity: Step) -> str:
    return identity.name.removeprefix("identity-").removesuffix("-identity")


def _place(state: State, plan: Plan) -> tuple[str, str]:
    scope = str(state.inputs.get("scope", ""))
    if is_unknown(scope) or not scope:
        names = [found.name for urn in state.depends_on.get("scope", ()) if (found := plan.at(urn))]
        return "resource", names[-1] if names else "known after the update"
    parts = scope.strip("/").split("/")
    kind, name = parts[-2:] if len(parts) > 1 else ("", parts[-1])
    return _SCOPES.get(kind.lower(), kind), name
