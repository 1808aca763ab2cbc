"""What the dynamic providers of this project have in common."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import ClassVar

from pulumi.dynamic import ResourceProvider


class Provider(ResourceProvider):
    """A dynamic provider that keeps nothing secret and speaks to its users in messages.

    Pulumi pickles an instance into the state by the name of its class: a subclass stays where it is, or the state that
    names it cannot be read any more; instances hold nothing. `errors` are those whose message is all that a user needs.
    """

    # The pickled provider is a class name; as a secret it would hide every diff of its resource.
    serialize_as_secret_always = False

    errors: ClassVar[tuple[type[Exception], ...]] = ()

    @contextlib.contextmanager
    def message_only(self) -> Iterator[None]:
        """Let an error of `errors` reach the user without a traceback; any other keeps its own."""
        try:
            yield
        except self.errors as error:
            # The provider's host sends what `traceback.format_exc` says.
            sys.tracebacklimit = 0
            raise error from None
