"""Reads configuration values and collects everything that is wrong with them, for one message."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

AUTO = "auto"

_E = TypeVar("_E", bound=enum.StrEnum)
_T = TypeVar("_T")


class SettingsError(ValueError):
    """The stack's configuration cannot be used. The message lists every problem."""


class Reader:
    """Reads the values of one stack. What cannot be used is noted, and something usable is given back in its place."""

    def __init__(self, stack: str) -> None:
        self._stack = stack
        self._problems: list[str] = []

    def problem(self, field: str, value: object, allowed: str, remedy: str) -> None:
        """Note that a value is not allowed, what is, and what to do."""
        self._problems.append(f"{field}: {value!r} is not allowed; allowed: {allowed}; {remedy}.")

    def finish(self) -> None:
        """Raise SettingsError if there was any problem."""
        if self._problems:
            lines = "\n".join(f"  - {problem}" for problem in self._problems)
            raise SettingsError(f"The configuration of stack {self._stack} cannot be used:\n{lines}")

    def only(self, prefix: str, values: Mapping[str, Any], keys: Sequence[str]) -> None:
        """No other keys than these."""
        for key in values.keys() - set(keys):
            self.problem(f"{prefix}{key}", values[key], f"the keys {', '.join(keys)}", self.remedy(f"{prefix}{key}"))

    def table(self, field: str, value: object, keys: Sequence[str]) -> Mapping[str, Any]:
        """An object with no other keys than these."""
        if not isinstance(value, Mapping):
            self.problem(field, value, f"an object with the keys {', '.join(keys)}", self.remedy(field))
            return {}
        self.only(f"{field}.", value, keys)
        return value

    def choice(self, field: str, value: object, kind: type[_E]) -> _E | None:
        """A member of an enumeration, None where it is none."""
        try:
            return kind(str(value))
        except ValueError:
            self.problem(field, value, ", ".join(kind), f"pulumi config set {field} VALUE -s {self._stack}")
            return None

    def integer(self, field: str, value: object, least: int, most: int) -> int:
        """A whole number from `least` to `most`, also as a text."""
        if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.problem(field, value, f"a whole number from {least} to {most}", self.remedy(field))
            return least
        return value

    def number(self, field: str, value: object, least: float, most: float) -> float:
        """A number from `least` to `most`, also as a text."""
        try:
            number = float(str(value))
        except ValueError:
            number = float("nan")
        if isinstance(value, bool) or not least <= number <= most:
            self.problem(field, value, f"a number from {least} to {most}", self.remedy(field))
            return least
        return number

    def text(self, field: str, value: object, pattern: str, allowed: str) -> str:
        """A text that matches the whole pattern; `allowed` says in words what that is."""
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            self.problem(field, value, allowed, self.remedy(field))
            return ""
        return value

    def boolean(self, field: str, value: object, default: bool) -> bool:
        """True or false, also as a text; `auto` is the default."""
        known: dict[str, bool] = {"true": True, "false": False, AUTO: default}
        found = known.get(str(value).lower())
        if found is None:
            self.problem(field, value, ", ".join(known), self.remedy(field))
            return default
        return found

    def texts(self, field: str, value: object, pattern: str, allowed: str) -> tuple[str, ...]:
        """A list of texts that match the whole pattern."""
        if not isinstance(value, list):
            self.problem(field, value, f"a list of {allowed}", self.remedy(field))
            return ()
        return tuple(self.text(f"{field}[{place}]", item, pattern, allowed) for place, item in enumerate(value))

    def built(self, field: str, value: object, build: Callable[..., _T], *args: Any, **kwargs: Any) -> _T | None:
        """What `build` makes of the arguments, or the message of its ValueError as a problem of the field and None."""
        try:
            return build(*args, **kwargs)
        except ValueError as error:
            self.problem(field, value, str(error), self.remedy(field))
            return None

    def remedy(self, field: str) -> str:
        """The command that mends a value."""
        return f"mend it with `pulumi config set|rm --path {field} -s {self._stack}`"
