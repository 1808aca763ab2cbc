"""`mlflow-platform drift`: what differs on Azure from what the program made, and the way back."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from delivery.apply import record
from delivery.apply.applying import whoever
from delivery.apply.record import Record
from delivery.drift.activity import with_callers
from delivery.drift.check import check
from delivery.drift.lines import Drift
from delivery.drift.report import document, text
from delivery.drift.ways_out import ways_out
from delivery.outcome import CommandError, ExitCode
from delivery.preview.command import computed
from delivery.preview.plan import FLAGS, Op
from delivery.pulumi.engine import Engine, users_engine, version
from delivery.pulumi.installation import REPOSITORY
from delivery.pulumi.project import own_values, project_name, stack_document
from delivery.repository import GitError, Repository
from delivery.stacks import on_azure, refuse
from delivery.terminal import confirmed as asked
from delivery.terminal import say
from infra.settings import secret_texts


def drift(
    stack: Annotated[
        list[str] | None, typer.Argument(metavar="[STACK]...", help="Stacks of stacks/; without one, all on Azure.")
    ] = None,
    again: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="Look a second time after a pause; only what both see counts."),
    ] = 0,
    revert: Annotated[
        list[str] | None,
        typer.Option(metavar="RESOURCE", help="Make this resource on Azure what the program says; may be repeated."),
    ] = None,
    reason: Annotated[
        str, typer.Option(metavar="REASON", help="With --revert: why. It is in the stack's history, with who did it.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="With --revert: do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the document to a file too, for `report --issues`.")
    ] = None,
) -> int:
    """Show what differs on Azure from what the program made there.

    Nothing is changed, on Azure or in the state, except by --revert. It fails where something differs. Each line has
    who changed the resource last, by Azure's activity log, and both ways out: a command that makes Azure what the
    program says, and the setting that keeps what Azure has. Not seen is what the program never made, such as a role
    that somebody granted by hand.

    Example: mlflow-platform drift prod --again 60
    """
    names = stack or on_azure()
    for name in names:
        refuse(name)
    if revert:
        if len(names) != 1:
            raise CommandError(
                f"--revert: got {', '.join(names)}; expected one stack. "
                f"Run: mlflow-platform drift {names[0]} --revert {revert[0]}",
                ExitCode.USAGE,
            )
        return bring_back(users_engine(names[0]), names[0], revert, reason=reason, confirmed=yes)
    for option, given in {"--reason": reason, "--yes": yes}.items():
        if given:
            raise CommandError(
                f"{option}: got it without --revert; expected both, since nothing is changed otherwise. "
                f"Run: {' '.join(['mlflow-platform drift', *names])}",
                ExitCode.USAGE,
            )
    return show(names, again=again, as_json=as_json, save=save)


def show(names: Sequence[str], *, again: float, as_json: bool, save: Path | None = None) -> int:
    """Print the drift of each stack; return the exit code."""
    drifts = [with_callers(check(users_engine(name), name, again=again)) for name in names]
    found = [(one, ways_out(one, configuration(one.stack))) for one in drifts]
    printed = json.dumps([document(one, out) for one, out in found], indent=2)
    if save is not None:
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_text(printed)
    if as_json:
        say(printed)
    else:
        say("\n\n".join(text(one, out) for one, out in found))
    return ExitCode.FAILED if any(one.lines for one, _ in found) else ExitCode.DONE


def bring_back(
    engine: Engine, stack: str, resources: Sequence[str], *, reason: str = "", confirmed: bool = False
) -> int:
    """Make resources on Azure what the program says, and nothing else. Raises CommandError for one without drift.

    The stack's history then has who did it, by which checkout, and the reason: it is no plan that somebody
    approved.
    """
    if secret_texts.in_words(reason, engine.environment):
        raise CommandError(
            "--reason: got a text with a secret, or with `$(`, which a pipeline replaces by a value of its own; "
            "expected plain words, since they are in the stack's history. Nothing was changed. If a secret was in it, "
            "revoke it; then the same again without it.",
            ExitCode.USAGE,
        )
    found = check(engine, stack)
    targets = [_urn(found, name) for name in resources]
    _refuse_unapplied(engine, stack, targets)
    arguments = [part for urn in targets for part in ("--target", urn)]
    if engine.show("preview", "--refresh", "--diff", *arguments) != 0:
        raise CommandError("--revert: the engine could not plan it; its message is above. Nothing was changed.")
    if not confirmed:
        question = f"Make {', '.join(resources)} of {stack} what the program says?"
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Not asked: there is no terminal. --yes goes ahead.", ExitCode.USAGE)
        if not asked(question):
            say("Nothing was changed.")
            return ExitCode.FAILED
    message = _record(engine, stack, resources, reason).message()
    return engine.show("up", "--refresh", "--yes", "--skip-preview", "--message", message, *arguments)


def _record(engine: Engine, stack: str, resources: Sequence[str], reason: str) -> Record:
    # Commands on the state take no other option, such as a stack's file.
    last = record.last(replace(engine, options=("--stack", stack)))
    return Record(
        stack=stack,
        plan="",
        commit=last.record.commit if last else "",
        image=last.record.image if last else "",
        engine=version(engine),
        who=whoever(engine.environment),
        reverted=", ".join(resources),
        checkout=_commit(Repository(engine.folder)),
        reason=" ".join(reason.split()),
    )


def _commit(repository: Repository) -> str:
    """What is checked out, with `-changed` where files differ from it; empty outside of a repository."""
    try:
        return repository.resolved("HEAD") + ("-changed" if repository.changed() else "")
    except GitError:
        return ""


def _refuse_unapplied(engine: Engine, stack: str, targets: Sequence[str]) -> None:
    """Refuse a checkout whose program makes resources that are not there: the engine has no outputs of these then.

    Nor may it change a target (`targets` are urns), which would be applied with the revert. A setting that keeps what
    Azure has changes another resource alone, and is no obstacle.
    """
    plan = computed(engine.run("preview", *FLAGS), stack)
    changed = [step for step in plan.of(Op.UPDATE) if step.urn in targets]
    unapplied = sorted({step.name for step in (*plan.of(Op.CREATE, Op.REPLACE, Op.DELETE), *changed)})
    if unapplied:
        more = f" and {len(unapplied) - 3} more" if len(unapplied) > 3 else ""
        raise CommandError(
            f"--revert: this checkout makes, changes or removes {', '.join(unapplied[:3])}{more}, which is not "
            f"applied to {stack} yet. Nothing was changed. Check out the commit that is, which `pulumi stack history` "
            f"names, or apply this one. Run: mlflow-platform preview {stack}"
        )


def configuration(stack: str, repository: Path = REPOSITORY) -> Mapping[str, Any]:
    """Return the program's values in a stack's file, without their namespace."""
    return own_values(stack_document(repository, stack), project_name(repository))


def _urn(drift: Drift, name: str) -> str:
    found = [line.step.urn for line in drift.lines if line.step.name == name]
    if not found:
        differ = ", ".join(line.step.name for line in drift.lines) or "none"
        raise CommandError(
            f"--revert: {name!r} of {drift.stack} does not differ on Azure; expected one of: {differ}.",
            ExitCode.USAGE,
        )
    return found[0]
