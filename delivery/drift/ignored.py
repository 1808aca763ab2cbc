"""Differences that Azure makes by itself and that nobody has to decide on; each with its reason and its source."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from delivery.preview.differences import ABSENT, Difference
from delivery.preview.plan import Step


def _came(before: Any, after: Any) -> bool:
    return before is ABSENT and after is not ABSENT


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """A rule: `kind` is a type without package and `path` an expression, each for the whole of it.

    `when` looks at the program's value and Azure's; a difference of another direction is reported.
    """

    kind: str
    path: str
    reason: str
    source: str
    when: Callable[[Any, Any], bool]

    def covers(self, step: Step, difference: Difference) -> bool:
        """Whether the rule lets this difference of a resource pass."""
        return (
            re.fullmatch(self.kind, step.kind) is not None
            and re.fullmatch(self.path, difference.path) is not None
            and self.when(difference.before, difference.after)
        )


IGNORED: Final[Sequence[Ignored]] = (
    Ignored(
        kind=r".*",
        path=r"tags\.(hidden-.*|ms-resource-usage)",
        when=_came,
        reason="The portal and Azure's own services mark resources with hidden tags.",
        source='Learn, "Use tags to organize your Azure resources": hidden tags',
    ),
)
"""What the program itself leaves to Azure is not here: the engine passes over it, as `ignore_changes` says."""
