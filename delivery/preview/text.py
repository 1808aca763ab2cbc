"""What a report says, apart from how it is shown: phrases whose parts are words of ours or values of others.

Names, tags, settings and messages come from a pull request, so they are data. Only `Code` holds them; each form of the
report shows a `Code` so that nothing in it is rendered, linked or notified.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from delivery.preview.differences import ABSENT
from delivery.preview.plan import is_unknown
from infra.settings import secret_texts

_MASK: Final = "[secret]"

LONGEST_VALUE: Final = 120
"""Characters of a property's value that a report shows; the rest is cut and marked."""

LONGEST_TEXT: Final = 1000
"""The same for any other text of somebody else, such as a message or a name."""


@dataclass(frozen=True)
class Code:
    """A value of somebody else, shown as it is."""

    value: str


@dataclass(frozen=True)
class Strong:
    """Words of ours that have to be seen."""

    words: str


# A digest by its first digits, an id of Azure by its last type and name.
_SHORTENED: Final = re.compile(
    r"sha256:(?P<digest>[0-9a-f]{8})[0-9a-f]{56}|/subscriptions/[^\s\"']*/(?P<id>[^/\s\"']+/[^/\s\"',;]+)"
)


def _short(found: re.Match[str]) -> str:
    return f"sha256:{found['digest']}…" if found["digest"] else f"…/{found['id']}"


def shortened(text: str) -> str:
    """A text of somebody else with its digests and ids of Azure in short."""
    return _SHORTENED.sub(_short, text)


Part = str | Code | Strong
Phrase = Sequence[Part]


def value(of: Any) -> Part:
    """A value of a resource or setting as a part of a phrase."""
    if of is ABSENT or of is None:
        return "none"
    if is_unknown(of):
        return "known after the update"
    return Code(shown(of))


def masked(of: Any, mark: Callable[[str], str] = lambda _: _MASK) -> Any:
    """A value of a document without the secrets in it, by their form and by the names of keys.

    `mark` says what is in the place of each.
    """
    if isinstance(of, Mapping):
        return {key: mark(one) if _is_secret(str(key), one) else masked(one, mark) for key, one in of.items()}
    if isinstance(of, list):
        return [masked(one, mark) for one in of]
    return secret_texts.hidden(of, mark) if isinstance(of, str) else of


def numbered() -> Callable[[str], str]:
    """Return a mark for `masked` by which what differs still does: a secret has the same number wherever it is."""
    numbers: dict[str, int] = {}
    return lambda secret: f"[secret {numbers.setdefault(secret, len(numbers) + 1)}]"


def _is_secret(key: str, of: Any) -> bool:
    return isinstance(of, str) and secret_texts.names_secret(key)


def shown(of: Any) -> str:
    """A value in one line, without secrets, cut where it is long."""
    of = masked(of)
    text = of if isinstance(of, str) else json.dumps(of, sort_keys=True, default=str)
    if isinstance(of, float) and of.is_integer():
        text = str(int(of))
    text = shortened(" ".join(text.split()))
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def listed(values: Iterable[str], most: int = 6) -> list[Part]:
    """Values with commas between them; beyond `most` how many more there are."""
    every = list(values)
    parts: list[Part] = []
    for index, one in enumerate(every[:most]):
        parts += [", ", Code(one)] if index else [Code(one)]
    if len(every) > most:
        parts.append(f" and {len(every) - most} more")
    return parts


def plain(phrase: Phrase) -> str:
    """The phrase without any markup, in one line and without control characters."""
    return "".join(_words(part) for part in phrase)


def printable(text: str) -> str:
    """A text of somebody else in one line: control characters are visible, so that no terminal obeys them.

    Tokens and passwords in it are hidden.
    """
    line = " ".join(secret_texts.hidden(text).split())
    line = line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}…"
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in line)


def _words(part: Part) -> str:
    match part:
        case Code(value=words):
            return printable(words)
        case Strong(words=words):
            return words
        case _:
            return part


def count(number: int, word: str, words: str | None = None) -> str:
    """A number with its noun: `1 resource`, `2 resources`."""
    return f"{number} {word if number == 1 else words or f'{word}s'}"


def tally(of: Mapping[str, int]) -> str:
    """`3 updates, 1 create` in the order of the mapping, without zeros."""
    return ", ".join(count(number, word) for word, number in of.items() if number)
