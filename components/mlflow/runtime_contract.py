"""The version of the contract between this program and the image: the variables that the topology gives each role.

A role refuses a variable that it does not know and misses one that it needs, so a program and an image of different
contracts do not start together. The image carries the number as a label, a stack's file names it, and the program
refuses another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

LABEL: Final = "org.mlflow.contract"
"""The label of an image whose roles read the variables of this contract."""

RECORDED: Final[Mapping[int, str]] = {
    1: "d02ad36c54779dc7",
    2: "b26921709ff26c82",
    3: "0ea850bbf19cc076",
    4: "a3c827a4c87b1277",
    5: "0dd63c4a20f108ac",
}
"""Each contract with the fingerprint of its variables. Another set of variables is a new line, never a changed one."""

CONTRACT: Final = max(RECORDED)
"""The contract of this program."""


def fingerprint(variables: Mapping[str, Iterable[str]]) -> str:
    """Return 16 digits for the names of the variables by role, in whatever order they are."""
    lines = (f"{role}: {' '.join(sorted(names))}\n" for role, names in sorted(variables.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
