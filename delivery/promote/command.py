"""`mlflow-platform promote FROM TO`: a release from one stack's file into the next one's, as a branch to review."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from delivery.outcome import CommandError, ExitCode, reported
from delivery.promote import evidence, gates, promotion, publishing
from delivery.promote import images as pushed_images
from delivery.promote.evidence import Evidence
from delivery.promote.promotion import Request
from delivery.promote.proposal import Proposal, document, markdown
from delivery.promote.publishing import Published
from delivery.promote.release import Build, ReleaseError, build
from delivery.promote.stack_files import Files
from delivery.pulumi.installation import REPOSITORY
from delivery.repository import Repository
from delivery.terminal import say
from tools.steps import ToolError

_STACKS: Final = "FROM TO"
_DIGEST_AT: Final = "@sha256:"


def promote(
    stacks: Annotated[
        list[str],
        typer.Argument(
            metavar=_STACKS,
            help="Two stacks, such as dev staging. For the first stack FROM is an image: the document of a build, "
            ".local/image/image.json, or what `image push` prints. With --rollback, TO alone.",
        ),
    ],
    travels: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="KEY", help="A setting that comes along, such as tracking.concurrency or limits."
        ),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Back to the release before, by the file's history.")
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
    request, builds = asked(stacks, travels or [], accepts or [], image or [], rollback=rollback, emergency=emergency)
    return run(
        request,
        builds,
        remote=remote,
        onto=onto,
        dry_run=dry_run,
        as_json=as_json,
        summary=summary,
        folder=REPOSITORY,
    )


def asked(
    stacks: list[str],
    travels: list[str],
    accepts: list[str],
    images: list[Path],
    *,
    rollback: bool,
    emergency: str,
) -> tuple[Request, list[Build]]:
    """Return the request and the documents of builds. Raises CommandError for arguments that do not go together."""
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
    if emergency and not emergency.strip():
        raise CommandError("--emergency: got no reason; expected one, since it is in the commit.", ExitCode.USAGE)
    # A workflow hands over an empty text where its form was left empty.
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
        # Each file once: a build does not vouch for itself.
        builds = [build(file) for file in dict.fromkeys(file.resolve() for file in given)]
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
    )
    return request, builds


def _is_image(text: str) -> bool:
    """Whether FROM names an image: a file, or a name with a digest."""
    return text.endswith(".json") or _DIGEST_AT in text


def run(
    request: Request,
    builds: list[Build],
    *,
    folder: Path,
    remote: str = "origin",
    onto: str = "main",
    dry_run: bool = False,
    as_json: bool = False,
    summary: Path | None = None,
    found: Evidence | None = None,
) -> int:
    """Write the proposal, and push it unless a gate stops it. `found` replaces what this machine can find out."""
    repository = Repository(folder)
    commit = publishing.base(repository, remote, onto, only_look=dry_run, notice=_notice)
    files = Files(repository=repository, commit=commit)
    source = found or evidence.gathered(folder, files.project, builds, request.target)
    proposal = promotion.propose(request, files, source, now=datetime.now(UTC))
    _notice(f"{proposal.path}:")
    for line in proposal.diff:
        _notice(f"  {line}")
    push = not (dry_run or proposal.stopped)
    published = publishing.publish(proposal, repository, remote, onto) if push else None
    address = publishing.link(proposal, files, remote, onto)
    if as_json:
        pushed = {"pushed": published.commit if published else None, "open": address}
        say(json.dumps({**document(proposal), **pushed}, indent=2))
    else:
        sys.stdout.write(markdown(proposal))
        sys.stdout.flush()
    ending = _ending(proposal, published, address, remote)
    if summary is not None:
        with summary.open("a") as file:
            file.write(f"{ending}\n\n{markdown(proposal)}\n")
    _notice(ending)
    return ExitCode.FAILED if proposal.stopped else ExitCode.DONE


def _ending(proposal: Proposal, published: Published | None, address: str, remote: str) -> str:
    if proposal.stopped:
        names = ", ".join(one.gate for one in proposal.stopped)
        return f"Stopped by {names}: nothing was pushed. The table above says what to do."
    if published is None:
        return "Every gate is passed. Nothing was pushed: --dry-run."
    if not published.new:
        what = f"{remote} has branch {proposal.branch} with this change, by {published.author}; nothing was pushed."
    else:
        what = f"Pushed branch {proposal.branch} to {remote}, commit {published.commit[:12]}."
    return f"{what} Open the pull request: {address or 'on your git server'}"


def _notice(line: str) -> None:
    say(line, sys.stderr)
