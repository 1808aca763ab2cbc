"""Collects every problem of a stack's configuration, for one message, each with a command that solves it."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

from infra.settings.secret_texts import hidden

_T = TypeVar("_T")
_CLASS = re.compile(r"^[A-Z][A-Za-z]+\.")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ITEM = re.compile(r"(?P<list>.+)\[(?P<index>[0-9]+)\]")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A value that is not allowed. `rule` is the id of the guardrail that refuses it, empty if it is simply wrong."""

    field: str
    value: object
    allowed: str
    remedy: str
    rule: str = ""
    link: str = ""

    def __str__(self) -> str:
        advice = f"run `{self.remedy}`" if self.remedy.startswith("pulumi ") else self.remedy
        why = f" Why: {self.link}." if self.link else ""
        line = f"{self.field}: {self.value!r} is not allowed; allowed: {self.allowed}; {advice}.{why}"
        # One line each, whatever a key or a value contains.
        return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in hidden(line))


class SettingsError(ValueError):
    """The stack's configuration cannot be used. The message lists every problem."""

    problems: tuple[Problem, ...] = ()


class Problems:
    """The problems of one stack. `values` is its configuration, without the namespace.

    A field is named by its path in the stack's file: `tracking.cpu`, `monitoring.emails[0]`.
    """

    def __init__(self, stack: str, values: Mapping[str, Any]) -> None:
        self._stack = stack
        self._values = values
        self._found: list[Problem] = []
        self._rule = self._link = ""

    def __len__(self) -> int:
        return len(self._found)

    def apart(self) -> Problems:
        """Return the empty problems of the same stack, to look at before they are added."""
        return Problems(self._stack, self._values)

    def add(self, others: Problems) -> None:
        """Record those of others as well."""
        self._found += others._found

    def note(self, field: str, value: object, allowed: str, remedy: str) -> None:
        """Record a value that is not allowed, the allowed ones and the remedy: a command, or words that end in one."""
        words = _CLASS.sub("", allowed).rstrip(".")
        problem = Problem(field=field, value=value, allowed=words, remedy=remedy, rule=self._rule, link=self._link)
        self._found.append(problem)

    @contextlib.contextmanager
    def refused_by(self, rule: str, link: str) -> Iterator[None]:
        """Record what is noted meanwhile as refused by a guardrail, with the link to its reason."""
        self._rule, self._link = rule, link
        try:
            yield
        finally:
            self._rule = self._link = ""

    def built(self, field: str, value: object, remedy: str, build: Callable[[], _T]) -> _T | None:
        """Return what `build` returns, or None and a problem for each line of its ValueError."""
        try:
            return build()
        except ValueError as error:
            for line in str(error).splitlines():
                self.note(field, value, line, remedy)
            return None

    def set(self, field: str, value: object) -> str:
        """Return the command that sets a field."""
        return self._command("config", "set", "--path", field, str(value))

    def remove(self, field: str) -> str:
        """Return the command that removes a field from the stack's file."""
        return self._command("config", "rm", "--path", field)

    def reset(self, *fields: str) -> str:
        """Return the commands by which the stack has its profile's values for these fields.

        Fields that the stack's file does not contain are left out, unless it contains none of them.
        """
        given = [field for field in fields if self.given(field)] or fields
        return " && ".join(self.remove(field) for field in given)

    def rename(self, name: str) -> str:
        """Return the command that gives the stack another name."""
        return self._command("stack", "rename", name)

    def given(self, field: str) -> bool:
        """Whether the stack's file contains a field."""
        found: Any = self._values
        for part in field.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return False
            found = found[part]
        return True

    def finish(self) -> None:
        """Raise SettingsError if there is any problem."""
        if self._found:
            found = _last_items_first(self._found)
            lines = "\n".join(f"  - {problem}" for problem in found)
            error = SettingsError(f"The configuration of stack {self._stack} cannot be used:\n{lines}")
            error.problems = tuple(found)
            raise error

    def _command(self, *words: str) -> str:
        return shlex.join(["pulumi", *words, "-s", self._stack])


def _last_items_first(found: Sequence[Problem]) -> list[Problem]:
    """Return the problems, those of one list from its last item on: removing an item renumbers what follows."""
    items: defaultdict[str, list[tuple[int, Problem]]] = defaultdict(list)
    matches = [_ITEM.fullmatch(problem.field) for problem in found]
    for problem, match in zip(found, matches, strict=True):
        if match:
            items[match["list"]].append((int(match["index"]), problem))
    for those in items.values():
        those.sort(key=itemgetter(0))
    return [items[match["list"]].pop()[1] if match else one for one, match in zip(found, matches, strict=True)]


def path(*parts: str | int) -> str:
    """Return the path of a value in a stack's file, as `pulumi config set --path` reads it."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.fullmatch(part):
            text += f".{part}" if text else part
        else:
            quoted = part.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{quoted}"]'
    return text
