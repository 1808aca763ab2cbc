"""Reads a stack's file as the engine does, or refuses it with its line.

The engine reads it by Go's yaml.v3: YAML 1.2's values, with 1.1's octal and binary numbers, merge keys and dates
(yaml.v3, resolve.go and decode.go). PyYAML's own loaders read other values, such as `yes` as true and `1:30` as 90, and
take the last of equal keys. Refused besides, although the engine reads them: tags, keys that are no texts, times, and a
second document.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml

from infra.settings.problems import SettingsError

_NULL: Final = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS: Final = {text: text.lower() == "true" for text in ("true", "True", "TRUE", "false", "False", "FALSE")}
_NO_NUMBERS: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WHOLE: Final = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]?([0-7]+)|0[bB]([01]+)|(0|[1-9][0-9]*))")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_TIME: Final = re.compile(rf"{_DAY.pattern}[Tt ][0-9]{{1,2}}:[0-9]{{1,2}}:[0-9.]+.*")
# Of a whole number, in yaml.v3: it is a float where it needs more bits.
_LEAST, _MOST = -(2**63), 2**64 - 1
# Aliases of aliases can stand for any number of values.
_MOST_VALUES: Final = 10_000
_EXPECTED: Final = "an object with the key config, and in it NAMESPACE:NAME and a value in each line"


class StackFileError(SettingsError):
    """The file cannot be read. The message names file, line and what is expected."""


def read(file: Path) -> dict[str, Any]:
    """Return what a stack's file says. Raises StackFileError, also for a file that is not there."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StackFileError(f"{file}: got {error.strerror}; expected a stack's file") from None
    return parsed(content, str(file))


def parsed(content: bytes, name: str) -> dict[str, Any]:
    """Return what the content of a stack's file says. `name` is the file in messages. Raises StackFileError."""
    try:
        text = content.decode()
        root = yaml.compose(text, Loader=_Untagged)
        found = _Reading(name).value(root) if root is not None else {}
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n")
        raise _refusal(name, line, f"the byte 0x{content[error.start]:02x}", "UTF-8; save it as UTF-8") from None
    except _TagError as error:
        raise _refusal(name, error.line, "a tag, which starts with !", "a value without one") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n")
        raise _refusal(name, line, f"the control character {_code(error):#04x}", "printable ones") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.context, error.problem)))
        raise _refusal(name, mark.line if mark else 0, f"no YAML ({what})", _EXPECTED) from None
    except RecursionError:
        raise _refusal(name, 0, "objects in objects, too deep to read", _EXPECTED) from None
    if root is None:
        return {}
    if not isinstance(found, dict):
        raise _refusal(name, root.start_mark.line, _kind(root), _EXPECTED)
    _refuse_config(name, root)
    return found


def dumped(document: Mapping[str, Any]) -> str:
    """Return a document as text that the engine reads as the same values: each text is quoted."""
    return str(yaml.dump(dict(document), Dumper=_Quoting, sort_keys=False, allow_unicode=True, width=math.inf))


class _TagError(Exception):
    """A tag in a line, counted from 0."""

    def __init__(self, line: int) -> None:
        self.line = line


class _Untagged(yaml.BaseLoader):
    """Refuses a tag: a composed node does not say whether its tag was written."""

    def fetch_tag(self) -> None:
        raise _TagError(self.line)


class _Quoting(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's own signature
        return True


def _quoted(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style='"')


_Quoting.add_representer(str, _quoted)


class _Reading:
    """The values of one file's nodes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._within: list[yaml.Node] = []

    def value(self, node: yaml.Node) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES:
            raise self._refusal(node, "aliases that stand for too many values", f"at most {_MOST_VALUES} values")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if any(node is each for each in self._within):
            raise self._refusal(node, "an alias of what it stands in", "the value itself")
        self._within.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node)
            return [self.value(each) for each in node.value]
        finally:
            self._within.pop()

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        if node.style is not None:
            return text
        if _NO_NUMBERS.fullmatch(text):
            raise self._refusal(node, text, "a finite number, or a text in quotes")
        if _TIME.fullmatch(text):
            raise self._refusal(node, text, "a time in quotes, as the engine would write another text for it")
        return _resolved(text)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            name = self._key(key)
            if name in lines:
                raise self._refusal(key, f"{name} a second time", f"one {name}; the first is in line {lines[name]}")
            lines[name] = key.start_mark.line + 1
            if name == "<<":
                merged = self._merged(value)
            else:
                own[name] = self.value(value)
        return {**merged, **own}

    def _merged(self, node: yaml.Node) -> dict[str, Any]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                raise self._refusal(part, f"{_kind(part)} at <<", "an alias of an object, or a list of them")
            found = {**self.value(part), **found}
        return found

    def _key(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode) and (node.style is not None or isinstance(_resolved(node.value), str)):
            return str(node.value)
        got = (node.value or "nothing") if isinstance(node, yaml.ScalarNode) else _kind(node)
        raise self._refusal(node, f"{got} as a key", "a text as a key, in quotes if it looks like a number")

    def _refusal(self, node: yaml.Node, got: str, expected: str) -> StackFileError:
        return _refusal(self._name, node.start_mark.line, got, expected)


def _resolved(text: str) -> Any:
    """Return the value of a text without quotes."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if day := _DAY.fullmatch(text):
        try:
            return f"{date(*map(int, day.groups()))} 00:00:00 +0000 UTC"
        except ValueError:
            return text
    return _number(text) if text[0] in "+-.0123456789" else text


def _number(text: str) -> Any:
    plain = text if text[0] == "." else text.replace("_", "")
    if len(plain) <= _MOST.bit_length() + 3 and (whole := _WHOLE.fullmatch(plain)):
        sign, *digits = whole.groups()
        value = next(int(each, base) for each, base in zip(digits, (16, 8, 2, 10), strict=True) if each)
        value = -value if sign == "-" else value
        if _LEAST <= value <= _MOST:
            return value
    number = float(plain) if _FLOAT.fullmatch(plain) else math.inf
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


def _refuse_config(name: str, root: yaml.Node) -> None:
    """Refuse a `config` that is no object."""
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    for node in (value for key, value in pairs if key.value == "config"):
        if isinstance(node, yaml.ScalarNode) and node.style is None and node.value in _NULL:
            continue
        if not isinstance(node, yaml.MappingNode):
            raise _refusal(name, node.start_mark.line, f"{_kind(node)} as config", _EXPECTED)


def _code(error: yaml.reader.ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(error.character)


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f"the value {node.value[:40]!r}"
    return "a list" if isinstance(node, yaml.SequenceNode) else "an object"


def _refusal(name: str, line: int, got: str, expected: str) -> StackFileError:
    return StackFileError(f"{name}, line {line + 1}: got {got}; expected {expected}.")
