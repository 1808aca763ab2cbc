"""`mlflow-platform promote FROM TO`: a release from one stack's file into the next one's, as a branch to review."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from delivery.image.build import CopyError, refuse_copies
from delivery.outcome import CommandError, ExitCode, reported
from delivery.promote import evidence, gates, promotion, publishing
from delivery.promote import images as pushed_images
from delivery.promote.evidence import Evidence
from delivery.promote.promotion import Request
from delivery.promote.proposal import Proposal, document, markdown
from delivery.promote.publishing import Published
from delivery.promote.release import Build, ReleaseError, build
from delivery.promote.stack_files import Files
from delivery.promote.stages import stages as behind
from delivery.pull_request import azure_devops, github
from delivery.pull_request.server import Server
from delivery.pulumi.installation import REPOSITORY
from delivery.repository import Repository
from delivery.terminal import say
from infra.settings import secret_texts
from tools.steps import ToolError

_STACKS: Final = "FROM TO"
_DIGEST_AT: Final = "@sha256:"


def promote(
    stacks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar=_STACKS,
            help="Two stacks, such as dev staging. For the first stack FROM is an image: the document of a build, "
            ".local/image/image.json, or what `image push` prints. With --rollback, TO alone; with --next, none.",
        ),
    ] = None,
    travels: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="KEY", help="A setting that comes along, such as tracking.concurrency or limits."
        ),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Back to the release before, by the file's history.")
    ] = False,
    reason: Annotated[
        str, typer.Option(metavar="REASON", help="With --rollback: why. It is in the commit, with both releases.")
    ] = "",
    next_stages: Annotated[
        bool,
        typer.Option("--next", help="Every stack that is behind the one before it, if it passes every gate."),
    ] = False,
    emergency: Annotated[
        str, typer.Option(metavar="REASON", help="Skip smoke, soak time and alerts. The reason is in the commit.")
    ] = "",
    accepts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD", help="Take on you what a gate could not check, or no-way-back. It is in the commit."
        ),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="The document of a build of the image; of two builds it shows that they agree."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "--no-push", help="Show the change and the gates only.")
    ] = False,
    pull_request: Annotated[
        bool,
        typer.Option("--pull-request", help="In a workflow or pipeline: open the pull request too, on GitHub a draft."),
    ] = False,
    remote: Annotated[str, typer.Option(help="The remote that gets the branch.")] = "origin",
    onto: Annotated[str, typer.Option(help="The branch that stacks are deployed from.")] = "main",
    as_json: Annotated[bool, typer.Option("--json", help="Print a document for programs.")] = False,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append the text, and where to go on, as to GitHub's GITHUB_STEP_SUMMARY."),
    ] = None,
) -> int:
    """Propose a release for the next stack, as a branch to review.

    It changes the release's lines in the stack's file, and no other byte of it. The files are those of the remote's
    main branch; the work tree and the index stay as they are. The text of the pull request goes to stdout. It fails
    where a gate stops the release, and pushes nothing then.

    Example: mlflow-platform promote dev staging --dry-run
    """
    way = Way(
        folder=REPOSITORY,
        remote=remote,
        onto=onto,
        dry_run=dry_run,
        as_json=as_json,
        summary=summary,
        server=_server() if pull_request else None,
    )
    stacks = stacks or []
    if next_stages:
        if stacks or travels or accepts or rollback or emergency or reason:
            raise CommandError(
                "--next: got what a person decides for one stack; expected --image at most. "
                "Run: mlflow-platform promote --next --dry-run",
                ExitCode.USAGE,
            )
        with reported(ReleaseError, code=ExitCode.USAGE):
            builds = _builds(image or [])
        return run_next(way, builds)
    request, builds = asked(
        stacks, travels or [], accepts or [], image or [], rollback=rollback, emergency=emergency, reason=reason
    )
    return run(request, builds, way)


@dataclass(frozen=True, kw_only=True)
class Way:
    """From where a promotion is pushed to where, and how it is shown. With a `server` its pull request is opened."""

    folder: Path
    remote: str = "origin"
    onto: str = "main"
    dry_run: bool = False
    as_json: bool = False
    summary: Path | None = None
    server: Server | None = None


def _server() -> Server:
    return azure_devops.from_environment(os.environ) or github.from_environment(os.environ)


def asked(
    stacks: list[str],
    travels: list[str],
    accepts: list[str],
    images: list[Path],
    *,
    rollback: bool,
    emergency: str,
    reason: str = "",
) -> tuple[Request, list[Build]]:
    """Return the request and the documents of builds. Raises CommandError for arguments that do not go together."""
    _refuse_secrets([*stacks, *travels, *accepts, emergency, reason], os.environ)
    wanted = "TO" if rollback else _STACKS
    if len(stacks) != len(wanted.split()):
        raise CommandError(
            f"promote: got {' '.join(stacks)}{' --rollback' if rollback else ''}; expected {wanted}. "
            "Run: mlflow-platform promote --help",
            ExitCode.USAGE,
        )
    if rollback and (travels or emergency):
        raise CommandError(
            "--rollback: got --with or --emergency too; expected neither, since settings stay and nothing soaks. "
            f"Run: mlflow-platform promote {stacks[0]} --rollback",
            ExitCode.USAGE,
        )
    if reason and not rollback:
        raise CommandError(
            "--reason: got it without --rollback; expected both, since an emergency has a reason of its own. Run: "
            f"mlflow-platform promote {stacks[-1]} --rollback --reason {shlex.quote(reason)}",
            ExitCode.USAGE,
        )
    if emergency and not emergency.strip():
        raise CommandError("--emergency: got no reason; expected one, since it is in the commit.", ExitCode.USAGE)
    # A workflow hands over an empty text where its form was left empty.
    if not rollback and not _is_image(stacks[0]) and re.search(r"[/:]", stacks[0]):
        raise CommandError(
            f"promote: got {stacks[0]}; expected a stack, or an image by its digest, HOST/REPOSITORY@sha256:…, as "
            "`mlflow-platform image push` prints it, since a tag moves.",
            ExitCode.USAGE,
        )
    travels, accepts = ([word for given in many for word in given.split()] for many in (travels, accepts))
    if travels and _is_image(stacks[0]):
        raise CommandError("--with: got it with an image, which has no settings; leave it out.", ExitCode.USAGE)
    unknown = sorted({*accepts} - {*gates.acceptable()})
    if unknown:
        raise CommandError(
            f"--accepts: got {', '.join(unknown)}; expected one of {', '.join(gates.acceptable())}.", ExitCode.USAGE
        )
    image = _is_image(stacks[0]) and not rollback
    pushed = _DIGEST_AT in stacks[0]
    with reported(ReleaseError, code=ExitCode.USAGE):
        given = [Path(stacks[0]), *images] if image and not pushed else images
        builds = _builds(given)
    if image and pushed:
        with reported(ReleaseError, ToolError):
            builds = [pushed_images.build(stacks[0]), *builds]
    request = Request(
        target=stacks[-1],
        source="" if rollback or image else stacks[0],
        build=builds[0] if image else None,
        rollback=rollback,
        travels=travels,
        accepts=accepts,
        emergency=emergency,
        reason=reason,
    )
    return request, builds


def _refuse_secrets(texts: Sequence[str], environ: Mapping[str, str]) -> None:
    """Refuse texts that would carry a secret into a commit, a pull request or a log."""
    for text in texts:
        if secret_texts.in_words(text, environ):
            raise CommandError(
                "promote: got a text with a secret, or with `$(`, which a pipeline replaces by a value of its own; "
                "expected plain words, since they are in the commit. Nothing was written. If a secret was in it, "
                "revoke it; then the same again without it.",
                ExitCode.USAGE,
            )


def _builds(files: list[Path]) -> list[Build]:
    """Each file once, and no copy. Raises ReleaseError."""
    found = [(file, build(file)) for file in dict.fromkeys(file.resolve() for file in files)]
    try:
        refuse_copies([(file, one.number) for file, one in found])
    except CopyError as error:
        raise ReleaseError(f"--image: {error}") from None
    return [one for _, one in found]


def _is_image(text: str) -> bool:
    """Whether FROM names an image: a file, or a name with a digest."""
    return text.endswith(".json") or _DIGEST_AT in text


def run(request: Request, builds: list[Build], way: Way, found: Evidence | None = None) -> int:
    """Write the proposal, and push it unless a gate stops it. `found` replaces what this machine can find out."""
    files = _files(way)
    source = found or evidence.gathered(way.folder, files.project, builds, request.target)
    proposal = promotion.propose(request, files, source, now=datetime.now(UTC))
    ending = _concluded(proposal, files, way)
    _write([ending], way)
    return ExitCode.FAILED if proposal.stopped else ExitCode.DONE


def run_next(way: Way, builds: Sequence[Build] = (), found: Evidence | None = None) -> int:
    """Propose for each stack that is behind the one before it what a person would by hand; return the exit code.

    What time or the next deployment opens is no failure: the next run looks again. Neither is a pull request that
    somebody closed: that was the decision.
    """
    files = _files(way)
    endings: list[Ending] = []
    failed = False
    for stage in behind(files):
        if stage.rests:
            endings.append(Ending(words=f"{stage.target}: {stage.rests}."))
            continue
        try:
            source = found or evidence.gathered(way.folder, files.project, builds, stage.target)
            request = Request(source=stage.source, target=stage.target)
            proposal = promotion.propose(request, files, source, now=datetime.now(UTC))
            endings.append(_concluded(proposal, files, way, again=False))
            failed = failed or (bool(proposal.stopped) and not proposal.waits)
        except CommandError as error:
            endings.append(Ending(words=f"{stage.target}: {error}"))
            failed = True
    _write(endings, way, many=True)
    return ExitCode.FAILED if failed else ExitCode.DONE


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What became of one proposal: `words` in a line, the proposal if there was one, and where it is."""

    words: str
    proposal: Proposal | None = None
    pushed: str | None = None
    address: str = ""


