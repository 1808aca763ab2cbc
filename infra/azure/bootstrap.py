"""The bootstrap stack: what the other stacks depend on, and the rights by which none of them needs an Owner.

It has the state and the key of every stack, the registry that images are built into, and for each stack its two
resource groups and all its identities. They are in a group of their own, on which no stack's deploy may change
anything: so deploy runs services as them and can neither federate them nor itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import authorization, keyvault, resources

from components.azure.container_registry import ContainerRegistry, ContainerRegistryArgs
from components.azure.federated_subject import FederatedSubject
from components.azure.identity import Identity, IdentityArgs
from components.azure.key_vault import KeyVault, KeyVaultArgs
from components.azure.monitoring import Monitoring, MonitoringArgs
from components.azure.roles import AzureRole, assign
from components.azure.state_store import StateStore, StateStoreArgs
from components.mlflow.roles import Role
from infra.azure.access import Grant, grants, grants_of_the_platform
from infra.naming import Names, unique_suffix
from infra.settings import regions
from infra.settings.aks import MADE_CERTIFICATE, Generation
from infra.settings.bootstrap import BOOTSTRAP, OWN_CLUSTER, Bootstrap, subjects
from infra.tags import written

_BUILD, _PROMOTE = "build", "promote"


@dataclass(frozen=True, kw_only=True)
class _Base:
    """What each stack's part takes from here."""

    chosen: Bootstrap
    subscription_id: str
    names: Names
    tags: Mapping[str, str]
    group: resources.ResourceGroup
    state: StateStore
    vault: KeyVault
    images: ContainerRegistry


@dataclass(frozen=True, kw_only=True)
class _Right:
    """A role on a scope; `scope` is also a word for it in the assignment's name."""

    word: str
    scope: pulumi.Input[str]
    role: AzureRole
    condition: pulumi.Input[str] | None = None


def create_stack(chosen: Bootstrap) -> Mapping[str, pulumi.Input[str]]:
    """Create the stack; return its outputs, which are never secret."""
    base = _base(chosen)
    outputs: dict[str, pulumi.Input[str]] = {
        "profile": BOOTSTRAP,
        "resource_group": base.group.name,
        "state_account": base.state.name,
        "key_vault": base.vault.name,
        "build_registry": base.images.login_server,
        "build_registry_id": base.images.id,
    }
    _administrators(base, chosen.stack, base.vault.encryption_key(base.names.state))
    builders = subjects(chosen.file.bootstrap, _BUILD)
    if builders:
        build = _identity(base, base.names, _BUILD, builders)
        _grant(base, build, _BUILD, [_Right(word="images", scope=base.images.id, role=AzureRole.ACR_PUSH)])
        outputs["build_client_id"] = build.client_id
    promoters = subjects(chosen.file.bootstrap, _PROMOTE)
    promote = _identity(base, base.names, _PROMOTE, promoters) if promoters else None
    if promote is not None:
        # Labels and digests of images are no part of Reader.
        _grant(base, promote, _PROMOTE, [_Right(word="images", scope=base.images.id, role=AzureRole.ACR_PULL)])
        outputs["promote_client_id"] = promote.client_id
    for stack in chosen.file.bootstrap.stacks:
        outputs |= _serve(base, stack, promote)
    return outputs


def _base(chosen: Bootstrap) -> _Base:
    file, client = chosen.file, authorization.get_client_config()
    suffix = unique_suffix(client.subscription_id, chosen.stack, file.name_generation)
    names, tagged = Names(stack=chosen.stack, suffix=suffix), written(chosen.stack, BOOTSTRAP, file.tags)
    group = _group("group", names.resource_group, chosen, tagged)
    monitoring = Monitoring(
        "monitoring",
        MonitoringArgs(
            workspace_name=names.workspace,
            action_group_name=names.action_group,
            location=file.location,
            resource_group_name=group.name,
            tags=tagged,
            sender="mlflow",
            protect=file.protect,
        ),
    )
    state = StateStore(
        "state",
        StateStoreArgs(
            account_name=names.storage_account,
            resource_group_name=group.name,
            location=file.location,
            tags=tagged,
            workspace_id=monitoring.workspace_id,
            containers=[Names(stack=each, suffix=suffix).state for each in (chosen.stack, *file.bootstrap.stacks)],
            zone_redundant=regions.has_zones(file.location),
            protect=file.protect,
        ),
    )
    vault = KeyVault(
        "vault",
        KeyVaultArgs(
            vault_name=names.key_vault,
            resource_group_name=group.name,
            location=file.location,
            tags=tagged,
            tenant_id=client.tenant_id,
            workspace_id=monitoring.workspace_id,
            protect=file.protect,
            # Who runs a stack comes from anywhere, such as a hosted workflow, with a role on the stack's own key.
            public=True,
        ),
    )
    images = ContainerRegistry(
        "images",
        ContainerRegistryArgs(
            registry_name=names.container_registry,
            location=file.location,
            resource_group_name=group.name,
            tags=tagged,
            workspace_id=monitoring.workspace_id,
            protect=file.protect,
        ),
    )
    return _Base(
        chosen=chosen,
        subscription_id=client.subscription_id,
        names=names,
        tags=tagged,
        group=group,
        state=state,
        vault=vault,
        images=images,
    )


