"""The two releases that a plan moves a stack between, and what `promote` found of the new one.

A plan knows an image by its digest alone. What it is made of is in the stack's file: for the image that runs in the
file's history, for the one that it gets in the file itself. What the gates said is in the commit of the promotion, so
whoever may write that commit may write it too: a report names the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from delivery.outcome import CommandError
from delivery.promote import release
from delivery.promote.proposal import GATES, RELEASE, gates_said
from delivery.promote.release import Release
from delivery.promote.stack_files import Files, path
from delivery.repository import Repository

_SHORT: Final = 12


@dataclass(frozen=True, kw_only=True)
class Releases:
    """What is known of the image that runs and of the one that the stack gets; None where the file does not say it.

    `gates` has what each gate said, by its id, as `commit` has it; empty where the change is no promotion.
    """

    before: Release | None = None
    after: Release | None = None
    gates: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""

    @property
    def differ(self) -> bool:
        """Whether the stack gets another release than it runs."""
        return self.after is not None and (self.before is None or self.before.digest != self.after.digest)


def looked(repository: Path, stack: str, runs: Iterable[str]) -> dict[str, Any] | None:
    """Return the releases as a document, None where nothing is known of them. `runs` are the digests that run."""
    git, known = Repository(repository), frozenset(runs)
    try:
        head = git.resolved("HEAD")
        files = Files(repository=git, commit=head)
        after = release.of(files.values(stack, (repository / path(stack)).read_bytes()))
        before = next((one for one in files.releases(stack) if one.digest in known and one.whole), None)
        commit = git.last_change(head, path(stack))
        trailers = git.trailers(commit) if commit else {}
    except (CommandError, OSError):  # without a repository, or without this file in it
        return None
    promoted = after is not None and trailers.get(RELEASE) == after.digest
    found = {
        "before": asdict(before) if before else None,
        "after": asdict(after) if after else None,
        "gates": gates_said(trailers.get(GATES, "")) if promoted else {},
        "commit": commit[:_SHORT] if promoted else "",
    }
    return found if before or after else None


def read(document: object) -> Releases | None:
    """Return the releases of a document, which may be of anybody: what no release or gate says is left out."""
    if not isinstance(document, Mapping):
        return None
    before, after = (_release(document.get(key)) for key in ("before", "after"))
    given = document.get("gates")
    gates = given if isinstance(given, Mapping) else {}
    said = gates_said("; ".join(f"{gate} {state}" for gate, state in gates.items()))
    return Releases(before=before, after=after, gates=said, commit=str(document.get("commit") or "")[:_SHORT])


def _release(values: object) -> Release | None:
    found = release.of({release.IMAGE: values}) if isinstance(values, Mapping) else None
    return found if found is not None and found.whole else None


def by_state(gates: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the gates by what they said."""
    found: dict[str, list[str]] = {}
    for gate, state in gates.items():
        found.setdefault(state, []).append(gate)
    return found
