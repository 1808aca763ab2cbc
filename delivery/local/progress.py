"""What a person sees of a long command of the engine: what is at work, how many resources are done, for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

Event = Mapping[str, Any]
"""One event of the engine, as its event log has it."""

_MOST_NAMES: Final = 4
_PROVIDER: Final = "pulumi:providers:"
_SAME: Final = "same"


@dataclass
class Seen:
    """What the engine's events have said so far: the resources that are done, and those at work, by URN."""

    done: int = 0
    at_work: dict[str, str] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Take in one event. Those of providers and of a step that changes nothing name no resource at work."""
        begun, ended = event.get("resourcePreEvent"), event.get("resOutputsEvent") or event.get("resOpFailedEvent")
        step = (begun or ended or {}).get("metadata", {})
        urn, kind = str(step.get("urn", "")), str(step.get("type", ""))
        if not urn or kind.startswith(_PROVIDER):
            return
        if begun is None:
            self.at_work.pop(urn, None)
            self.done += 1
        elif step.get("op") != _SAME and not kind.startswith("pulumi:pulumi:"):
            self.at_work[urn] = urn.rsplit("::", 1)[-1]

    def described(self) -> str:
        """Return the names of what is at work, the first ones where there are many."""
        names = list(self.at_work.values())
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        return ", ".join(names[:_MOST_NAMES]) + more or "reading the program"


@contextmanager
def shown(what: str) -> Iterator[Callable[[Event], None]]:
    """Show a line on the terminal that follows the engine's events; it is gone at the end."""
    # Imported here: a command that shows nothing does not wait for it.
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    seen = Seen()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[what]}: {task.completed:.0f} resources done", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.description}", style="dim", markup=False),
    )
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(seen.described(), total=None, what=what)

        def take(event: Event) -> None:
            seen.take(event)
            progress.update(task, completed=seen.done, description=seen.described())

        yield take