def _serve(base: _Base, stack: str, promote: Identity | None) -> dict[str, pulumi.Input[str]]:
    """Create what a stack depends on, and grant its identities, and that of promotions, the least that they need."""
    names = Names(stack=stack, suffix=base.names.suffix)
    tagged = written(stack, stack, base.chosen.file.tags)
    group = _group(f"{stack}-group", names.resource_group, base.chosen, tagged)
    apart = _group(f"{stack}-identities", names.identity_group, base.chosen, tagged)
    services = {
        role: Identity(
            f"{stack}-{role}",
            IdentityArgs(
                identity_name=names.identity(role),
                location=base.chosen.file.location,
                resource_group_name=apart.name,
                tags=tagged,
            ),
        )
        for role in Role
    }
    key = base.vault.encryption_key(names.state)
    _administrators(base, stack, key)
    deploy = _identity(base, names, "deploy", subjects(base.chosen.file.bootstrap, stack))
    preview = _identity(base, names, "preview", subjects(base.chosen.file.bootstrap, f"{stack}-preview"))
    state = base.state.container_ids[names.state]
    cluster = _in_cluster(base, stack, group=group, apart=apart, services=services)
    condition = grants_of_the_platform(services, cluster.of_services, cluster.of_nodes)
    _grant(
        base,
        deploy,
        f"{stack}-deploy",
        [
            _Right(word="group", scope=group.id, role=AzureRole.CONTRIBUTOR),
            _Right(word="group", scope=group.id, role=AzureRole.RBAC_ADMINISTRATOR, condition=condition),
            _Right(word="group", scope=group.id, role=AzureRole.LOCKS_CONTRIBUTOR),
            _Right(word="identities", scope=apart.id, role=AzureRole.MANAGED_IDENTITY_OPERATOR),
            _Right(word="state", scope=state, role=AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR),
            _Right(word="key", scope=key.id, role=AzureRole.KEY_VAULT_CRYPTO_USER),
            # An import needs `read` on the source, which AcrPull lacks (Azure/acr issue 237).
            _Right(word="images", scope=base.images.id, role=AzureRole.READER),
            *cluster.deploys,
        ],
    )
    reads = [
        _Right(word="group", scope=group.id, role=AzureRole.READER),
        _Right(word="identities", scope=apart.id, role=AzureRole.READER),
        _Right(word="state", scope=state, role=AzureRole.STORAGE_BLOB_DATA_READER),
        _Right(word="key", scope=key.id, role=AzureRole.KEY_VAULT_CRYPTO_USER),
        *cluster.reads,
    ]
    _grant(base, preview, f"{stack}-preview", reads)
    if promote is not None:
        # A promotion compares two stacks.
        _grant(base, promote, f"promote-{stack}", reads)
    return {f"{stack}_deploy_client_id": deploy.client_id, f"{stack}_preview_client_id": preview.client_id}


@dataclass(frozen=True, kw_only=True)
class _InCluster:
    """What a stack's cluster adds: to what its deploy may grant, services and nodes, and to who may what.

    A stack outside of a cluster adds nothing.
    """

    of_services: Sequence[Grant] | None = None
    of_nodes: Sequence[tuple[pulumi.Input[str], AzureRole]] = ()
    deploys: Sequence[_Right] = ()
    reads: Sequence[_Right] = ()