def _files(way: Way) -> Files:
    repository = Repository(way.folder)
    commit = publishing.base(repository, way.remote, way.onto, only_look=way.dry_run, notice=_notice)
    return Files(repository=repository, commit=commit)


def _concluded(proposal: Proposal, files: Files, way: Way, *, again: bool = True) -> Ending:
    """Push the proposal, and open its pull request where there is a server; without `again` not one that was closed."""
    _notice(f"{proposal.path}:")
    for line in proposal.diff:
        _notice(f"  {line}")
    address = publishing.link(proposal, files, way.remote, way.onto)
    if proposal.stopped:
        names = ", ".join(one.gate for one in proposal.stopped)
        words = f"Stopped by {names}: nothing was pushed. The table of the gates says what to do."
        return Ending(words=words, proposal=proposal, address=address)
    if way.dry_run:
        ending = "Every gate is passed. Nothing was pushed: --dry-run."
        return Ending(words=ending, proposal=proposal, address=address)
    there = way.server.pull_request(proposal.branch) if way.server else None
    if there is not None and there.is_refused and not again:
        by_hand = f"mlflow-platform promote {proposal.source} {proposal.target}"
        ending = f"Somebody closed {there.address} without a merge; to propose it again run: {by_hand}"
        return Ending(words=ending, proposal=proposal, address=there.address)
    published = publishing.publish(proposal, files.repository, way.remote, way.onto)
    what = _what(proposal, published, way.remote)
    if way.server is None:
        ending = f"{what} Open the pull request: {address or 'on your git server'}"
    elif there is not None and there.is_open:
        address, ending = there.address, f"{what} Its pull request is open: {there.address}"
    else:
        address = _opened(way.server, proposal, what, way.onto, address)
        ending = f"{what} Opened the pull request: {address}"
    return Ending(words=ending, proposal=proposal, pushed=published.commit, address=address)


