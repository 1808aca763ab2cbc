"""docs/guardrails.md, from the rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from delivery.reference.configuration import REPOSITORY
from infra.settings.guardrails import RULES, Rule
from infra.settings.guardrails.rule import DOCUMENT as WHERE

DOCUMENT = REPOSITORY / WHERE
_INTRODUCTION = """\
# Guardrails

`mlflow-platform reference` writes this file from `infra/settings/guardrails/`.

What is possible, and still refused. The rules run inside the program, before it creates anything, so no flag of a
command avoids them. A message names the value, what is allowed, a command, and the rule below. Wrong types, unknown
keys and impossible combinations are refused as well ([configuration](configuration.md)), and so is every encrypted
value.

A stack may break a rule for a time by a waiver in its file: who answers for it, why, and until when, at most
180 days ahead. Every preview shows it. A waiver that has expired, or whose rule the stack no longer breaks, is refused
like any other wrong value. Some rules cannot be waived: what they refuse fails on Azure, or reaches another stack.

```sh
pulumi config set --path waivers.prod-internet-outbound.owner ml-platform -s prod
pulumi config set --path waivers.prod-internet-outbound.reason "webhooks call the chat of the on-call team" -s prod
pulumi config set --path waivers.prod-internet-outbound.expires DAY -s prod
```

What compares stacks or times is not seen here: ranges that overlap with another stack's are a check of
`mlflow-platform doctor`, a budget below the stack's cost a line of `mlflow-platform preview`. A workflow of another
repository is noticed where the program runs in a GitHub workflow that may sign in, not on a laptop."""


def render(rules: Sequence[Rule] = RULES) -> str:
    """Return the document: a table of all rules, then a section for each."""
    return "\n".join(_lines(rules)) + "\n"


def _lines(rules: Sequence[Rule]) -> Iterator[str]:
    yield _INTRODUCTION
    yield from ("", "| rule | about | applies to | refuses |", "|---|---|---|---|")
    for rule in rules:
        yield f"| [{rule.id}](#{rule.id}) | {rule.subject} | {rule.scope} | {rule.refuses} |"
    for rule in rules:
        yield from ("", f"## {rule.id}", "")
        yield f"Applies to {rule.scope}. Refuses {rule.refuses}."
        yield ""
        yield f"- **Why:** {rule.reason}"
        yield f"- **Do:** {rule.remedy}"
        yield f"- **Source:** {rule.source}."
        yield f"- **Waiver:** {'possible' if rule.waivable else 'not possible'}."
