"""`mlflow-platform preview`: what an update of a stack on Azure would do, as a report that a reviewer can read.

Offline the real engine runs the program with the stack's file against the stand-in for Azure: against an empty one,
where everything is to be created, or against one on which an earlier revision was brought up first. Nothing is kept,
and nothing of the user's is touched.
"""

from __future__ import annotations

import enum
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from delivery.drift.beside import beside, looked
from delivery.offline_azure.product import PLACEHOLDER_DIGEST, Product
from delivery.offline_azure.session import offline as offline_azure
from delivery.outcome import CommandError, ExitCode, reported
from delivery.preview import base, github_annotations, releases, saved
from delivery.preview.document import document
from delivery.preview.findings import workloads
from delivery.preview.markdown import Form as Markdown
from delivery.preview.markdown import markdown
from delivery.preview.plan import CONFIG_BEFORE, FLAGS, Plan, read
from delivery.preview.reasons import Verdict
from delivery.preview.report import Report, Source, report
from delivery.preview.terminal import show as show_on_terminal
from delivery.pulumi.engine import Result, users_engine, version
from delivery.pulumi.installation import REPOSITORY
from delivery.repository import Repository
from delivery.stacks import refuse, stacks
from delivery.terminal import command, interactive, say

_NOTICE: Final = (
    "OFFLINE: the engine is real, Azure is a stand-in; no subscription, no login; ids, tenants and addresses are made "
    "up, nothing is kept."
)
_PLACEHOLDER: Final = "The stack's file names no image yet (digest: none): {digest} is a placeholder."


class Form(enum.StrEnum):
    """The form of the report: for a person here, for a program, or for a page."""

    TERMINAL = "terminal"
    JSON = "json"
    ANNOTATIONS = "annotations"
    COMMENT = Markdown.COMMENT.value
    SUMMARY = Markdown.SUMMARY.value
    AZURE_DEVOPS = Markdown.AZURE_DEVOPS.value


def preview(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="A stack with a file in stacks/: dev, staging, prod.")],
    offline: Annotated[bool, typer.Option("--offline", help="Against a stand-in for Azure.")] = False,
    against: Annotated[
        str,
        typer.Option(metavar="REVISION", help="Offline: bring this revision up first, such as HEAD or origin/main."),
    ] = "",
    form: Annotated[Form, typer.Option(help="How the report is written.")] = Form.TERMINAL,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --form json.")] = False,
    changes: Annotated[bool, typer.Option("--changes", help="List every resource that changes.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="The engine's own output, with every property.")] = False,
    no_drift: Annotated[
        bool, typer.Option("--no-drift", help="Do not look for what differs on Azure already.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the plan to a file too, for `mlflow-platform report`.")
    ] = None,
    outputs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append `plan` and `changes`, as to GitHub's GITHUB_OUTPUT.")
    ] = None,
) -> int:
    """Show what an update of a stack would do on Azure, the worst first.

    With --offline no subscription and no login are needed: the report is of a first deployment, or, with --against, of
    what changed since that revision. Without it, the engine compares with Azure as you are signed in, and looks there
    for drift, which is named as not from this change. It fails where the update would be refused or the plan could not
    be computed.

    Example: mlflow-platform preview prod --offline --against HEAD
    """
    if against and not offline:
        raise CommandError(
            f"--against: got {against!r} without --offline; expected both, since Azure itself is what the stack is "
            f"compared with otherwise. Run: mlflow-platform preview {stack} --offline --against {against}",
            ExitCode.USAGE,
        )
    form = Form.JSON if as_json else form
    if diff and form is not Form.TERMINAL:
        raise CommandError(
            f"--diff: got it with the form {form}; expected the form {Form.TERMINAL}, the only one of the engine's own "
            f"output. Run: mlflow-platform preview {stack} --diff",
            ExitCode.USAGE,
        )
    written = Written(form=form, changes=changes, save=save, outputs=outputs)
    return show(stack, written, offline=offline, against=against, diff=diff, drift=not no_drift)


@dataclass(frozen=True, kw_only=True)
class Written:
    """How a report is written to stdout, and what goes to files beside it.

    `changes` lists every resource on a terminal. `save` gets the plan, for `mlflow-platform report`. To `outputs` the
    lines `plan=FINGERPRINT` and `changes=NUMBER` are appended.
    """

    form: Form = Form.TERMINAL
    changes: bool = False
    save: Path | None = None
    outputs: Path | None = None


def show(
    stack: str,
    written: Written | None = None,
    *,
    offline: bool,
    against: str = "",
    diff: bool = False,
    drift: bool = True,
    repository: Path = REPOSITORY,
) -> int:
    """Write the report of a repository's stack; return the exit code.

    `drift` also looks for what differs on Azure already. Offline nothing does: all of it was brought up just now. What
    keeps the engine from starting, such as a stack's file that cannot be read, is a report too where a program or a
    file gets it: a stack must not be missing in a pull request. Else it raises CommandError.
    """
    written = written or Written()
    if written.form is Form.JSON and written.save is None:
        refuse(stack, repository)
    try:
        return _shown(stack, written, repository, offline=offline, against=against, diff=diff, drift=drift)
    except CommandError as error:
        if written.form is Form.TERMINAL and written.save is None:
            raise
        say(str(error), sys.stderr)
        return write(Result(code=1, out="", text=str(error)), stack, Source(offline=offline), written, repository)


