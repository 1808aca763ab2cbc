"""Where the state is, who works on it, and what earlier updates have left in it."""

from __future__ import annotations

from typing import Final

from delivery.doctor.checks.check import Finding, failed, ok, some, warning
from delivery.doctor.facts import Facts, newer
from delivery.doctor.missing import Missing, known
from delivery.doctor.state_account import WRITE
from delivery.pulumi.lock import living
from delivery.recover import state as states
from infra.naming import Names

_AZURE_NATIVE: Final = "pulumi-azure-native"


def backend(facts: Facts) -> Finding:
    login = f"pulumi login azblob://{_container(facts)}"
    if isinstance(facts.backend, Missing):
        return failed(facts.backend.reason, login)
    url = facts.backend
    if url.startswith("azblob://"):
        return ok(url)
    if url.startswith("file://"):
        return warning(f"{url}: on this machine alone, for trying", login)
    return failed(f"{url}: there is no lease beside it", login)


def _container(facts: Facts) -> str:
    """The container of the stack's state, as a bootstrap stack or docs/azure.md's simple way names it."""
    config = {} if isinstance(facts.file, Missing) else facts.file.get("config") or {}
    return f"pulumi-{facts.stack}" if config.get("mlflow-platform:bootstrappedBy") else facts.stack


def state_is_there(facts: Facts) -> Finding:
    known(facts.backend)
    if isinstance(facts.state, Missing):
        return failed(
            facts.state.reason,
            f"pulumi stack init {facts.stack} "
            f"--secrets-provider azurekeyvault://VAULT.vault.azure.net/keys/pulumi-{facts.stack}",
        )
    return ok("can be read")


def lock(facts: Facts) -> Finding:
    held = known(facts.lock)
    if not held:
        return ok("free")
    if pid := living(held):
        return failed(f"`pulumi` with pid {pid} works on it on this machine; wait until it has ended")
    return failed(f"{held}; if nothing works on it any more, recover", f"mlflow-platform recover {facts.stack}")


def operations(facts: Facts) -> Finding:
    found = [f"{one.operation} {one.name}" for one in states.pending(known(facts.state))]
    if found:
        return failed(f"{some(found)} interrupted", f"mlflow-platform recover {facts.stack}")
    return ok("no operation was interrupted")


def deletions(facts: Facts) -> Finding:
    resources = (known(facts.state).get("deployment") or {}).get("resources") or ()
    found = [str(one["urn"]).rpartition("::")[2] for one in resources if one.get("delete")]
    if found:
        return warning(
            f"{some(found)} left to delete by a failed update; the next one tries it again",
            f"mlflow-platform preview {facts.stack}",
        )
    return ok("none is left over")


def keys_of_the_account(facts: Facts) -> Finding:
    account = known(facts.state_account)
    if account.shared_keys:
        return failed(
            "keys of the account open every state, and no log says who had them",
            f"az storage account update --ids {account.id} --allow-shared-key-access false",
        )
    return ok("off")


def writers(facts: Facts) -> Finding:
    """The bootstrap stack lets the administrators and the stack's own deploy identity write the state, nobody else."""
    account = known(facts.state_account)
    if isinstance(facts.administrators, Missing):
        listed = [f"{one.role} {one.principal}" for one in account.assignments]
        return ok(f"{some(listed) or 'nobody'}, on the container or above it: {facts.administrators.reason}")
    deploy = account.identities.get(Names(stack=facts.stack, suffix="aaaaa").delivery_identity("deploy"), "")
    expected = {principal.lower() for principal in (facts.administrators, deploy) if principal}
    others = [
        one for one in account.assignments if one.role not in WRITE.values() or one.principal.lower() not in expected
    ]
    if others:
        words = some([f"{one.kind or 'somebody'} {one.principal} as {one.role}" for one in others])
        return failed(
            f"{words}; expected the administrators and the deploy identity alone",
            *(f"az role assignment delete --ids {one.id}" for one in others),
        )
    return ok("the administrators and the deploy identity alone")


def writer(facts: Facts) -> Finding:
    manifest = (known(facts.state).get("deployment") or {}).get("manifest") or {}
    wrote, own = str(manifest.get("version", "")).removeprefix("v"), known(facts.engine)
    if newer(wrote, own):
        return failed(f"the state was written by engine {wrote}, this is {own}", "git pull --ff-only && make engine")
    return ok(f"written by engine {wrote}" if wrote else "empty")


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
        return failed(f"the state is of {some(later)}, the lock file of {locked}", "git pull --ff-only && make venv")
    return ok(f"{locked}, not older than in the state")
