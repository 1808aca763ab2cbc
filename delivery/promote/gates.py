"""The gates that a release passes on its way into a stack's file.

Each gate is a pure function of gathered facts. `promote` runs them, and so can whatever looks at a promotion again. A
fact that nobody could gather is Unknown, which stops like a bad one, until a person accepts the gate by its id.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from components.mlflow import runtime_contract
from delivery.preview.text import Code, Part, Phrase, count, listed
from delivery.promote import history
from delivery.promote.history import Update
from delivery.promote.release import REVISION_LABEL, Release
from mlflow_runtime.schema import history as schemas
from mlflow_runtime.schema.comparison import Comparison, Direction
from mlflow_runtime.schema.versions import LABEL as MLFLOW_LABEL

NO_WAY_BACK: Final = "no-way-back"
"""What a person accepts of a schema on which the older code does not run."""

RESTORE: Final = "docs/upgrades.md#back-to-the-restore-point"


class Change(enum.StrEnum):
    """What a promotion is: an image's first stack, from stack to stack, or back to the release before."""

    FIRST = "first"
    PROMOTION = "promotion"
    ROLLBACK = "rollback"


class State(enum.StrEnum):
    """How a gate was passed, or that it was not."""

    PASSED = "passed"
    ACCEPTED = "accepted"
    SKIPPED = "skipped"
    UNKNOWN = "not checked"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Unknown:
    """A fact that could not be gathered, and why."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the gates look at. `source` is the stack that the release comes from, empty for an image's document.

    `previous` is the release in the target's file now. `ancestry` has what is wrong with the commit on the main line.
    `builds` counts the builds that have the digest, 0 if another one has not. `refusals` are the reasons for
    which a preview of the target with the edited file is refused, `problems` those of its settings.
    """

    change: Change
    source: str
    target: str
    release: Release
    previous: Release | None
    now: datetime
    soak: timedelta
    problems: Sequence[str]
    refusals: Sequence[str]
    updates: Sequence[Update] | Unknown
    pending: Sequence[str] | Unknown
    smoke: bool | Unknown
    alerts: Sequence[str] | Unknown
    drift: Mapping[str, Sequence[str] | Unknown]
    labels: Mapping[str, str] | Unknown
    ancestry: Sequence[str] | Unknown
    builds: int | Unknown
    in_registry: bool | Unknown
    schema: Comparison | Unknown | None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a gate found: `remedy` says what to do where it stops, `accept` the word by which a person takes it on.

    `waits` is whether it opens by itself in the usual course of things, with time or the next deployment.
    """

    state: State
    found: Phrase
    remedy: Phrase = ()
    accept: str = ""
    waits: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A gate with what it found, as it counts here. `word` is what a person accepts, or accepted, of it."""

    gate: str
    state: State
    found: Phrase
    remedy: Phrase
    word: str = ""
    waits: bool = False

    @property
    def stops(self) -> bool:
        return self.state in (State.UNKNOWN, State.STOPPED)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One gate: the changes that it looks at, and whether an emergency goes past it."""

    id: str
    check: Callable[[Facts], Finding]
    changes: frozenset[Change] = frozenset(Change)
    skipped_in_emergency: bool = False


def judge(facts: Facts, *, accepted: Iterable[str] = (), emergency: bool = False) -> list[Outcome]:
    """Return what every gate says of a change, in their order."""
    words = frozenset(accepted)
    return [_outcome(gate, facts, words, emergency=emergency) for gate in GATES if facts.change in gate.changes]


def acceptable() -> list[str]:
    """Return the words that a person may accept: the gates whose facts may be out of reach, and no way back."""
    return sorted([*(gate.id for gate in GATES if gate.id not in _ALWAYS_KNOWN), NO_WAY_BACK])


def _outcome(gate: Gate, facts: Facts, accepted: frozenset[str], *, emergency: bool) -> Outcome:
    if emergency and gate.skipped_in_emergency:
        return Outcome(gate=gate.id, state=State.SKIPPED, found=["emergency"], remedy=())
    finding = gate.check(facts)
    word = finding.accept or (gate.id if finding.state is State.UNKNOWN else "")
    if word and word in accepted:
        return Outcome(gate=gate.id, state=State.ACCEPTED, found=finding.found, remedy=(), word=word)
    remedy = finding.remedy
    if word:
        flag: Sequence[Part] = ["take it on you with ", Code(f"--accepts {word}")]
        remedy = [*remedy, ", or ", *flag] if remedy else flag
    return Outcome(
        gate=gate.id, state=finding.state, found=finding.found, remedy=remedy, word=word, waits=finding.waits
    )


def _passed(*found: Part) -> Finding:
    return Finding(state=State.PASSED, found=found)


def _stopped(found: Phrase, *remedy: Part, accept: str = "", waits: bool = False) -> Finding:
    return Finding(state=State.STOPPED, found=found, remedy=remedy, accept=accept, waits=waits)


def _unknown(fact: Unknown, *remedy: Part) -> Finding:
    return Finding(state=State.UNKNOWN, found=[Code(fact.why)], remedy=remedy)


def _applied(facts: Facts) -> Finding:
    """The last update of the source succeeded, and is of this release."""
    stack = facts.source
    if isinstance(facts.updates, Unknown):
        return _unknown(facts.updates, "run ", Code(f"pulumi stack history -s {stack}"), " where you are signed in")
    up: Phrase = [Code(f"pulumi up -s {stack}"), ", and wait for the soak time"]
    if not facts.updates:
        return _stopped([f"{stack} was never updated"], *up, waits=True)
    last = facts.updates[0]
    if not last.succeeded:
        return _stopped([f"the last {last.kind or 'update'} of {stack} ended as {last.result or 'unknown'}"], *up)
    if last.release is None or last.release.digest != facts.release.digest:
        runs = f"release {last.release.short}" if last.release else "no image"
        return _stopped([f"{stack} runs {runs}, its file names {facts.release.short}"], *up, waits=True)
    return _passed(f"{stack} runs {facts.release.short}")


def _clean(facts: Facts) -> Finding:
    """The last update of the source was made from a commit, without a changed file."""
    if isinstance(facts.updates, Unknown):
        return _unknown(facts.updates)
    if not facts.updates:
        return _stopped([f"{facts.source} was never updated"], Code(f"pulumi up -s {facts.source}"), waits=True)
    last = facts.updates[0]
    if last.clean and last.commit:
        return _passed("from commit ", Code(last.commit[:12]))
    what = "from files that differ from their commit" if last.commit else "from files of no commit"
    return _stopped(
        [f"{facts.source} was updated {what}"], "commit the changes, then ", Code(f"pulumi up -s {facts.source}")
    )


def _pending(facts: Facts) -> Finding:
    """No update of the source, or of the target of a rollback, left anything unfinished."""
    stack = facts.source or facts.target
    if isinstance(facts.pending, Unknown):
        return _unknown(facts.pending)
    if facts.pending:
        return _stopped(
            [f"{stack} has unfinished operations: ", *listed(facts.pending)], Code(f"mlflow-platform recover {stack}")
        )
    return _passed("nothing is unfinished")


def _smoke(facts: Facts) -> Finding:
    if isinstance(facts.smoke, Unknown):
        return _unknown(facts.smoke, "run ", Code("mlflow-platform smoke URL"), " inside the network")
    if not facts.smoke:
        return _stopped([f"the smoke test of {facts.source} failed"], "solve what it says, then run it again")
    return _passed("the smoke test passed")


def _soak(facts: Facts) -> Finding:
    if isinstance(facts.updates, Unknown):
        return _unknown(facts.updates)
    since = history.running_since(facts.updates, facts.release)
    if since is None:
        return _stopped([f"{facts.source} does not run the release"], Code(f"pulumi up -s {facts.source}"), waits=True)
    ran = facts.now - since
    if ran < facts.soak:
        return _stopped(
            [f"the release runs in {facts.source} for {_hours(ran)} of {_hours(facts.soak)}"],
            f"wait until {(since + facts.soak).isoformat(timespec='minutes')}",
            waits=True,
        )
    return _passed(f"runs for {_hours(ran)}, {_hours(facts.soak)} are asked for")


def _alerts(facts: Facts) -> Finding:
    if isinstance(facts.alerts, Unknown):
        return _unknown(facts.alerts, f"look at the alerts of {facts.source} since the update")
    if facts.alerts:
        return _stopped(
            [f"{count(len(facts.alerts), 'alert')} fired in {facts.source}: ", *listed(facts.alerts)],
            "find out why, and promote a release without the fault",
        )
    return _passed("no alert fired")


def _drift(facts: Facts) -> Finding:
    """In neither stack somebody changed on Azure what endangers data or security."""
    unknown = [fact for fact in facts.drift.values() if isinstance(fact, Unknown)]
    drifted = {stack: fact for stack, fact in facts.drift.items() if not isinstance(fact, Unknown) and fact}
    if drifted:
        stack, differences = next(iter(drifted.items()))
        return _stopped(
            [f"{stack} differs on Azure: ", *listed(differences)],
            "decide on each with ",
            Code(f"mlflow-platform drift {stack}"),
        )
    if unknown:
        return _unknown(unknown[0], "run ", Code(f"mlflow-platform drift {facts.target}"), " for each stack")
    return _passed(f"in {' and '.join(facts.drift)} no data and no security is at stake")


def _label(facts: Facts) -> Finding:
    """The image's own labels say what the stack's file says, and the schema is that of its MLflow."""
    if another := _another_schema(facts.release):
        return _stopped([another], "promote the release whose schema and MLflow belong together")
    if isinstance(facts.labels, Unknown):
        return _unknown(facts.labels, "give the document of the build with ", Code("--image .local/image/image.json"))
    release = facts.release
    said = {REVISION_LABEL: release.commit, MLFLOW_LABEL: release.mlflow, runtime_contract.LABEL: str(release.contract)}
    wrong = [label for label, value in said.items() if facts.labels.get(label) != value]
    if wrong:
        found: list[Part] = []
        for label in wrong:
            found += [
                ", " if found else "",
                f"{label} is ",
                Code(facts.labels.get(label, "")),
                " not ",
                Code(said[label]),
            ]
        return _stopped(found, "promote the release whose commit and digest belong together")
    return _passed("commit, MLflow and contract are the labels of the image")


def _another_schema(release: Release) -> str:
    try:
        needed = schemas.known().head_of(release.mlflow)
    except schemas.UnknownVersionError as error:
        return str(error)
    return "" if needed == release.schema else f"MLflow {release.mlflow} needs schema {needed}, not {release.schema}"


def _ancestry(facts: Facts) -> Finding:
    if isinstance(facts.ancestry, Unknown):
        return _unknown(facts.ancestry)
    if facts.ancestry:
        return _stopped(
            [Code("; ".join(facts.ancestry))], "build the image from a commit of the main line that is newer"
        )
    return _passed("the commit is on the main line, and not behind the target's")


def _provenance(facts: Facts) -> Finding:
    if isinstance(facts.builds, Unknown):
        return _unknown(
            facts.builds,
            "have the workflow ",
            Code("image"),
            " build the commit, or build it on another machine and give both documents with ",
            Code("--image"),
        )
    if not facts.builds:
        return _stopped(["another build of the commit has another digest"], Code("mlflow-platform image compare A B"))
    return _passed(f"{facts.builds} builds have the same digest")


def _registry(facts: Facts) -> Finding:
    if isinstance(facts.in_registry, Unknown):
        return _unknown(facts.in_registry, "look for the digest where the images of ", Code(facts.target), " come from")
    if not facts.in_registry:
        return _stopped(
            [f"the registry that the images of {facts.target} come from does not have the digest"],
            "push it with ",
            Code("mlflow-platform image push"),
        )
    return _passed("the registry that the images come from has the digest")


def _schema(facts: Facts) -> Finding:
    """The schema goes forward only, and without a way back only if a person accepts that."""
    compared = facts.schema
    if compared is None:
        return _passed("the target has no release yet")
    if isinstance(compared, Unknown):
        return _unknown(compared)
    if facts.change is Change.ROLLBACK:
        return _back(compared)
    match compared.direction:
        case Direction.NONE:
            return _passed("no migration; the way back is the old digest")
        case Direction.BACK:
            return _stopped(["the release needs an older schema than the target has"], "promote a newer release")
    if compared.older_code_runs:
        return _passed(f"{count(len(compared.migrations), 'migration')}; the way back is the old digest")
    return _stopped(
        [f"no way back by digest: {compared.old_head} does not run on schema {compared.new_head}"],
        f"the way back is the restore point, {RESTORE}",
        accept=NO_WAY_BACK,
    )


def _back(compared: Comparison) -> Finding:
    """Of a rollback the old code has to run on the schema that is there."""
    if compared.direction is Direction.BACK and not compared.older_code_runs:
        return _stopped(
            [f"the release before needs schema {compared.new_head}, and does not run on {compared.old_head}"],
            f"go back to the restore point with from_revision {compared.new_head}, {RESTORE}, or promote a newer "
            "release with the fault fixed",
        )
    return _passed("the release before runs on the schema that is there")


def _guardrails(facts: Facts) -> Finding:
    if not facts.problems:
        return _passed("the settings keep to them")
    return _stopped([*_joined(facts.problems)], f"change stacks/Pulumi.{facts.target}.yaml first, or the release")


def _preview(facts: Facts) -> Finding:
    if facts.refusals:
        return _stopped([*_joined(facts.refusals)], "change what is refused, then promote again")
    return _passed("the offline preview is not refused")


def _joined(texts: Sequence[str]) -> Iterator[Part]:
    for index, text in enumerate(texts):
        if index:
            yield "; "
        yield Code(text)


def _hours(time: timedelta) -> str:
    hours, minutes = divmod(int(time.total_seconds() // 60), 60)
    return f"{hours} h" + (f" {minutes} min" if minutes else "")


_FROM_A_STACK: Final = frozenset({Change.PROMOTION})
_FORWARD: Final = frozenset({Change.PROMOTION, Change.FIRST})

GATES: Final[Sequence[Gate]] = (
    Gate(id="applied", check=_applied, changes=_FROM_A_STACK),
    Gate(id="clean", check=_clean, changes=_FROM_A_STACK),
    Gate(id="pending", check=_pending, changes=frozenset({Change.PROMOTION, Change.ROLLBACK})),
    Gate(id="smoke", check=_smoke, changes=_FROM_A_STACK, skipped_in_emergency=True),
    Gate(id="soak", check=_soak, changes=_FROM_A_STACK, skipped_in_emergency=True),
    Gate(id="alerts", check=_alerts, changes=_FROM_A_STACK, skipped_in_emergency=True),
    Gate(id="drift", check=_drift, changes=_FORWARD),
    Gate(id="label", check=_label, changes=_FORWARD),
    Gate(id="ancestry", check=_ancestry, changes=_FORWARD),
    Gate(id="provenance", check=_provenance, changes=_FORWARD),
    Gate(id="registry", check=_registry),
    Gate(id="schema", check=_schema),
    Gate(id="guardrails", check=_guardrails),
    Gate(id="preview", check=_preview),
)

_ALWAYS_KNOWN: Final = frozenset({"guardrails", "preview"})
