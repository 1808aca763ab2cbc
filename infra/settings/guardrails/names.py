"""What the names of a stack and of its region promise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from infra.settings import regions
from infra.settings.problems import Problems
from infra.settings.profiles import ProfileName

if TYPE_CHECKING:
    from infra.settings.model import Settings

# From the least to the most that a stack is protected.
_WORDS = {
    ProfileName.PROD: frozenset({"prod", "production", "prd", "live"}),
    ProfileName.STAGING: frozenset({"staging", "stage", "stg"}),
}
_NOT = ("non", "not", "no", "pre")
_STRICTNESS = (ProfileName.LOCAL, ProfileName.DEV, ProfileName.STAGING, ProfileName.PROD)


def profile_is_the_names(problems: Problems, settings: Settings) -> None:
    """Refuse a stack that is called prod, or prod-eu, without what prod promises."""
    stack = settings.stack
    named = _named(stack)
    if named in (ProfileName.STAGING, ProfileName.PROD) and _weaker(settings.profile, named):
        allowed = f"{named}, or a stricter profile, for a stack named {stack}"
        problems.note("profile", str(settings.profile), allowed, problems.set("profile", named))


def _named(stack: str) -> ProfileName | None:
    """Return the strictest profile that a word of the name promises; `non-prod` and `pre-prod` promise none."""
    words = re.findall(r"[a-z]+", stack)
    plain = [word for before, word in zip(["", *words], words, strict=False) if before not in _NOT]
    return next((profile for profile, names in _WORDS.items() if {*plain} & names), None)


def _weaker(profile: ProfileName, than: ProfileName) -> bool:
    return _STRICTNESS.index(profile) < _STRICTNESS.index(than)


def region_is_no_misspelling(problems: Problems, location: str) -> None:
    """Refuse a region that does not exist, if it is nearly the name of one that does."""
    if (meant := regions.meant_by(location)) is not None:
        allowed = f"a region of Azure, as in {meant}"
        problems.note("location", location, allowed, problems.set("location", meant))
