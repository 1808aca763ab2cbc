"""The commands that documents and messages advise, and whether each exists as it is written.

A command is looked up, not run: a target and its variables in the Makefile, a command and its options in the command
line's own tree, a module of this repository, a key of the program's configuration. What is there to be pasted, in a
fenced block or after `Run:`, is read by the command line itself too: it has to lack nothing.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any, Final

import yaml
from typer.exceptions import TyperException

from delivery.cli import COMMANDS, PROGRAM, LazyCommand
from delivery.stacks import LOCAL

REPOSITORY: Final = Path(__file__).parents[2]
_FENCE: Final = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"`([^`]+)`")
_RUN: Final = re.compile(r"\bRun: ([^\n]+)")
_ADVISED: Final = re.compile(rf"(?:make|{PROGRAM}|python3?|pulumi) [-\w.<]")
_SUBSTITUTION: Final = re.compile(r"\$\(([^()]+)\)")
# Stands for what an f-string puts in.
_PLACEHOLDER: Final = "PLACEHOLDER"


def of_markdown(text: str) -> list[str]:
    """The commands in fenced `sh` blocks, and those between backticks elsewhere."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [*pasted_of_markdown(text), *_spans(prose)]


def of_python(source: str) -> list[str]:
    """The commands that the strings of a module name, between backticks or after `Run:`."""
    return [found for text in _texts(ast.parse(source)) for found in (*_spans(text), *_after_run(text))]


def pasted_of_markdown(text: str) -> list[str]:
    """The commands in fenced `sh` blocks."""
    return [one for block in _FENCE.findall(text) for one in _of_shell(block)]


def pasted_of_python(source: str) -> list[str]:
    """The commands after `Run:` in the strings of a module."""
    return [found for text in _texts(ast.parse(source)) for found in _after_run(text)]


def refusal(command: str) -> str | None:
    """What the command line says against the words of a command, and runs nothing; None if it takes them."""
    program, *words = words_of(command) or [""]
    if Path(program).name != PROGRAM or not words or words[0] not in COMMANDS or "--help" in words:
        return None
    read, context, rest = _tree(words[0]), None, words[1:]
    try:
        while True:
            context = read.make_context(read.name, list(rest), parent=context)
            if not hasattr(read, "commands"):
                lacking = _lacking(words[0], context.params)
                return f"{command}: {lacking}" if lacking else None
            _, read, rest = read.resolve_command(context, rest)
    except TyperException as error:
        return f"{command}: {error}"


def _lacking(name: str, given: Mapping[str, Any]) -> str | None:
    """What a command asks for by itself, since it depends on another word."""
    if name == "up" and given["stack"] != LOCAL and given["approved"] is None:
        return "a stack on Azure needs --approved PLAN"
    return None


def problem(command: str) -> str | None:
    """Why a command does not work as it is written; None if it does, or if it is not one of this project's."""
    try:
        words = words_of(command)
    except ValueError as error:
        return f"{command}: {error}"
    if len(words) < 2:
        return None
    program, *rest = words
    checks = {"make": _make, PROGRAM: _platform, "python": _python, "python3": _python, "pulumi": _pulumi}
    found = checks[Path(program).name](rest) if Path(program).name in checks else None
    return f"{command}: {found}" if found else None


def words_of(command: str) -> list[str]:
    """The words as a shell reads them, without variables before and what follows the command. Raises ValueError."""
    words = shlex.split(command, comments=True)
    words = list(takewhile(lambda word: not re.fullmatch(r"\d?>.*|[|&;]+", word), words))
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words


def _of_shell(block: str) -> Iterator[str]:
    for line in _whole(block.replace("\\\n", " ").splitlines()):
        code = line.partition(" #")[0]
        # What a substitution runs is a command too.
        yield from (inner.strip() for inner in _SUBSTITUTION.findall(code))
        yield from _parts(_SUBSTITUTION.sub("value", code))


