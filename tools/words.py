"""Refuse phrases that the project's English avoids: `python tools/words.py [FILE ...]`, every tracked file by default.

words.txt beside this file lists the phrases and what to write instead. Exit code 1 names each place as FILE:LINE.
Identifiers count like prose: their words are compared. Standard library only.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tools.steps import Report, ToolError, main

_CHECKOUT = Path(__file__).resolve().parents[1]
_TABLE = Path(__file__).with_name("words.txt")
_SUFFIXES = frozenset({".py", ".md", ".yaml", ".yml", ".toml", ".sh", ".in"})
_NAMES = frozenset({"Makefile", "Containerfile", "run"})
# The table itself, and the test that writes each phrase down.
_EXEMPT = frozenset({"tools/words.txt", "tests/tools/test_words.py"})
# Within an identifier, where a word with a capital letter begins.
_HUMP = r"(?<=[a-z])(?=[A-Z])"
# What may stand between the words of a phrase: the end of a string and the start of the next one, a line's end with a
# comment's sign, or what joins the words of an identifier.
_BETWEEN = rf"(?:\s*[\"']\s+[bfr]*[\"']\s*|[\s#*>]+|_|{_HUMP})"


def table(text: str) -> dict[str, str]:
    """What to write instead, by phrase in lower case. Raises ValueError for a line without a replacement."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        phrases, separator, instead = line.partition("|")
        if not separator or not instead.strip():
            raise ValueError(f"{line!r} has no replacement; expected: phrase, phrase | what to write")
        found |= {phrase.strip().lower(): instead.strip() for phrase in phrases.split(",")}
    return found


def violations(text: str, words: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """Each place as line number, phrase and what to write instead, in the order of the text."""
    longest_first = sorted(words, key=len, reverse=True)
    alternatives = "|".join(_BETWEEN.join(map(_word, phrase.split())) for phrase in longest_first)
    # "There is" before "none" is plain.
    begin, end = rf"(?:(?<![A-Za-z])|{_HUMP})(?<!(?i:there)[\s_])", rf"(?:(?![A-Za-z])|{_HUMP})"
    for match in re.finditer(rf"{begin}(?:{alternatives}){end}", text):
        phrase = " ".join(re.split(_BETWEEN, match.group())).lower()
        yield text.count("\n", 0, match.start()) + 1, phrase, words[phrase]


def _word(word: str) -> str:
    """A word in small letters, in capitals or with one. Python's `is None` and a constant NONE are not prose."""
    return f"(?:{word}|{word.capitalize()}|{word.upper()})" if word != "none" else word


def is_checked(path: str) -> bool:
    """Whether a file, named from the checkout's top, holds the project's own prose."""
    file = Path(path)
    return path not in _EXEMPT and (file.suffix in _SUFFIXES or file.name in _NAMES)


def _files(given: list[str]) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *given],
        cwd=_CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for path in listed.stdout.split("\0") if path and is_checked(path) and (_CHECKOUT / path).is_file()]


def _run(_report: Report) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE", help="files of the checkout (default: every tracked one)")
    words = table(_TABLE.read_text())
    count = 0
    for path in _files(parser.parse_args().files):
        for line, phrase, instead in violations((_CHECKOUT / path).read_text(), words):
            print(f'{path}:{line}: "{phrase}"; write: {instead}')
            count += 1
    if count:
        raise ToolError(f"{count} phrases that tools/words.txt lists. Write what stands behind each of them")


if __name__ == "__main__":
    sys.exit(main("words", _run))
