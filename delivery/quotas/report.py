"""How much each team stores, from a listing of the artifacts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.mlflow.access import DEFAULT_WORKSPACE

GIB = 1 << 30
_FOLDER = "workspaces"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The files of a team and their bytes. `quota` is in GiB, None for a team without one."""

    team: str
    files: int
    size: int
    quota: int | None

    @property
    def is_over(self) -> bool:
        """Whether the team stores more than its quota."""
        return self.quota is not None and self.size > self.quota * GIB


def parsed(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield name and bytes of each file in lines of NAME, a tab and BYTES.

    Raises ValueError for another line, and for no line: nobody is over a quota where the listing failed.
    """
    number = 0
    for number, line in enumerate(lines, start=1):
        name, _, size = line.rstrip("\r\n").rpartition("\t")
        if not name or not size.isdecimal():
            raise ValueError(f"line {number}: got {line.strip()[:80]!r}; expected NAME, a tab and BYTES")
        yield name, int(size)
    if not number:
        raise ValueError(
            "got no line; expected NAME, a tab and BYTES of each file, and making the listing may have failed"
        )


def stored(files: Iterable[tuple[str, int]], teams: Sequence[str], quotas: Mapping[str, int]) -> tuple[Stored, ...]:
    """Return what each team stores, a team without files too; who is over its quota comes first."""
    counts = dict.fromkeys((DEFAULT_WORKSPACE, *teams), (0, 0))
    for name, size in files:
        team = _owner(name)
        count, total = counts.get(team, (0, 0))
        counts[team] = (count + 1, total + size)
    found = (
        Stored(team=team, files=count, size=total, quota=quotas.get(team)) for team, (count, total) in counts.items()
    )
    return tuple(sorted(found, key=lambda each: (not each.is_over, -each.size, each.team)))


def _owner(name: str) -> str:
    """Return whose file it is: below `workspaces/TEAM/` the team's, elsewhere of the workspace `default`."""
    folder, _, rest = name.partition("/")
    team, _, file = rest.partition("/")
    return team if folder == _FOLDER and team and file else DEFAULT_WORKSPACE


def text(each: Stored) -> str:
    """Return a team's line of the report."""
    quota = "no quota" if each.quota is None else f"of {each.quota} GiB{', over its quota' if each.is_over else ''}"
    return f"{each.team}  {each.size / GIB:.2f} GiB in {each.files} files  {quota}"
