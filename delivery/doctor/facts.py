"""What the checks look at: gathered from the checkout, the environment, the engine and Azure, and never changed.

A fact that could not be had is Missing, with the reason; it keeps no other from being gathered.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from components.azure.arm import endpoint
from components.azure.image_source import ImageSource
from delivery.doctor import registration, state_account
from delivery.doctor.azure import Azure, signed_in
from delivery.doctor.github import API, GitHub, ask
from delivery.doctor.missing import Missing
from delivery.doctor.registration import Registration
from delivery.doctor.state_account import StateAccount
from delivery.image.registry import Place
from delivery.outcome import CommandError
from delivery.promote import images
from delivery.promote.gates import Unknown
from delivery.pulumi.engine import state_url, version
from delivery.pulumi.project import own_values, stack_document
from delivery.recover import state as states
from delivery.recover.engine import Engine, State
from delivery.recover.recovery import reason
from delivery.repository import Repository
from delivery.stacks import stacks
from infra.settings.encryption import encrypted
from infra.settings.model import Settings, parse
from infra.settings.problems import Problem, SettingsError
from tools.pulumi.kinds import FILES, parse_version, pinned_version
from tools.steps import ToolError

T = TypeVar("T")

LOCK_FILE: Final = "requirements.txt"
_LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
_PROJECT: Final = "mlflow-platform"
_SUBSCRIPTION: Final = "azure-native:subscriptionId"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that the checks look at. `file` is the stack's file; `packages` has what is installed of the lock file.

    `problems` has all that the program refuses in the stack's settings, which are missing then. `ranges` has the
    network of each stack whose settings can be read, `changed` the files that differ from the commit. `administrators`
    is the group that the bootstrap stack of this one names.
    """

    stack: str
    environ: Mapping[str, str]
    pinned: str
    engine: str | Missing
    companions: Sequence[str]
    locked: Mapping[str, str]
    packages: Mapping[str, str]
    changed: Sequence[str] | Missing
    file: Mapping[str, Any] | Missing
    settings: Settings | Missing
    problems: Sequence[Problem]
    ranges: Mapping[str, str]
    backend: str | Missing
    state: State | Missing
    lock: str | Missing | None
    azure: Azure | Missing
    github: GitHub | Missing
    registry: Registry | Missing
    state_account: StateAccount | Missing
    administrators: str | Missing
    registration: Registration | Missing


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Where the stack's image comes from, and whether its digest is there."""

    place: str
    has_image: bool


def gather(engine: Engine, *, azure: bool = True) -> Facts:
    """Gather the facts of a stack. Without `azure` nothing is asked there."""
    repository, environ, stack = engine.repository, engine.environment, engine.stack
    locked = dict(_LOCKED.findall((repository / LOCK_FILE).read_text()))
    file = _had(lambda: stack_document(repository, stack))
    settings: Settings | Missing = Missing("the stack's settings cannot be used")
    problems: Sequence[Problem] = ()
    try:
        settings = file if isinstance(file, Missing) else settings_of(file, stack)
    except SettingsError as error:
        problems = error.problems
    backend = _had(lambda: state_url(engine.pulumi))
    state = backend if isinstance(backend, Missing) else _had(engine.state)
    found = _azure(stack, file, settings, state, environ) if azure else Missing("not asked for")
    return Facts(
        stack=stack,
        environ=environ,
        pinned=pinned_version(),
        engine=_had(lambda: version(engine.pulumi)),
        companions=[name for name in FILES if shutil.which(name, path=environ.get("PATH"))],
        locked=locked,
        packages=_installed(locked),
        changed=_had(lambda: Repository(repository).changed()),
        file=file,
        settings=settings,
        problems=problems,
        ranges=_ranges(repository),
        backend=backend,
        state=state,
        lock=state if isinstance(state, Missing) else _had(engine.lock),
        azure=found,
        github=_github(stack, settings, environ) if azure else Missing("not asked for"),
        registry=_registry(settings, state) if azure else Missing("not asked for"),
        state_account=_state_account(found, backend, environ),
        administrators=_administrators(repository, file),
        registration=_registration(settings) if azure else Missing("not asked for"),
    )


