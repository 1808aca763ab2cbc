"""From an approved plan to an applied one: everything is looked at first, and nothing is changed on a difference.

The order: lease, clean checkout, pinned engine, nothing pending, drift, preview, comparison, `up` with the plan of that
very preview, smoke, record. Until the `up` begins nothing was written, on Azure or in the state.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Final

from delivery.apply import conditions, record
from delivery.apply.approval import Approval
from delivery.apply.difference import Difference, cause, differences
from delivery.apply.lease import leased
from delivery.apply.record import Applied, Record, Smoke, SmokeResult
from delivery.apply.smoke import smoke
from delivery.outcome import CommandError, ExitCode
from delivery.preview.command import computed
from delivery.preview.plan import FLAGS, Plan
from delivery.preview.reasons import Verdict
from delivery.preview.report import Report, Source, report
from delivery.preview.text import Code, Phrase
from delivery.pulumi.engine import EngineError, state_url
from delivery.pulumi.project import project_name
from delivery.recover.engine import Engine
from delivery.repository import Repository

DriftCheck = Callable[[Engine], Sequence[str]]
"""Returns what differs on Azure and stops an `up`, a line each; none lets it go on."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a long command of the engine ended: its exit code, and the resources that it did not reach."""

    code: int
    unreached: Sequence[str] = ()


Run = Callable[..., Ran]
"""Runs a long command of the engine so that a person sees it: `run(what, *arguments)`."""

Say = Callable[[str], None]

_PLANS: Final = "mlflow-platform-plan-"
_WHO: Final = ("GITHUB_ACTOR", "BUILD_REQUESTEDFOREMAIL")
_NO_SMOKE: Final = Smoke(result=SmokeResult.NOT_RUN, reason="--no-smoke")
_FAILED: Final = Smoke(result=SmokeResult.NOT_RUN, reason="the update failed")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be applied to which stack. `url` is where the smoke program looks, the stack's own if empty."""

    engine: Engine
    approval: Approval
    smoke: bool = True
    url: str = ""
    drift: DriftCheck = lambda _: ()


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Nothing was changed: the plan as it is now is another one than the approved, or one that would be refused."""

    now: Report
    reason: Phrase
    differences: Sequence[Difference] = ()
    cause: Phrase = ()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The `up` ran to its end; `code` is the engine's exit code. `smoke` is what the smoke program found.

    Of one that failed `unreached` names the resources that it did not come to, and `interrupted` says whether something
    is unfinished, which has to be recovered before the next one.
    """

    now: Report
    record: Record
    code: int
    smoke: Smoke
    unreached: Sequence[str] = ()
    interrupted: bool = False

    @property
    def succeeded(self) -> bool:
        return self.code == 0


def apply(request: Request, run: Run, say: Say) -> Refused | Ended:
    """Apply the approved plan. Raises CommandError for what has to be put right first; nothing was changed then."""
    engine, stack = request.engine, request.engine.stack
    backend = state_url(engine.pulumi)
    project = project_name(engine.repository)
    who = whoever(engine.environment)
    holder = f"{who}, pid {os.getpid()}, since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    with (
        leased(backend, project, stack, holder=holder, environ=engine.environment) as lease,
        private_folder(f"{backend} {project} {stack}") as folder,
    ):
        commit = conditions.clean_commit(engine.repository)
        version = conditions.pinned_engine(engine)
        conditions.nothing_pending(engine)
        _refuse_drift(stack, request.drift(engine))
        say("Previewing")
        saved = folder / "plan.json"
        plan = computed(engine.run("preview", *FLAGS, "--save-plan", str(saved)), stack)
        now = report(plan, Source(head=Repository(engine.repository).head(), engine=version))
        last = record.last(engine.pulumi) if now.plan != request.approval.plan else None
        if last and _is_done(last, request.approval, now):
            say(f"Plan {last.record.plan} was applied {last.ended}, and nothing is left to change")
            return _smoked(request, now, last.record, say)
        if refused := _compared(request.approval, now, last):
            return refused
        applied = Record(
            stack=stack, plan=now.plan, commit=commit, image=_image(plan, project), engine=version, who=who
        )
        lease.check()
        say(f"Applying plan {now.plan}")
        try:
            ran = run(
                "Applying it", "up", "--yes", "--skip-preview", "--plan", str(saved), "--message", applied.message()
            )
        except KeyboardInterrupt:
            raise CommandError(_interrupted(stack), ExitCode.INTERRUPTED) from None
        saved.unlink()
        if ran.code != 0:
            left = _is_interrupted(engine)
            return Ended(
                now=now, record=applied, code=ran.code, smoke=_FAILED, unreached=ran.unreached, interrupted=left
            )
        return _smoked(request, now, applied, say)


