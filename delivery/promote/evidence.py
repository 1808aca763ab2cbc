"""Where the facts come from that git does not have: the engine, Azure, a registry, and an offline preview.

A fact that this machine cannot know is Unknown, with the reason: it stops the promotion until a person accepts it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from components.azure.arm import Arm, ArmError
from components.azure.image_source import ImageSource
from delivery.apply import record
from delivery.apply.record import SmokeResult
from delivery.doctor.facts import settings_of
from delivery.drift.check import blocking
from delivery.image.registry import Place
from delivery.outcome import CommandError
from delivery.preview import base
from delivery.preview.command import planned
from delivery.preview.report import Report, Source, report
from delivery.promote import alerts, history, images
from delivery.promote.gates import Unknown
from delivery.promote.history import Update
from delivery.promote.release import REVISION_LABEL, Build, Release
from delivery.pulumi.engine import Engine, EngineError, users_engine
from delivery.pulumi.project import stack_document
from delivery.recover import state as states
from delivery.stacks import stacks
from delivery.terminal import say
from infra.settings.problems import SettingsError

T = TypeVar("T")

_PAGE: Final = "--page-size=200"
_FEWEST_BUILDS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a preview of the target is made of: the stack, the commit of the program, and the file in its new form."""

    stack: str
    commit: str
    path: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One function for each kind of fact. `alerts` returns those that fired in a stack since a time."""

    updates: Callable[[str], Sequence[Update] | Unknown]
    pending: Callable[[str], Sequence[str] | Unknown]
    preview: Callable[[Preview], Report]
    labels: Callable[[str], Mapping[str, str] | Unknown]
    builds: Callable[[Release], int | Unknown]
    smoke: Callable[[str, Update], bool | Unknown]
    alerts: Callable[[str, datetime], Sequence[str] | Unknown]
    drift: Callable[[str], Sequence[str] | Unknown]
    in_registry: Callable[[str, str], bool | Unknown]


def gathered(repository: Path, project: str, builds: Sequence[Build], target: str = "") -> Evidence:
    """Return the evidence that this machine can have: by the engine and by Azure, as the user is signed in.

    What no document of `builds` says of an image, its registry does: the one that the target's file names.
    """
    return Evidence(
        updates=lambda stack: _updates(_engine(repository, stack), project),
        pending=lambda stack: _pending(_engine(repository, stack)),
        preview=lambda wanted: _previewed(repository, wanted),
        labels=lambda digest: _or(_labels(builds, digest), lambda: images.labels(_place(repository, target), digest)),
        builds=lambda of: _or(
            _builds(builds, of.digest),
            lambda: images.attested(_place(repository, target), of.digest, os.environ, commit=of.commit),
        ),
        smoke=lambda stack, update: _smoke(_engine(repository, stack), stack, update),
        alerts=lambda stack, since: _alerts(_engine(repository, stack), since),
        drift=lambda stack: _drift(_engine(repository, stack), stack),
        in_registry=lambda stack, digest: images.there(_place(repository, stack), digest),
    )


def _or(found: T | None, otherwise: Callable[[], T | Unknown]) -> T | Unknown:
    return otherwise() if found is None else found


def _engine(repository: Path, stack: str) -> Engine:
    engine = users_engine(stack, repository)
    url = environ_backend(engine.environment, stack, stacks(repository))
    return replace(engine, environment={**engine.environment, "PULUMI_BACKEND_URL": url}) if url else engine


def environ_backend(environment: Mapping[str, str], stack: str, every: Iterable[str]) -> str:
    """Return where a stack's state is: each has a container of its own, and PULUMI_BACKEND_URL names one stack's.

    Empty where the variable is not set; as it is where the container is no stack's.
    """
    url = environment.get("PULUMI_BACKEND_URL", "")
    found = re.fullmatch(r"azblob://(?P<before>pulumi-|)(?P<stack>[a-z0-9-]+?)(?P<after>[/?].*|)", url)
    if found is None or found["stack"] not in every:
        return url
    return f"azblob://{found['before']}{stack}{found['after']}"


def _updates(engine: Engine, project: str) -> Sequence[Update] | Unknown:
    answer = _asked(engine, "stack", "history", "--json", _PAGE)
    return answer if isinstance(answer, Unknown) else history.read(answer, project)


def _smoke(engine: Engine, stack: str, update: Update) -> bool | Unknown:
    """What the smoke program found after an update, as `up` has recorded it."""
    try:
        applied = record.last(engine)
    except EngineError as error:
        return Unknown(str(error).splitlines()[0])
    if applied is None or applied.smoke is None or update.message != applied.record.message():
        return Unknown(f"no record of a smoke test of {stack}")
    if applied.smoke.result is SmokeResult.NOT_RUN:
        return Unknown(f"the smoke test of {stack} was not run: {applied.smoke.reason}")
    return applied.smoke.result is SmokeResult.PASSED


def _pending(engine: Engine) -> Sequence[str] | Unknown:
    answer = _asked(engine, "stack", "export")
    return answer if isinstance(answer, Unknown) else history.pending(answer)


def _alerts(engine: Engine, since: datetime) -> Sequence[str] | Unknown:
    outputs, state = _asked(engine, "stack", "output", "--json"), _asked(engine, "stack", "export")
    for answer in (outputs, state):
        if isinstance(answer, Unknown):
            return answer
    subscription, group = states.subscription(state, engine.environment), outputs.get("resource_group")
    if not (subscription and group):
        return Unknown("the stack's state names no subscription and no resource group")
    try:
        arm = Arm(api_version=alerts.API_VERSION, patience=alerts.PATIENCE_SECONDS)
        return alerts.fired(arm, subscription, str(group), since, datetime.now(UTC))
    except ArmError as error:
        return Unknown(str(error).splitlines()[0])


def _place(repository: Path, stack: str) -> Place | Unknown:
    """Where a stack's image comes from: what its file names, else the stack's own registry."""
    try:
        found = settings_of(stack_document(repository, stack), stack).azure
    except (CommandError, SettingsError) as error:
        return Unknown(str(error).splitlines()[0])
    if found is None:
        return Unknown(f"stack {stack} is not on Azure")
    if found.image.source is not None:
        return images.place(ImageSource.named(found.image.source, found.image.repository))
    outputs = _asked(_engine(repository, stack), "stack", "output", "--json")
    if isinstance(outputs, Unknown):
        return outputs
    if not outputs.get("registry"):
        return Unknown(f"stack {stack} has no registry yet, and its file names no image.source")
    return Place(host=str(outputs["registry"]), path=found.image.repository)


def _drift(engine: Engine, stack: str) -> Sequence[str] | Unknown:
    try:
        return blocking(engine, stack)
    except CommandError as error:
        return Unknown(str(error).splitlines()[0])


def _asked(engine: Engine, *arguments: str) -> Any:
    """The engine's JSON, or Unknown with the first line of what it says."""
    answer = engine.run(*arguments)
    if answer.code == 0:
        return json.loads(answer.out)
    line = next((line for line in answer.text.splitlines() if line.strip()), f"exit code {answer.code}")
    return Unknown(f"pulumi {' '.join(arguments[:2])}: {line.removeprefix('error: ')}")