def _in_cluster(
    base: _Base,
    stack: str,
    *,
    group: resources.ResourceGroup,
    apart: resources.ResourceGroup,
    services: Mapping[Role, Identity],
) -> _InCluster:
    """Create the identities of a stack's own cluster. Return what any cluster of a stack takes.

    A cluster's issuer is known when the cluster is there, so deploy federates the services' identities itself: those
    alone, neither a cluster's nor a workflow's.
    """
    nodes = base.chosen.file.bootstrap.clusters.get(stack)
    if nodes is None:
        return _InCluster()
    of_services = grants(clients_reach_blob=True, certificate=MADE_CERTIFICATE)
    federates = [
        _Right(word=role.value, scope=identity.id, role=AzureRole.IDENTITY_FEDERATION_CONTRIBUTOR)
        for role, identity in services.items()
    ]
    if nodes != OWN_CLUSTER:
        return _InCluster(of_services=of_services, of_nodes=[(nodes, AzureRole.ACR_PULL)], deploys=federates)
    runs = _of_cluster(base, stack, apart, "nodes")
    controls = [_of_cluster(base, stack, apart, "control", generation) for generation in Generation]
    for control, generation in zip(controls, Generation, strict=True):
        operates = _Right(word="nodes", scope=runs.id, role=AzureRole.MANAGED_IDENTITY_OPERATOR)
        _grant(base, control, f"{stack}-cluster-control-{generation}", [operates])
    return _InCluster(
        of_services=of_services,
        of_nodes=[
            (runs.principal_id, AzureRole.ACR_PULL),
            *((control.principal_id, AzureRole.NETWORK_CONTRIBUTOR) for control in controls),
        ],
        deploys=[*federates, _Right(word="group", scope=group.id, role=AzureRole.AKS_CLUSTER_ADMIN)],
        reads=[
            _Right(word="group", scope=group.id, role=role)
            for role in (AzureRole.AKS_CLUSTER_USER, AzureRole.AKS_READER)
        ],
    )


def _of_cluster(base: _Base, stack: str, apart: resources.ResourceGroup, *purpose: str) -> Identity:
    names = Names(stack=stack, suffix=base.names.suffix)
    return Identity(
        "-".join([stack, "cluster", *purpose]),
        IdentityArgs(
            identity_name=names.cluster_identity(*purpose),
            location=base.chosen.file.location,
            resource_group_name=apart.name,
            tags=written(stack, stack, base.chosen.file.tags),
        ),
        # A cluster that runs stops without them.
        pulumi.ResourceOptions(protect=base.chosen.file.protect),
    )


def _administrators(base: _Base, stack: str, key: keyvault.Key) -> None:
    """Let the administrators read and write the state of a stack: they make the other things by roles of their own."""
    state = base.state.container_ids[Names(stack=stack, suffix=base.names.suffix).state]
    for word, scope, role in (
        ("state", state, AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR),
        ("key", key.id, AzureRole.KEY_VAULT_CRYPTO_USER),
    ):
        assign(
            f"administrators-{stack}-{word}",
            scope=scope,
            principal_id=base.chosen.file.bootstrap.administrators,
            principal_type=authorization.PrincipalType.GROUP,
            role=role,
            subscription_id=base.subscription_id,
            parent=base.state if word == "state" else base.vault,
        )


def _group(name: str, physical: str, chosen: Bootstrap, tagged: Mapping[str, str]) -> resources.ResourceGroup:
    return resources.ResourceGroup(
        name,
        resource_group_name=physical,
        location=chosen.file.location,
        tags=tagged,
        opts=pulumi.ResourceOptions(protect=chosen.file.protect),
    )


def _identity(base: _Base, names: Names, purpose: str, federated: list[FederatedSubject]) -> Identity:
    """Create an identity of workflows, in the group of the bootstrap stack: no stack's deploy has a right there."""
    return Identity(
        f"{names.stack}-{purpose}" if names.stack != base.names.stack else purpose,
        IdentityArgs(
            identity_name=names.delivery_identity(purpose),
            location=base.chosen.file.location,
            resource_group_name=base.group.name,
            tags=base.tags,
            federated=federated,
        ),
    )


def _grant(base: _Base, holder: Identity, name: str, rights: list[_Right]) -> None:
    for right in rights:
        assign(
            f"{name}-{right.word}-{right.role.name.lower().replace('_', '-')}",
            scope=right.scope,
            principal_id=holder.principal_id,
            role=right.role,
            subscription_id=base.subscription_id,
            parent=holder,
            condition=right.condition,
        )