def _opened(server: Server, proposal: Proposal, what: str, onto: str, address: str) -> str:
    try:
        return server.open_pull_request(proposal.title, markdown(proposal), branch=proposal.branch, onto=onto)
    except CommandError as error:
        by_hand = f" Or open it by hand: {address}" if address else ""
        raise CommandError(f"{what} Its pull request could not be opened: {error}.{by_hand}") from None


def _what(proposal: Proposal, published: Published, remote: str) -> str:
    if not published.new:
        return f"{remote} has branch {proposal.branch} with this change, by {published.author}; nothing was pushed."
    return f"Pushed branch {proposal.branch} to {remote}, commit {published.commit[:12]}."


def _write(endings: list[Ending], way: Way, *, many: bool = False) -> None:
    """Write the proposals to stdout, and how each ended to stderr; both to the job's summary."""
    found = [(one, one.proposal) for one in endings if one.proposal is not None]
    if way.as_json:
        documents = [{**document(of), "pushed": one.pushed, "open": one.address} for one, of in found]
        say(json.dumps(documents if many else documents[0], indent=2))
    else:
        sys.stdout.write("\n".join(markdown(of) for _, of in found))
        sys.stdout.flush()
    for one in endings:
        _notice(one.words)
    if way.summary is not None:
        with way.summary.open("a") as file:
            for one in endings:
                file.write(f"{one.words}\n\n" + (f"{markdown(one.proposal)}\n" if one.proposal else ""))


def _notice(line: str) -> None:
    say(line, sys.stderr)