def _whole(lines: Sequence[str]) -> Iterator[str]:
    """Each line with those that its quotation goes on in."""
    begun = ""
    for line in lines:
        begun = f"{begun}\n{line}" if begun else line
        try:
            shlex.split(begun, comments=True)
        except ValueError:
            continue
        yield begun
        begun = ""
    if begun:
        yield begun


def _spans(text: str) -> Iterator[str]:
    for span in _SPAN.findall(text):
        line = " ".join(span.split())
        if _ADVISED.match(line):
            yield from _parts(line)


def _parts(line: str) -> Iterator[str]:
    """The commands of a line, each as a shell would write it; the line itself if a shell cannot read it."""
    words = shlex.shlex(line, posix=True, punctuation_chars=";|&")
    words.whitespace_split = True
    words.commenters = ""
    try:
        for is_separator, part in groupby(words, lambda word: set(word) <= set(";|&")):
            if not is_separator:
                yield shlex.join(part)
    except ValueError:
        yield line


def _after_run(text: str) -> Iterator[str]:
    yield from (found.strip().rstrip(".") for found in _RUN.findall(text) if _ADVISED.match(found))


def _texts(tree: ast.AST) -> Iterator[str]:
    """The strings of a module; an f-string is one, with a placeholder for each of its values."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(map(_value, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def _value(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else _PLACEHOLDER


def _make(words: list[str]) -> str | None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)
    for word in words:
        name, equals, _ = word.partition("=")
        if equals and not re.search(rf"\$[({{]{name}\b|^{name} \?=", makefile, re.MULTILINE):
            return f"the Makefile knows no variable {name}"
        if not equals and not word.startswith("-") and word not in (*targets, _PLACEHOLDER):
            return f"the Makefile has no target {word!r}"
    return None


@cache
def _tree(name: str) -> Any:
    target, summary = COMMANDS[name]
    return LazyCommand(name, target, summary).load()


def _platform(words: list[str]) -> str | None:
    name, *rest = words
    if name in ("-h", "--help", "COMMAND"):
        return None
    if name not in COMMANDS:
        return f"there is no command {name!r}"
    command = _tree(name)
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    if rest and getattr(command, "commands", {}) and not rest[0].startswith("-"):
        return f"{name} has no command {rest[0]!r}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in {*known, "--help"}]
    return f"{name} has no option {', '.join(unknown)}" if unknown else None


def _python(words: list[str]) -> str | None:
    if words[0] == "-m" and len(words) > 1:
        module = words[1].rstrip(".")
        top = module.partition(".")[0]
        if not (REPOSITORY / top).is_dir() or not re.fullmatch(r"[a-z_.]+", module):
            return None  # not this repository's, or a placeholder
        try:
            found = importlib.util.find_spec(module)
            runs = found is not None and (
                found.submodule_search_locations is None or importlib.util.find_spec(f"{module}.__main__") is not None
            )
        except ModuleNotFoundError:
            runs = False
        return None if runs else f"there is no program {module}"
    if words[0].endswith(".py") and "/" in words[0] and not words[0].startswith("/"):
        return None if (REPOSITORY / words[0]).is_file() else f"there is no file {words[0]}"
    return None


def _pulumi(words: list[str]) -> str | None:
    """`config set` and its like name a key of this program, and say `--path` for one inside an object."""
    if words[0] != "config" or len(words) < 3 or words[1] not in ("set", "rm", "get"):
        return None
    key = next((word for word in words[2:] if not word.startswith("-")), None)
    if key is None or not re.fullmatch(r"[a-z][A-Za-z.\-:]*", key):
        return None  # a placeholder
    own = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"]
    first, dot, _ = key.removeprefix("mlflow-platform:").partition(".")
    if ":" in first:
        return None  # another provider's
    if first not in own:
        return f"the program has no key {first!r}"
    return f"{key} is inside an object: say --path" if dot and "--path" not in words else None
