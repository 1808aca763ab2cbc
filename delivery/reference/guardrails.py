"""docs/guardrails.md, from the rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from delivery.reference.configuration import REPOSITORY
from infra import guardrails as resource_guardrails
from infra.guardrails.rule import DOCUMENT as WHERE
from infra.guardrails.rule import Guardrail
from infra.settings import guardrails

DOCUMENT = REPOSITORY / WHERE
_INTRODUCTION = """\
# Guardrails

`mlflow-platform reference` writes this file from `infra/settings/guardrails/` and `infra/guardrails/`.

What is possible, and still refused: by a stack's [settings](#rules-over-settings), and by what the program is about to
register on Azure, its [resources](#rules-over-resources). The rules run inside the program, before it creates
anything, so no flag of a command avoids them. One message has every problem: the value, what is allowed, what to do,
and the rule below. Wrong types, unknown keys and impossible combinations are refused as well
([configuration](configuration.md)), and so is every encrypted value.

A stack may break a rule for a time by a waiver in its file: who answers for it, why, and until when, at most
180 days ahead. Every preview shows it. A waiver that has expired, or whose rule the stack no longer breaks, is refused
like any other wrong value. Some rules cannot be waived: what they refuse fails on Azure, or reaches another stack.

```sh
pulumi config set --path waivers.prod-internet-outbound.owner ml-platform -s prod
pulumi config set --path waivers.prod-internet-outbound.reason "webhooks call the chat of the on-call team" -s prod
pulumi config set --path waivers.prod-internet-outbound.expires DAY -s prod
```

A message about a resource has the same as one command, whose words are to be replaced.

What compares stacks or times is not seen here: ranges that overlap with another stack's are a check of
`mlflow-platform doctor`, a budget below the stack's cost a line of `mlflow-platform preview`. A workflow of another
repository is noticed where the program runs in a GitHub workflow that may sign in, not on a laptop."""

_SETTINGS = """\
## Rules over settings

They look at a stack's file and its profile's values."""

_RESOURCES = """\
## Rules over resources

They look at each resource when the program makes it, whatever made it so: a changed component, a new resource, a
setting. A value that Azure has still to tell breaks no rule in a preview; it is looked at in the `up`, before its
resource is registered. What a setting decides, such as a public registry in dev, is for the rules over settings.

The same rules are a policy pack of Pulumi, `delivery/policy_pack`, for an organization that enforces one. It needs no
package beyond the program's. What a stack's settings decide, and its waivers, come from its configuration. A stack of
another program is held to every rule, as in production. The engine starts the file by the Python that is first on
PATH, so activate the program's environment; an engine before 3.274 takes the folder, by its Python language host.

```sh
pulumi preview --policy-pack delivery/policy_pack/__main__.py -s prod
```"""


def render() -> str:
    """Return the document: for settings and for resources a table of the rules, then a section for each."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    for introduction, rules in ((_SETTINGS, guardrails.RULES), (_RESOURCES, resource_guardrails.RULES)):
        yield from ("", introduction)
        yield from _sections(rules)


def _sections(rules: Sequence[Guardrail]) -> Iterator[str]:
    yield from ("", "| rule | about | applies to | refuses |", "|---|---|---|---|")
    for rule in rules:
        yield f"| [{rule.id}](#{rule.id}) | {rule.subject} | {rule.scope} | {rule.refuses} |"
    for rule in rules:
        yield from ("", f"### {rule.id}", "")
        yield f"Applies to {rule.scope}. Refuses {rule.refuses}."
        yield ""
        yield f"- **Why:** {rule.reason}"
        yield f"- **Do:** {rule.remedy}"
        yield f"- **Source:** {rule.source}."
        yield f"- **Waiver:** {'possible' if rule.waivable else 'not possible'}."
