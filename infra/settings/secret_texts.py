"""Recognizes texts that are secrets by their form, so that a stack's file has none and no message shows one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

HIDDEN: Final = "[hidden]"
_LEAST_SECRET: Final = 8

# Of their issuers' documents: tokens of GitHub, GitLab, Slack and AWS, JSON Web Tokens, a client secret of Entra, and
# keys and signatures of Azure's accounts.
_TOKEN: Final = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?)|\w{3}8Q~[\w.~-]{30,}"
    r"|(?<=AccountKey=)[^;\s'\"]+|(?<=SharedAccessKey=)[^;\s'\"]+|(?<=sig=)[\w%+/=-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY"
)
# What is before a password, and the password: up to the last @ of an address, but not up to that of a digest. Behind a
# host is its port and no password; a login without a scheme differs from a name with a version by the host's path. The
# bounds keep a text of many beginnings from taking long.
_PASSWORD: Final = re.compile(
    r"(://[^/\s:@'\"]{0,200}:)(?!\d{1,5}/)[^\s'\"]{1,1000}(?=@(?!sha\d+:))"
    r"|((?<![\w./:+-])[\w.+-]+:)[^\s/:'\"]+(?=@[\w-]+(?:\.[\w-]+)+[/:])"
    r"|((?:[Pp]assword|[Pp]wd)=)['\"]?[^;&\s'\"]+"
)
_NAME: Final = re.compile(
    r"(?i)(?:password|passwd|secret|token|credentials?|private[._ -]?key|(?:api|access|account|storage)[._ -]?key"
    r"|connection[._ -]?string)$"
)


def hidden(text: str, mark: Callable[[str], str] = lambda _: HIDDEN) -> str:
    """Return a text without the passwords and tokens in it; `mark` says what is in the place of each."""

    def without(found: re.Match[str]) -> str:
        before = found[found.lastindex or 0]
        return f"{before}{mark(found[0].removeprefix(before))}"

    return _PASSWORD.sub(without, _TOKEN.sub(lambda found: mark(found[0]), text))


def is_secret(text: str) -> bool:
    """Whether a text contains a token, an address with a password, or a password of a connection."""
    return _TOKEN.search(text) is not None or _PASSWORD.search(text) is not None


def in_words(text: str, environ: Mapping[str, str]) -> bool:
    """Whether words for a commit, a history or a log contain a secret, by its form or of the environment.

    A pipeline of Azure DevOps replaces `$(NAME)` in a field of its form, the job's token too. A shorter value of the
    environment than _LEAST_SECRET may be a word of any text.
    """
    named = [value.strip() for name, value in environ.items() if names_secret(name)]
    return "$(" in text or is_secret(text) or any(len(value) >= _LEAST_SECRET and value in text for value in named)


def names_secret(key: str) -> bool:
    """Whether a key is the name of a secret value, such as clientSecret."""
    return _NAME.search(key) is not None


def found(value: Any, *keys: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield the keys of each text in a value that has the form of a secret."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from found(inner, *keys, str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for index, inner in enumerate(value):
            yield from found(inner, *keys, index)
    elif isinstance(value, str) and is_secret(value):
        yield keys