def _is_interrupted(engine: Engine) -> bool:
    try:
        conditions.nothing_pending(engine)
    except CommandError:
        return True
    return False


def whoever(environ: Mapping[str, str]) -> str:
    """Return who applies: whoever started the workflow, else the user of this machine."""
    known = next((environ[name] for name in _WHO if environ.get(name)), "")
    return known or f"{getuser()}@{socket.gethostname()}"


@contextmanager
def private_folder(of: str) -> Iterator[Path]:
    """A folder for a saved plan, which holds values: nobody else can read it, and it is removed in the end.

    Those that a killed run for the same `of` left are removed first. Whoever calls this holds the lease of it.
    """
    prefix = f"{_PLANS}{hashlib.sha256(of.encode()).hexdigest()[:12]}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        yield Path(folder)


def _smoked(request: Request, now: Report, applied: Record, say: Say) -> Ended:
    """Run the smoke program after an `up` that ended well, and note what it found of it."""
    engine = request.engine
    found = smoke(request.url or _url(engine), asked=bool(request.url)) if request.smoke else _NO_SMOKE
    try:
        record.note(engine.pulumi, found)
    except EngineError as error:
        say(f"What the smoke program found is not in the record: {error}")
    return Ended(now=now, record=applied, code=0, smoke=found)


def _refuse_drift(stack: str, found: Sequence[str]) -> None:
    if found:
        lines = "\n".join(f"  - {one}" for one in found)
        raise CommandError(
            f"stack {stack}: got drift that has to be decided on first; nothing was changed:\n{lines}\n"
            f"Decide on each of them. Run: mlflow-platform drift {stack}"
        )


def _is_done(last: Applied, approved: Approval, now: Report) -> bool:
    """Whether the approved plan is what was applied last: by an `up` that was killed before it could say so."""
    return last.newest and last.record.plan == approved.plan and now.verdict is Verdict.NO_CHANGE


def _compared(approved: Approval, now: Report, last: Applied | None) -> Refused | None:
    """Why the plan as it is now is not applied; None if it is the approved one, and one that can be applied."""
    if now.verdict is Verdict.NOT_COMPUTED:
        return Refused(now=now, reason=["the plan could not be computed"])
    if approved.plan != now.plan:
        return Refused(
            now=now,
            reason=["the plan changed after its approval" if now.plan else "the program refuses the settings"],
            differences=differences(approved, now),
            cause=cause(approved, head=now.source.head, engine=now.source.engine, applied=_when(last, approved)),
        )
    if approved.engine and approved.engine != now.source.engine:
        return Refused(
            now=now, reason=["it was approved with engine ", Code(approved.engine), f", this is {now.source.engine}"]
        )
    if now.verdict >= Verdict.REFUSED:
        return Refused(now=now, reason=["its report refuses it: ", *now.title])
    return None


def _when(last: Applied | None, approved: Approval) -> str:
    return f"{last.ended}, by {last.record.who}" if last and last.record.plan == approved.plan else ""


def _image(plan: Plan, project: str) -> str:
    try:
        return str(json.loads(plan.config.get(f"{project}:image", "{}")).get("digest", ""))
    except ValueError:
        return ""


def _url(engine: Engine) -> str:
    found = engine.run("stack", "output", "url")
    return found.out.strip() if found.code == 0 else ""


def _interrupted(stack: str) -> str:
    return (
        f"Interrupted: what was done is in the state, and the rest is a plan of its own. Run: mlflow-platform preview "
        f"{stack}"
    )
