"""From a request to a proposal: which release, in which lines, and what the gates say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from delivery.outcome import CommandError, ExitCode, reported
from delivery.preview.differences import at
from delivery.promote import facts, gates, lines, release
from delivery.promote.evidence import Evidence, Preview
from delivery.promote.gates import Change
from delivery.promote.proposal import Proposal
from delivery.promote.release import Build, Release
from delivery.promote.stack_files import Files, Stack
from delivery.promote.travel import travelling
from delivery.repository import Commit, Repository

_OWN: Final = frozenset({"profile", release.IMAGE})


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks for. `source` is a stack, or empty with a build or for a rollback, which may have a reason."""

    target: str
    source: str = ""
    build: Build | None = None
    rollback: bool = False
    travels: Sequence[str] = ()
    accepts: Sequence[str] = ()
    emergency: str = ""
    reason: str = ""

    @property
    def change(self) -> Change:
        return Change.ROLLBACK if self.rollback else Change.PROMOTION if self.source else Change.FIRST


def propose(request: Request, files: Files, evidence: Evidence, *, now: datetime) -> Proposal:
    """Return the change that is asked for, with what every gate says of it.

    Raises CommandError for what cannot be asked for, and where there is nothing to change.
    """
    target = files.stack(request.target)
    source = files.stack(request.source) if request.source else None
    for one in (target, source):
        if one is not None:
            _refuse_edited(files, one)
    _refuse_order(request, files, target, source)
    wanted, origin = _wanted(request, files, target, source)
    with reported(ValueError, code=ExitCode.USAGE):
        travels = travelling(request.travels, source.values, source.name) if source else {}
    after = _edited(files.project, target, wanted, travels)
    if after == target.content:
        raise CommandError(
            f"{target.name} has release {wanted.short} already: nothing is to be changed.", ExitCode.USAGE
        )
    values = files.values(target.name, after)
    report = evidence.preview(Preview(stack=target.name, commit=files.commit, path=target.path, content=after))
    found = facts.gathered(request.change, files, evidence, wanted, target, source, values, report, now)
    prefix = "rollback" if request.rollback else "promote"
    return Proposal(
        change=request.change,
        source=origin,
        target=target.name,
        path=target.path,
        base=files.commit,
        branch=f"{prefix}/{target.name}/{wanted.short}",
        before=target.content,
        after=after,
        release=wanted,
        previous=target.release,
        outcomes=gates.judge(found, accepted=request.accepts, emergency=bool(request.emergency)),
        report=[report.verdict.words, *([": ", *report.title] if report.title else [])],
        commits=_commits(files.repository, target.release, wanted, rollback=request.rollback),
        travels={key: (at(target.values, key, None), value) for key, value in travels.items()},
        differences=_differences(source.values, values) if source else {},
        emergency=request.emergency,
        reason=request.reason,
        read={one.path: one.content for one in (target, source) if one is not None},
    )


def _refuse_edited(files: Files, stack: Stack) -> None:
    if files.repository.differs(files.commit, stack.path):
        raise CommandError(
            f"{stack.path}: the one here differs from {files.commit[:12]}, which the change is made on. Commit and "
            "push it, or run `git pull`; then the same again."
        )


def _refuse_order(request: Request, files: Files, target: Stack, source: Stack | None) -> None:
    """One stack after the other, by their profiles."""
    if request.rollback:
        return
    if source is not None and source.name == target.name:
        raise CommandError(f"promote: got {target.name} twice; expected two stacks.", ExitCode.USAGE)
    rank, lowest = target.rank, source.rank if source else -1
    if lowest > rank:
        raise CommandError(
            f"promote: got {request.source} to {target.name}, which its profile places before it; expected the other "
            f"way round. Run: mlflow-platform promote {target.name} {request.source}",
            ExitCode.USAGE,
        )
    between = [name for name in files.names if lowest < files.stack(name).rank < rank]
    if between:
        first = between[0]
        raise CommandError(
            f"promote: {first} comes before {target.name}; expected the release to run there first. Run: "
            f"mlflow-platform promote {request.source or 'IMAGE'} {first}",
            ExitCode.USAGE,
        )


def _wanted(request: Request, files: Files, target: Stack, source: Stack | None) -> tuple[Release, str]:
    """Return the release that the target gets, and the words for where it comes from."""
    if request.build is not None:
        with reported(release.ReleaseError):
            return request.build.release, "an image"
    if source is None:
        return _before(files, target), "its history"
    found = source.release
    if found is None:
        raise CommandError(f"{source.path} names no image: expected a release that runs in {source.name}.")
    if not found.whole:
        raise CommandError(
            f"{source.path} names a digest alone; expected commit, mlflow, schema and contract too. Run: "
            f"mlflow-platform promote .local/image/image.json {source.name}"
        )
    return found, source.name


def _before(files: Files, target: Stack) -> Release:
    """The release before the present one. One that was rolled back does not count, nor does what came with it."""
    if files.repository.shallow:
        raise CommandError(
            "promote --rollback: this is a shallow clone, without the history of the file. Run: git fetch --unshallow"
        )
    line: list[Release] = []
    for one in reversed(files.releases(target.name)):
        digests = [earlier.digest for earlier in line]
        line = [*line[: digests.index(one.digest)], one] if one.digest in digests else [*line, one]
    if len(line) < 2:
        raise CommandError(
            f"{target.path} has no release before the present one in its history: nothing to go back to."
        )
    before = line[-2]
    if not before.whole:
        raise CommandError(
            f"{target.path}: the release before, {before.short}, names a digest alone, so nobody can say whether it "
            "runs on the schema that is there. docs/upgrades.md has the way back by hand."
        )
    return before


def _edited(project: str, target: Stack, wanted: Release, travels: Mapping[str, Any]) -> bytes:
    values = wanted.values(project)
    for key, value in travels.items():
        top, *rest = key.split(".")
        values["config", f"{project}:{top}", *rest] = value
    try:
        return lines.changed(target.content, values)
    except lines.EditError as error:
        raise CommandError(f"{target.path}: {error}.") from error


def _commits(
    repository: Repository, previous: Release | None, wanted: Release, *, rollback: bool
) -> Sequence[Commit] | None:
    old = previous.commit if previous else ""
    if not (old and repository.has(old) and repository.has(wanted.commit)):
        return None
    return repository.between(wanted.commit, old) if rollback else repository.between(old, wanted.commit)


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    mine, theirs = (dict(_flat(values)) for values in (one, other))
    return {
        key: (mine.get(key), theirs.get(key)) for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if not prefix and key in _OWN:
            continue
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