def settings_of(file: Mapping[str, Any], stack: str) -> Settings:
    """Return what a stack's file configures. Raises SettingsError with every problem, as the program does."""
    values = own_values(file, _PROJECT)
    secrets = [found for key, value in values.items() for found in encrypted(value, key)]
    return parse(values, stack, secrets=secrets)


def newer(first: str, second: str) -> bool:
    """Whether a version is newer than another one; one that cannot be read is not."""
    return (parse_version(first) or (0, 0, 0)) > (parse_version(second) or (0, 0, 0))


def _ranges(repository: Path) -> dict[str, str]:
    found = {}
    for stack in stacks(repository):
        settings = _had(lambda stack=stack: settings_of(stack_document(repository, stack), stack))  # type: ignore[misc]
        if isinstance(settings, Settings) and settings.azure is not None:
            found[stack] = settings.azure.network.cidr
    return found


def _installed(locked: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name in locked:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _azure(
    stack: str,
    file: Mapping[str, Any] | Missing,
    settings: Settings | Missing,
    state: State | Missing,
    environ: Mapping[str, str],
) -> Azure | Missing:
    if not isinstance(settings, Settings) or settings.azure is None or isinstance(file, Missing):
        return Missing("the stack's settings cannot be used")
    configured = (file.get("config") or {}).get(_SUBSCRIPTION)
    known = None if isinstance(state, Missing) else states.subscription(state, environ)
    first = isinstance(state, Missing) or not states.known(state)
    return signed_in(
        stack,
        settings.azure,
        settings.compute,
        subscription=str(known or configured or ""),
        first=first,
        environ=environ,
    )


def _state_account(
    azure: Azure | Missing, backend: str | Missing, environ: Mapping[str, str]
) -> StateAccount | Missing:
    if isinstance(azure, Missing):
        return azure
    if isinstance(backend, Missing):
        return backend
    return state_account.signed_in(endpoint(environ), azure.subscription, backend, environ)


def _administrators(repository: Path, file: Mapping[str, Any] | Missing) -> str | Missing:
    by = "" if isinstance(file, Missing) else str(own_values(file, _PROJECT).get("bootstrappedBy", ""))
    if not by:
        return Missing("no bootstrap stack has made the state")
    values = _had(lambda: own_values(stack_document(repository, by), _PROJECT))
    if isinstance(values, Missing):
        return values
    return str((values.get("bootstrap") or {}).get("administrators", ""))


def _registration(settings: Settings | Missing) -> Registration | Missing:
    chosen = settings.access.client_id if isinstance(settings, Settings) else None
    return Missing("the stack has no access control") if chosen is None else registration.signed_in(chosen)


def _registry(settings: Settings | Missing, state: State | Missing) -> Registry | Missing:
    """The source that the stack's file names, else the stack's own registry, which its state knows."""
    image = settings.azure.image if isinstance(settings, Settings) and settings.azure else None
    if image is None or image.digest is None:
        return Missing("the stack's file names no image")
    if image.source is not None:
        place = images.place(ImageSource.named(image.source, image.repository))
    else:
        host = Missing("") if isinstance(state, Missing) else states.output(state, "registry")
        if not isinstance(host, str) or not host:
            return Missing("the stack has no registry yet, and its file names no image.source")
        place = Place(host=host, path=image.repository)
    found = images.there(place, image.digest)
    return Missing(found.why) if isinstance(found, Unknown) else Registry(place=str(place), has_image=found)


def _github(stack: str, settings: Settings | Missing, environ: Mapping[str, str]) -> GitHub | Missing:
    """A stack that a bootstrap stack serves names no repository: a workflow's own is taken then."""
    named = settings.azure.github if isinstance(settings, Settings) and settings.azure else None
    repository = named.repository if named else environ.get("GITHUB_REPOSITORY", "")
    token = environ.get("GITHUB_TOKEN") or environ.get("GH_TOKEN", "")
    if not repository:
        return Missing("neither the stack's file nor GITHUB_REPOSITORY names a repository of GitHub")
    if not token:
        return Missing("nobody is signed in to GitHub: export GH_TOKEN, as `gh auth token` prints it")
    return ask(repository, token, stack, environ.get("GITHUB_API_URL") or API)


def _had(gather: Callable[[], T]) -> T | Missing:
    try:
        return gather()
    except (CommandError, ToolError, OSError, ValueError) as error:
        return Missing(reason(str(error)))