def _previewed(repository: Path, wanted: Preview) -> Report:
    """The report of the edited file, over what the commit's own file brings up.

    A commit whose own file the program refuses, as after a new contract, is no base: then everything is new.
    """
    with base.checked_out(repository, wanted.commit) as old, base.checked_out(repository, wanted.commit) as new:
        (new / wanted.path).write_bytes(wanted.content)
        against = wanted.commit[:12]
        try:
            plan = planned(wanted.stack, new, old=old, against=against)
        except CommandError:
            say(f"{against} cannot be brought up offline: the preview shows everything as new.", sys.stderr)
            against = "an empty subscription"
            plan = planned(wanted.stack, new, old=None, against=against)
    return report(plan, Source(against=against, offline=True))


def _labels(builds: Sequence[Build], digest: str) -> Mapping[str, str] | None:
    return next((one.labels for one in builds if one.digest == digest), None)


def _builds(builds: Sequence[Build], digest: str) -> int | None:
    """How many of the given builds have the digest, 0 where one of the same commit has another.

    None if they are too few: builds of other commits say nothing, and neither do images without a build's number, such
    as a registry's.
    """
    commits = {one.labels.get(REVISION_LABEL) for one in builds if one.digest == digest}
    of_commit = [one for one in builds if one.labels.get(REVISION_LABEL) in commits]
    if any(one.digest != digest for one in of_commit):
        return 0
    numbers = {one.number for one in of_commit if one.number}
    return len(numbers) if len(numbers) >= _FEWEST_BUILDS else None
