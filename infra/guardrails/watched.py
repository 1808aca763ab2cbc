"""Whether another resource, such as a lock, is about a resource."""

from __future__ import annotations

from collections.abc import Sequence

from infra.guardrails.resource import Resource


def unwatched(resource: Resource, others: Sequence[Resource], path: str) -> bool:
    """Return whether none of the others is about the resource. `path` is the property that says of which one it is.

    One that does not say of which resource it is may be about this one: the value is not known yet.
    """
    about = [other.refers.get(path) for other in others]
    return not any(keys is None or resource.key in keys for keys in about)