def _shown(
    stack: str, written: Written, repository: Path, *, offline: bool, against: str, diff: bool, drift: bool
) -> int:
    refuse(stack, repository)
    if not offline:
        engine = users_engine(stack, repository)
        if diff:
            return engine.show("preview", "--diff")
        source = Source(head=Repository(repository).head(), engine=version(engine))
        result = engine.run("preview", *FLAGS)
        found = looked(engine, stack) if drift and result.code == 0 else None
        return write(result, stack, source, written, repository, drift=found)
    # A document goes to stdout alone.
    notices = sys.stdout if written.form is Form.TERMINAL else sys.stderr
    say(_NOTICE, notices)
    with _compared(stack, against, repository) as (product, before):
        if product.placeholder:
            say(_PLACEHOLDER.format(digest=PLACEHOLDER_DIGEST), notices)
        if diff:
            colour = f"--color={'always' if interactive() else 'never'}"
            return product.engine.show(*product.arguments("preview", colour, "--diff"))
        source = Source(head=Repository(repository).head(), against=against or "an empty subscription", offline=True)
        return write(product.preview(*FLAGS), stack, source, written, repository, before=before)


def write(
    result: Result,
    stack: str,
    source: Source,
    written: Written,
    repository: Path,
    *,
    drift: Mapping[str, Any] | None = None,
    before: Mapping[str, str] | None = None,
) -> int:
    """Write the report of what the engine printed; return the exit code.

    `drift` is what `looked` has returned, `before` the configuration of the revision that was brought up before.
    """
    printed, error = _printed(result)
    if printed is not None and before:
        printed[CONFIG_BEFORE] = before
    plan = _plan(printed, error, stack)
    runs, gets = workloads.digests(plan)
    moves = releases.looked(repository, stack, runs) if gets - runs else None
    found = report(plan, source, None if drift is None else beside(drift, plan), releases.read(moves))
    if written.save is not None:
        saved.save(written.save, stack, printed, error, source, drift, moves)
    outputs = {"plan": found.plan, "changes": sum(found.counts.values())}
    if written.outputs is not None:
        with written.outputs.open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in outputs.items())
    if os.environ.get("TF_BUILD"):
        # Azure Pipelines, "Logging commands": a step's outputs are what it says.
        for name, value in outputs.items():
            command(f"##vso[task.setvariable variable={name};isOutput=true]{value}", sys.stderr)
    match written.form:
        case Form.TERMINAL:
            show_on_terminal(found, changes=written.changes)
        case Form.JSON:
            say(json.dumps(document(found), indent=2))
        case Form.ANNOTATIONS:
            file_of_stack = repository / "stacks" / f"Pulumi.{plan.stack}.yaml"
            for line in github_annotations.lines(found, plan, file_of_stack, repository):
                command(line)
        case _:
            sys.stdout.write(markdown(found, Markdown(written.form.value)))
            sys.stdout.flush()
    return exit_code(found)


def exit_code(found: Report) -> ExitCode:
    """Failed where the update would be refused, or where nothing is known of it."""
    return ExitCode.FAILED if found.verdict >= Verdict.REFUSED else ExitCode.DONE


def planned(stack: str, repository: Path, *, old: Path | None, against: str) -> Plan:
    """Return the plan of a stack of one folder, offline, over what another one brought up; None for an empty Azure.

    `against` names the other in messages. Raises CommandError if that cannot be brought up.
    """
    with _over(stack, old, repository, against) as (product, _):
        return computed(product.preview(*FLAGS), stack)


Compared = tuple[Product, Mapping[str, str]]
"""A stack, and the configuration of the revision that was brought up before; empty without one."""


@contextmanager
def _compared(stack: str, against: str, repository: Path) -> Iterator[Compared]:
    """The stack on an offline Azure which is empty, or on which a revision of the repository was brought up."""
    with ExitStack() as opened:
        old = opened.enter_context(base.checked_out(repository, against)) if against else None
        if old is not None and stack not in stacks(old):
            say(f"{against} has no stack {stack}: everything is new.", sys.stderr)
            old = None
        yield opened.enter_context(_over(stack, old, repository, against))


@contextmanager
def _over(stack: str, old: Path | None, repository: Path, against: str) -> Iterator[Compared]:
    """The stack of a folder on an offline Azure, on which another folder's was brought up first."""
    before: Mapping[str, str] = {}
    with ExitStack() as opened:
        with reported(RuntimeError, ValueError, OSError, code=ExitCode.USAGE):
            product = opened.enter_context(offline_azure(stack, old or repository))
        if old is not None:
            say(f"Bringing {against} up on the offline Azure…", sys.stderr)
            brought = product.up()
            if brought.code != 0:
                raise CommandError(
                    f"--against: {against} cannot be brought up offline, so there is nothing to compare with. Give a "
                    f"later revision, or leave --against out. The engine says:\n{brought.text.strip()}"
                )
            before = product.configuration
            with reported(RuntimeError, ValueError, code=ExitCode.USAGE):
                product = product.of(repository)
        yield product, before


def computed(result: Result, stack: str) -> Plan:
    """The plan in the engine's answer. Before the engine starts to plan it answers with words alone."""
    return _plan(*_printed(result), stack)


def _plan(printed: dict[str, Any] | None, error: str, stack: str) -> Plan:
    if printed is None:
        return Plan(stack=stack, steps=(), errors=(error,))
    plan = read(printed)
    return plan if plan.stack else replace(plan, stack=stack)


def _printed(result: Result) -> tuple[dict[str, Any] | None, str]:
    """The document that the engine printed, or its words."""
    try:
        return json.loads(result.out), ""
    except ValueError:
        return None, result.text.strip() or f"exit code {result.code}"
