"""Changes and refusals as the services' logs have them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

from components.mlflow.observability.alerts import AUDIT

REFUSED = "refused"
# A log and its earlier parts, as far as a name with one digit goes.
_PARTS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Record:
    """One change or refusal. `ids` are those that the request names, by the fields that name them."""

    time: str
    event: str
    caller: str
    oid: str
    workspace: str
    route: str
    status: int
    reason: str = ""
    request_id: str = ""
    ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which records are asked for; an empty text asks for all. `caller` is a name or an object id."""

    identifier: str = ""
    caller: str = ""
    workspace: str = ""
    refused: bool = False

    def has(self, record: Record) -> bool:
        """Return whether a record is among those asked for."""
        return (
            (not self.identifier or any(self._names(value) for values in record.ids.values() for value in values))
            and (not self.caller or self.caller.lower() in (record.caller.lower(), record.oid.lower()))
            and (not self.workspace or self.workspace == record.workspace)
            and (not self.refused or record.event == REFUSED)
        )

    def _names(self, value: str) -> bool:
        """Return whether an id is the wanted one, or a path that leads through it: an artifact's has its run's id."""
        return f"/{self.identifier}/" in f"/{value}/"


def read(logs: Iterable[Path]) -> list[Record]:
    """Return all records of some logs, with those of their earlier parts, the oldest first."""
    found = [record for log in logs for line in _lines(log) if (record := parsed(line)) is not None]
    return sorted(found, key=lambda record: record.time)


def parsed(line: str) -> Record | None:
    """Return the record of a line, None for a line of another kind."""
    if AUDIT not in line:
        return None
    try:
        document: Any = json.loads(line)
        if document["logger"] != AUDIT:
            return None
        return Record(
            time=str(document["time"]),
            event=str(document["message"]),
            caller=str(document.get("caller", "")),
            oid=str(document.get("oid", "")),
            workspace=str(document.get("workspace", "")),
            route=str(document.get("route", "")),
            status=int(document.get("status", 0)),
            reason=str(document.get("reason", "")),
            request_id=str(document.get("request_id", "")),
            ids={name: tuple(map(str, values)) for name, values in document.get("ids", {}).items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _lines(log: Path) -> Iterator[str]:
    """Yield the lines of a log and of its earlier parts, `NAME.2` before `NAME.1`. A line may go over two of them."""
    begun = ""
    with ExitStack() as opened:
        parts: dict[int, TextIO] = {}
        # The newest first: a rotation renames each part to the next number, so none is missed, and one may come twice.
        for path in (log, *(log.with_name(f"{log.name}.{number}") for number in range(1, _PARTS))):
            with suppress(FileNotFoundError):
                file = opened.enter_context(path.open(encoding="utf-8", errors="replace"))
                parts.setdefault(os.fstat(file.fileno()).st_ino, file)
        for part in reversed(parts.values()):
            for text in part:
                begun += text
                if text.endswith("\n"):
                    yield begun
                    begun = ""
    if begun:
        yield begun
