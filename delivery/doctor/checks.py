"""The table of checks: what each looks at, why, for which commands, and what fixes what it finds.

Each is a pure function of the facts. A check whose facts are missing is not made, and says why.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from components.azure.postgres_size import HighAvailability
from delivery.doctor.azure import allowed
from delivery.doctor.facts import Facts, newer
from delivery.doctor.missing import Missing, MissingError, known
from delivery.pulumi.lock import living
from delivery.recover import state as states
from infra.settings.azure import AzureSettings
from tools.pulumi.kinds import FILES, OLDEST


class Command(StrEnum):
    """The commands on a stack of Azure that a check can be for."""

    PREVIEW = "preview"
    UP = "up"
    PROMOTE = "promote"
    RECOVER = "recover"


class Result(StrEnum):
    """What a check says; NOT_CHECKED is neither good nor bad."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`what` was found, in words; `remedies` are commands that fix it, none where all is well."""

    result: Result
    what: str
    remedies: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the table. `look` may raise MissingError: the check is not made then."""

    name: str
    why: str
    look: Callable[[Facts], Finding]
    commands: frozenset[Command]

    def made(self, facts: Facts) -> Finding:
        """Return what it finds."""
        try:
            return self.look(facts)
        except MissingError as missing:
            return Finding(result=Result.NOT_CHECKED, what=str(missing))


EVERY: Final = frozenset(Command)
_CHANGING: Final = frozenset({Command.UP})
_PLANNING: Final = frozenset({Command.UP, Command.PREVIEW})
_REVIEWED: Final = frozenset({Command.UP, Command.PROMOTE})

SECRETS: Final = ("AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "ARM_CLIENT_SECRET", "AZURE_CLIENT_SECRET")
_OIDC: Final = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
_FEDERATED: Final = ("ARM_USE_OIDC", "ARM_CLIENT_ID", "ARM_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_TENANT_ID")
_AZURE_NATIVE: Final = "pulumi-azure-native"
_LISTED: Final = 5


def _ok(what: str) -> Finding:
    return Finding(result=Result.OK, what=what)


def _warning(what: str, *remedies: str) -> Finding:
    return Finding(result=Result.WARNING, what=what, remedies=remedies)


def _failed(what: str, *remedies: str) -> Finding:
    return Finding(result=Result.FAILED, what=what, remedies=remedies)


def engine(facts: Facts) -> Finding:
    found = known(facts.engine)
    oldest = ".".join(map(str, OLDEST))
    if newer(oldest, found):
        return _failed(f"version {found}; {oldest} or a later one is needed", "make engine")
    if found != facts.pinned:
        return _warning(
            f"version {found}; an approved plan is applied by {facts.pinned} alone", "export PULUMI_ENGINE=official"
        )
    return _ok(f"version {found}, the pinned one")


def language_host(facts: Facts) -> Finding:
    missing = [name for name in FILES if name not in facts.companions]
    return _failed(f"{_some(missing)} not on PATH", "make engine") if missing else _ok("found beside the engine")


def packages(facts: Facts) -> Finding:
    found = [
        f"{name} {facts.packages.get(name, 'is missing')} ({version} locked)"
        for name, version in facts.locked.items()
        if facts.packages.get(name) != version
    ]
    return (
        _failed(_some(found), "make venv") if found else _ok(f"{len(facts.locked)} packages as the lock file has them")
    )


def checkout(facts: Facts) -> Finding:
    changed = known(facts.changed)
    if changed:
        return _failed(f"{_some(changed)} not committed; what is approved is a commit", "git status")
    return _ok("as its commit")


def no_secrets(facts: Facts) -> Finding:
    found = [name for name in SECRETS if facts.environ.get(name)]
    return _failed(f"{_some(found)} set", f"unset {' '.join(found)}") if found else _ok("none is set")


def state_is_there(facts: Facts) -> Finding:
    known(facts.backend)
    if isinstance(facts.state, Missing):
        return _failed(
            facts.state.reason,
            f"pulumi stack init {facts.stack} "
            f"--secrets-provider azurekeyvault://VAULT.vault.azure.net/keys/pulumi-{facts.stack}",
        )
    return _ok("can be read")


def signed_in(facts: Facts) -> Finding:
    if isinstance(facts.azure, Missing):
        return Finding(result=Result.NOT_CHECKED, what=facts.azure.reason, remedies=["az login"])
    return _ok(f"tenant {facts.azure.tenant or 'unknown'}")


def backend(facts: Facts) -> Finding:
    if isinstance(facts.backend, Missing):
        return _failed(facts.backend.reason, f"pulumi login azblob://{facts.stack}")
    url = facts.backend
    if url.startswith("azblob://"):
        return _ok(url)
    if url.startswith("file://"):
        return _warning(f"{url}: on this machine alone, for trying", f"pulumi login azblob://{facts.stack}")
    return _failed(f"{url}: there is no lease beside it", f"pulumi login azblob://{facts.stack}")


def lock(facts: Facts) -> Finding:
    held = known(facts.lock)
    if not held:
        return _ok("free")
    if pid := living(held):
        return _failed(f"`pulumi` with pid {pid} works on it on this machine; wait until it has ended")
    return _failed(f"{held}; if nothing works on it any more, recover", f"mlflow-platform recover {facts.stack}")


def operations(facts: Facts) -> Finding:
    found = [f"{one.operation} {one.name}" for one in states.pending(known(facts.state))]
    if found:
        return _failed(f"{_some(found)} interrupted", f"mlflow-platform recover {facts.stack}")
    return _ok("no operation was interrupted")


def deletions(facts: Facts) -> Finding:
    resources = (known(facts.state).get("deployment") or {}).get("resources") or ()
    found = [str(one["urn"]).rpartition("::")[2] for one in resources if one.get("delete")]
    if found:
        return _warning(
            f"{_some(found)} left to delete by a failed update; the next one tries it again",
            f"mlflow-platform preview {facts.stack}",
        )
    return _ok("none is left over")


def writer(facts: Facts) -> Finding:
    manifest = (known(facts.state).get("deployment") or {}).get("manifest") or {}
    wrote, own = str(manifest.get("version", "")).removeprefix("v"), known(facts.engine)
    if newer(wrote, own):
        return _failed(f"the state was written by engine {wrote}, this is {own}", "git pull --ff-only && make engine")
    return _ok(f"written by engine {wrote}" if wrote else "empty")


def azure_native(facts: Facts) -> Finding:
    locked = facts.locked.get(_AZURE_NATIVE, "")
    resources = (known(facts.state).get("deployment") or {}).get("resources") or ()
    used = {
        str(one.get("inputs", {}).get("version", ""))
        for one in resources
        if one.get("type") == "pulumi:providers:azure-native"
    }
    later = [version for version in sorted(used) if newer(version, locked)]
    if later:
        return _failed(f"the state is of {_some(later)}, the lock file of {locked}", "git pull --ff-only && make venv")
    return _ok(f"{locked}, not older than in the state")


def settings(facts: Facts) -> Finding:
    found = facts.problems
    if not found:
        return _ok(f"profile {known(facts.settings).profile}")
    return _failed("; ".join(map(str, found)), *(one.remedy for one in found if one.remedy.startswith("pulumi ")))


def image(facts: Facts) -> Finding:
    azure = _azure_settings(facts)
    if azure.image.digest is None:
        return _warning(
            "digest: none; an up makes everything but the services",
            f"pulumi config set --path image.digest sha256:DIGEST -s {facts.stack}",
        )
    return _ok(azure.image.digest)


def ranges(facts: Facts) -> Finding:
    own = _azure_settings(facts).network.cidr
    network = ipaddress.ip_network(own)
    others = {name: ipaddress.ip_network(one) for name, one in facts.ranges.items() if name != facts.stack}
    shared = [f"{one} of {name}" for name, one in others.items() if network.overlaps(one)]
    if shared:
        free = next(
            one
            for one in ipaddress.ip_network("10.0.0.0/8").subnets(new_prefix=network.prefixlen)
            if not any(one.overlaps(other) for other in [*others.values(), ipaddress.ip_network("10.0.0.0/16")])
        )
        return _warning(
            f"{own} overlaps {_some(shared)}; networks that overlap cannot be peered, and a range stays for good",
            f"pulumi config set --path network.cidr {free} -s {facts.stack}",
        )
    return _ok(f"{own}, apart from every other stack's")


def secrets_provider(facts: Facts) -> Finding:
    file, name = known(facts.file), f"stacks/Pulumi.{facts.stack}.yaml"
    if name in known(facts.changed):
        return _failed(
            f"{name} is not committed, and it holds the key of the state's secrets",
            f"git add {name} && git commit -m 'Configure stack {facts.stack}' {name}",
        )
    if file.get("encryptedkey") and str(file.get("secretsprovider", "")).startswith("azurekeyvault://"):
        return _ok(f"{file['secretsprovider']}, its key committed")
    return _warning(
        f"{name} names no key of a Key Vault",
        f"pulumi stack change-secrets-provider azurekeyvault://VAULT.vault.azure.net/keys/pulumi-{facts.stack} "
        f"-s {facts.stack}",
    )


def configured_subscription(facts: Facts) -> Finding:
    found = (known(facts.file).get("config") or {}).get("azure-native:subscriptionId")
    if found:
        return _ok(str(found))
    return _warning(
        "the stack's file names none: whoever is signed in elsewhere would make other names",
        f'pulumi config set azure-native:subscriptionId "$(az account show --query id --output tsv)" -s {facts.stack}',
    )


def way(facts: Facts) -> Finding:
    config = {str(key).rpartition(":")[2]: value for key, value in (known(facts.file).get("config") or {}).items()}
    made = config.get("bootstrappedBy")
    of_image = config.get("image")
    source = of_image.get("source") if isinstance(of_image, Mapping) else None
    first = f"bootstrap: {made} has made its group and identities" if made else "simple: an Owner runs its first up"
    second = f"images come from {source}" if source else "images are pushed to its own registry"
    return _ok(f"{first}; {second}")


def workflow(facts: Facts) -> Finding:
    if not facts.environ.get("GITHUB_ACTIONS"):
        return Finding(result=Result.NOT_CHECKED, what="not in a workflow of GitHub")
    missing = [name for name in _OIDC if not facts.environ.get(name)]
    if missing:
        return _failed(
            f"{_some(missing)} not set: the job lacks the permission `id-token: write`",
            "git grep --line-number 'id-token' -- .github/workflows",
        )
    missing = [name for name in _FEDERATED if not facts.environ.get(name)]
    if missing:
        return _failed(f"{_some(missing)} not set", "gh variable list")
    return _ok("it can ask for a token")


def subscription(facts: Facts) -> Finding:
    azure = known(facts.azure)
    home = known(azure.home)
    if azure.tenant and home != azure.tenant:
        return _failed(
            f"{azure.subscription} is of tenant {home}, signed in to {azure.tenant}", f"az login --tenant {home}"
        )
    if azure.enabled != "Enabled":
        return _failed(f"{azure.subscription} is {azure.enabled}", "az account list --all --output table")
    return _ok(f"{azure.subscription} of tenant {home}")


def providers(facts: Facts) -> Finding:
    azure = known(facts.azure)
    found = known(azure.providers)
    missing = [name for name, state in found.items() if state != "Registered"]
    if missing:
        return _failed(
            f"{_some(missing)} not registered", *(f"az provider register --namespace {one} --wait" for one in missing)
        )
    return _ok(f"all {len(found)} are registered")


def environments(facts: Facts) -> Finding:
    azure = known(facts.azure)
    used, limit = known(azure.environments)
    said = f"{used} of {limit} in {azure.location}"
    if azure.first and used >= limit:
        return _failed(
            f"{said}: no more can be made", f"az containerapp list-usages --location {azure.location} --output table"
        )
    return _ok(said)


def database(facts: Facts) -> Finding:
    azure, wanted = known(facts.azure), _azure_settings(facts)
    show = f"az postgres flexible-server list-skus --location {azure.location} --output table"
    if wanted.database.sku not in known(azure.sizes):
        return _failed(f"{azure.location} does not offer {wanted.database.sku} to this subscription", show)
    if wanted.database.high_availability is HighAvailability.ZONE_REDUNDANT and azure.zones is False:
        return _failed(f"{azure.location} offers no standby in another zone", show)
    return _ok(f"{azure.location} offers {wanted.database.sku}")


def names(facts: Facts) -> Finding:
    azure = known(facts.azure)
    deleted, taken = known(azure.deleted), known(azure.taken)
    if deleted:
        return _failed(
            f"{deleted} is a deleted vault that keeps its name",
            f"az keyvault recover --name {deleted} --location {azure.location}",
        )
    if taken:
        return _failed(
            _some([f"{name} ({why})" for name, why in taken.items()]),
            f"pulumi config set nameGeneration two -s {facts.stack}",
        )
    return _ok("free" if azure.first else "made by an earlier up")


def rights(facts: Facts) -> Finding:
    azure = known(facts.azure)
    wanted = ["Microsoft.App/containerApps/write"]
    if azure.first:
        wanted += [
            "Microsoft.Resources/subscriptions/resourceGroups/write",
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/locks/write",
        ]
    missing = [one for one in wanted if not allowed(known(azure.actions), one)]
    if missing:
        return _failed(
            f"{_some(missing)} not allowed",
            "az role assignment list --include-inherited --all --output table "
            '--assignee "$(az ad signed-in-user show --query id --output tsv)"',
        )
    return _ok("those of a first up" if azure.first else "those of a later up")


def _azure_settings(facts: Facts) -> AzureSettings:
    found = known(facts.settings).azure
    if found is None:
        raise MissingError("the stack runs on this machine")
    return found


def _some(found: Sequence[str]) -> str:
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return ", ".join(found[:_LISTED]) + more


CHECKS: Final[Sequence[Check]] = (
    Check(name="engine", why="plans of other versions differ", look=engine, commands=EVERY),
    Check(name="language host", why="the engine runs Python by it", look=language_host, commands=_PLANNING),
    Check(name="packages", why="the program is tested with the locked ones", look=packages, commands=_PLANNING),
    Check(name="checkout", why="a commit is what is reviewed", look=checkout, commands=_REVIEWED),
    Check(name="secrets in the environment", why="they take the place of a sign-in", look=no_secrets, commands=EVERY),
    Check(
        name="state's backend",
        why="one state for everybody, with a lease",
        look=backend,
        commands=EVERY,
    ),
    Check(name="state", why="it says what the stack has", look=state_is_there, commands=EVERY),
    Check(name="lock", why="one update at a time", look=lock, commands=_CHANGING | {Command.RECOVER}),
    Check(
        name="interrupted operations",
        why="Azure may have what the state has not",
        look=operations,
        commands=_REVIEWED | {Command.RECOVER},
    ),
    Check(name="deletions left over", why="the next update tries them", look=deletions, commands=EVERY),
    Check(
        name="engine of the state",
        why="an older engine may misread it",
        look=writer,
        commands=EVERY,
    ),
    Check(
        name="azure-native",
        why="an older provider would undo what it does not know",
        look=azure_native,
        commands=_PLANNING,
    ),
    Check(
        name="settings",
        why="the program refuses them otherwise",
        look=settings,
        commands=_PLANNING | _REVIEWED,
    ),
    Check(name="image", why="the services run from it", look=image, commands=_REVIEWED),
    Check(
        name="network ranges",
        why="a range cannot be changed later",
        look=ranges,
        commands=_PLANNING,
    ),
    Check(
        name="secrets provider",
        why="without its key nobody reads the state's secrets",
        look=secrets_provider,
        commands=_CHANGING,
    ),
    Check(
        name="subscription in the file",
        why="names are made from it",
        look=configured_subscription,
        commands=_PLANNING,
    ),
    Check(name="way", why="who makes identities and where images come from", look=way, commands=_CHANGING),
    Check(name="workflow's sign-in", why="it signs in without a secret", look=workflow, commands=EVERY),
    Check(name="sign-in", why="the checks below ask Azure", look=signed_in, commands=EVERY),
    Check(
        name="subscription",
        why="the state's resources are there",
        look=subscription,
        commands=EVERY,
    ),
    Check(
        name="resource providers",
        why="Azure makes nothing of one that is not registered",
        look=providers,
        commands=_CHANGING,
    ),
    Check(
        name="quota",
        why="a region takes so many environments",
        look=environments,
        commands=_CHANGING,
    ),
    Check(
        name="database offer",
        why="not each region offers each size to everybody",
        look=database,
        commands=_CHANGING,
    ),
    Check(
        name="global names",
        why="one for the whole of Azure",
        look=names,
        commands=_CHANGING,
    ),
    Check(
        name="rights",
        why="an up without them stops in the middle",
        look=rights,
        commands=_CHANGING,
    ),
)


def made(facts: Facts, command: Command | None = None) -> list[tuple[Check, Finding]]:
    """Return each check that a command needs, or all, with what it found."""
    return [(check, check.made(facts)) for check in CHECKS if command is None or command in check.commands]
