"""The commands that documents and messages advise, and whether each exists as it is written.

A command is looked up, not run: a target and its variables in the Makefile, a command and its options in the command
line's own tree, a module of this repository, a path in the settings' model, a stack among those with a file. What is
there to be pasted, in a fenced block or after `Run:`, is read by the command line itself too: it has to lack nothing.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby, pairwise, takewhile
from pathlib import Path
from typing import Any, Final

from typer.exceptions import TyperException

from delivery.cli import COMMANDS, PROGRAM, LazyCommand
from delivery.stacks import LOCAL, stacks
from infra.settings.fields import keys, section_of, type_name
from infra.settings.model import KEYS

REPOSITORY: Final = Path(__file__).parents[2]
_FENCE: Final = re.compile(r"^[ \t]*```(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)
_OF_SHELL: Final = re.compile(r" ?(?:sh|bash|shell|console)\b")
_PROMPT: Final = "$ "
_SPAN: Final = re.compile(r"`([^`]+)`")
_RUN: Final = re.compile(r"\bRun: ([^\n]+)")
_ADVISED: Final = re.compile(rf"(?:\.venv/bin/)?(?:make|{PROGRAM}|python3?|pulumi) [-\w.<]")
_SUBSTITUTION: Final = re.compile(r"\$\(([^()]+)\)")
_STACK_OPTIONS: Final = ("-s", "--stack")
# Stands for what an f-string puts in.
_PLACEHOLDER: Final = "PLACEHOLDER"


def of_markdown(text: str) -> list[str]:
    """The commands in a shell's fenced blocks, and those between backticks elsewhere."""
    return [*pasted_of_markdown(text), *_spans(_FENCE.sub("", text))]


def of_python(source: str) -> list[str]:
    """The commands that the strings of a module name, between backticks or after `Run:`."""
    return [found for text in _texts(ast.parse(source)) for found in (*_spans(text), *_after_run(text))]


def pasted_of_markdown(text: str) -> list[str]:
    """The commands in a shell's fenced blocks; of a block with prompts, those after a prompt."""
    return [one for block in _FENCE.findall(text) if _OF_SHELL.match(block) for one in _of_shell(_typed(block))]


def pasted_of_python(source: str) -> list[str]:
    """The commands after `Run:` in the strings of a module."""
    return [found for text in _texts(ast.parse(source)) for found in _after_run(text)]


def _typed(block: str) -> str:
    """What a person types of a fenced block, without its first line."""
    lines = textwrap.dedent(block.partition("\n")[2]).splitlines()
    typed = [line.removeprefix(_PROMPT) for line in lines if line.startswith(_PROMPT)]
    return "\n".join(typed or lines)


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
    found = found or _unknown_stack(Path(program).name, rest)
    return f"{command}: {found}" if found else None


def words_of(command: str) -> list[str]:
    """The words as a shell reads them, without variables before and what follows the command. Raises ValueError.

    `python -m delivery` is the command line's other name.
    """
    words = shlex.split(command, comments=True)
    words = list(takewhile(lambda word: not re.fullmatch(r"\d?>.*|[|&;]+", word), words))
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return [PROGRAM, *words[3:]] if words[1:3] == ["-m", "delivery"] else words


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
    if words[0] != "config" or len(words) < 3 or words[1] not in ("set", "set-all", "rm", "get"):
        return None
    given = [word for before, word in pairwise(words[1:]) if not word.startswith("-") and before not in _STACK_OPTIONS]
    named = [word.partition("=")[0] for word in given if "=" in word] if words[1] == "set-all" else given[:1]
    return next((found for key in named if (found := _key(key, inside="--path" in words))), None)


def _key(key: str, *, inside: bool) -> str | None:
    """What is wrong with a key or, `inside` an object, with a path; a part that is a placeholder ends it."""
    first, *parts = re.split(r"[.\[]", key.removeprefix("mlflow-platform:"))
    if not first[:1].islower() or ":" in first:
        return None  # a placeholder, or another provider's
    if first not in KEYS:
        return f"the program has no key {first!r}"
    if parts and not inside:
        return f"{key} is inside an object: say --path"
    setting = KEYS[first]
    for part in parts:
        if not part[:1].islower() or type_name(setting) == "list":
            return None
        section = section_of(setting)
        if section is None:
            return None if type_name(setting) == "object" else f"{key}: a {type_name(setting)} has no {part!r}"
        if part not in keys(section):
            return f"{key}: there is no setting {part!r}"
        setting = keys(section)[part]
    return None


def _unknown_stack(program: str, words: list[str]) -> str | None:
    """Say which stack that the words name has no file; a placeholder such as STACK names none."""
    named: list[str] = []
    if program == "pulumi":
        named = [word for before, word in pairwise(words) if before in _STACK_OPTIONS]
    elif program == "make":
        named = [word.removeprefix("STACK=") for word in words if word.startswith("STACK=")]
    elif program == PROGRAM and words[0] in COMMANDS:
        named = _stacks_of(*words)
    missing = [name for name in named if re.fullmatch(r"[a-z][a-z0-9-]*", name) and name not in stacks()]
    return f"there is no stack {', '.join(missing)}" if missing else None


def _stacks_of(name: str, *words: str) -> list[str]:
    command = _tree(name)
    try:
        given = command.make_context(name, list(words), resilient_parsing=True).params
    except TyperException:
        return []  # `refusal` says what the command line does not take
    found = given.get("stack") or given.get("stacks") or ()
    return [found] if isinstance(found, str) else list(found)
