"""Values set in a stack's file, of which every other byte stays: comments, indents, line ends and quotes.

The file is parsed for the places of its values only, and what is written there is parsed again: a file in which the
values would not come out as they are meant is refused.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from infra.settings import stack_file
from infra.settings.stack_file import StackFileError

Path = tuple[str, ...]
Value = str | int | bool

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_BREAK: Final = re.compile(r"\r\n|\n|\r")
_INDENT: Final = "  "


class EditError(ValueError):
    """The file cannot be changed line by line. The message says why and what to write instead."""


def changed(content: bytes, values: Mapping[Path, Value]) -> bytes:
    """Return the content of a stack's file with these values, each by its keys from the top.

    A value that the file has is replaced in its place; a new one gets a line, after the value that precedes it in
    `values` if both belong to one object, else at the end of its object. Raises EditError.
    """
    before = loaded(content)
    text = content.decode()
    after = text
    previous: Path = ()
    for path, value in values.items():
        after = _set(after, path, value, previous)
        previous = path
    if loaded(after.encode()) != _expected(before, values):
        raise EditError(f"the values {_named(values)} cannot be written into it; write them by hand")
    return after.encode()


def loaded(content: bytes) -> dict[str, Any]:
    """Return what a stack's file says. Raises EditError for one that the engine could not read."""
    try:
        return stack_file.parsed(content, "it")
    except StackFileError as error:
        raise EditError(str(error).removeprefix("it, ").rstrip(".")) from None


def scalar(value: Value) -> str:
    """Return a value as YAML. A text is quoted, since `1e10` or `3.10` would be a number, but for a digest."""
    if isinstance(value, str):
        return value if _DIGEST.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _expected(before: Mapping[str, Any], values: Mapping[Path, Value]) -> dict[str, Any]:
    found = dict(copy.deepcopy(before))
    for path, value in values.items():
        parent = found
        for key in path[:-1]:
            if not parent.get(key):
                parent[key] = {}
            parent = parent[key]
        parent[path[-1]] = value
    return found


def _set(text: str, path: Path, value: Value, previous: Path) -> str:
    node = _root(text)
    for depth, key in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            raise EditError(f"{'.'.join(path[:depth]) or 'it'} is no object; write it as one")
        inner = _value(node, key)
        last = depth == len(path) - 1
        if inner is None:
            sibling = _value(node, previous[-1]) if previous[:-1] == path[:-1] and last else None
            return _added(text, node, path[depth:], value, sibling)
        if not last and _empty(inner):
            return _replaced(text, inner, _flow(path[depth + 1 :], value))
        node = inner
    if not isinstance(node, yaml.ScalarNode):
        raise EditError(f"{'.'.join(path)} is no single value; write it as one")
    return _replaced(text, node, scalar(value))


class _Plain(yaml.SafeLoader):
    """Refuses anchors, aliases and tags, which a composed node does not show."""

    def _refuse(self) -> None:
        raise EditError(
            f"line {self.line + 1} has an anchor, an alias or a tag, by which one change would be several; "
            "write the value out"
        )

    fetch_anchor = fetch_alias = fetch_tag = _refuse


def _root(text: str) -> yaml.Node | None:
    return yaml.compose(text, Loader=_Plain)


def _value(node: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((value for name, value in node.value if name.value == key), None)


def _empty(node: yaml.Node) -> bool:
    """Whether nothing is written, or null, or {}: an object without keys."""
    return node.tag == "tag:yaml.org,2002:null" or (isinstance(node, yaml.MappingNode) and not node.value)


def _replaced(text: str, node: yaml.Node, new: str) -> str:
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        raise EditError(f"line {node.start_mark.line + 1} is a block of text; write the value in one line")
    start, end = node.start_mark.index, node.end_mark.index
    # Of a value that is not there the place is right behind the colon.
    return f"{text[:start]}{' ' if start == end else ''}{new}{text[end:]}"


def _added(text: str, node: yaml.MappingNode, keys: Sequence[str], value: Value, sibling: yaml.Node | None) -> str:
    if not node.flow_style:  # then it has keys
        return _inserted(text, _end(sibling or node.value[-1][1]), _block(_indent(text, node), keys, value))
    entry = f"{_key(keys[0])}: {scalar(value) if len(keys) == 1 else _flow(keys[1:], value)}"
    if not node.value:
        place = node.start_mark.index + 1
        return f"{text[:place]}{entry}{text[place:]}"
    place = _end(sibling or node.value[-1][1])
    return f"{text[:place]}, {entry}{text[place:]}"


def _end(node: yaml.Node) -> int:
    """Where a value ends, without the comments behind it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        raise EditError(f"a line cannot be added behind the block of text in line {node.start_mark.line + 1}")
    return int(node.end_mark.index)


def _indent(text: str, node: yaml.MappingNode) -> str:
    mark = node.value[0][0].start_mark
    start = mark.index - mark.column
    indent = text[start : mark.index].lstrip("\ufeff")
    if indent.strip():
        raise EditError(f"line {mark.line + 1} begins with {indent.strip()!r}; write its keys in lines of their own")
    return indent


def _block(indent: str, keys: Sequence[str], value: Value) -> list[str]:
    lines = [f"{indent}{_INDENT * depth}{_key(key)}:" for depth, key in enumerate(keys)]
    return [*lines[:-1], f"{lines[-1]} {scalar(value)}"]


def _inserted(text: str, place: int, lines: Sequence[str]) -> str:
    """Insert lines behind the line of a place; the text then ends with a line's end if it did before."""
    first, ending = _BREAK.search(text), _BREAK.search(text, place)
    end = ending[0] if ending else first[0] if first else "\n"
    joined = end.join(lines)
    if ending is None:
        return f"{text}{end}{joined}"
    return f"{text[: ending.end()]}{joined}{end}{text[ending.end() :]}"


def _flow(keys: Sequence[str], value: Value) -> str:
    inner = scalar(value)
    for key in reversed(keys):
        inner = f"{{{_key(key)}: {inner}}}"
    return inner


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z][A-Za-z0-9:_-]*", key) else json.dumps(key)


def _named(values: Mapping[Path, Value]) -> str:
    return ", ".join(".".join(path) for path in values)
