"""What a condition of an Azure role assignment lets through."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence

WRITE = "Microsoft.Authorization/roleAssignments/write"
DELETE = "Microsoft.Authorization/roleAssignments/delete"

_TOKEN = re.compile(r"\s*(?:([()!{},])|'([^']*)'|@(\w+)\[([\w./]+):(\w+)\]|([\w:-]+))")


class Condition:
    """Azure's conditions, as far as ours go, by "Azure role assignment condition format and syntax".

    `allows` says whether an action on an assignment is let through, so that a test can ask what a text means.
    """

    def __init__(self, text: str) -> None:
        self._tokens = list(self._read(text))
        self._at = 0

    def allows(self, action: str, *, role: str, principal: str, principal_type: str = "ServicePrincipal") -> bool:
        """An assignment to be made has its attributes in the request, one that is there in the resource."""
        self._at = 0
        self._action = action
        source = "Request" if action.endswith("/write") else "Resource"
        self._attributes = {
            (source, "RoleDefinitionId"): role,
            (source, "PrincipalId"): principal,
            (source, "PrincipalType"): principal_type,
        }
        result = self._any()
        assert self._at == len(self._tokens), f"left over: {self._tokens[self._at :]}"
        return result

    @staticmethod
    def _read(text: str) -> Iterator[tuple[str, ...]]:
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            assert found, f"no token of the grammar: {text[at:]!r}"
            mark, literal, source, kind, attribute, word = found.groups()
            if source:
                assert kind == "Microsoft.Authorization/roleAssignments"
            yield ("'", literal) if literal is not None else ("@", source, attribute) if source else (mark or word,)
            at = found.end()

    def _take(self, *expected: str) -> tuple[str, ...]:
        token = self._tokens[self._at]
        assert not expected or token[0] in expected, f"{token} where one of {expected} belongs"
        self._at += 1
        return token

    def _next(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][0] == word:
            self._at += 1
            return True
        return False

    def _any(self) -> bool:
        result = self._all()
        while self._next("OR"):
            result = self._all() or result
        return result

    def _all(self) -> bool:
        result = self._one()
        while self._next("AND"):
            result = self._one() and result
        return result

    def _one(self) -> bool:
        if self._next("!"):
            return not self._one()
        if self._next("("):
            result = self._any()
            self._take(")")
            return result
        if self._next("ActionMatches"):
            return self._action in self._set()
        _, source, attribute = self._take("@")
        operator = self._take("ForAnyOfAnyValues:GuidEquals", "ForAnyOfAnyValues:StringEqualsIgnoreCase")[0]
        values, value = self._set(), self._attributes.get((source, attribute))
        if operator.endswith("GuidEquals"):
            assert all(uuid.UUID(each) for each in values)
        return value is not None and value.lower() in {each.lower() for each in values}

    def _set(self) -> Sequence[str]:
        self._take("{")
        values = [self._take()[-1]]
        while self._next(","):
            values.append(self._take()[-1])
        self._take("}")
        return values
