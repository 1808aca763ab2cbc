"""Data that is lost, or is left behind where nothing finds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from delivery.preview.causes import Cause, causes
from delivery.preview.plan import Op, Plan, Step, physical_name
from delivery.preview.reasons import Found, Reason, Subject, Verdict
from delivery.preview.text import Code, Part, Strong, count, listed, value


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What a type of resource holds: a word for a title, and what is gone with it."""

    word: str
    holds: str


_GROUP: Final = "resources:ResourceGroup"
HOLDINGS: Final[Mapping[str, Holding]] = {
    _GROUP: Holding(word="resource group", holds="everything in it"),
    "dbforpostgresql:Server": Holding(word="database", holds="runs, traces, models"),
    "dbforpostgresql:Database": Holding(word="database", holds="runs, traces, models"),
    "storage:StorageAccount": Holding(word="blobs", holds="artifacts"),
    "storage:BlobContainer": Holding(word="blobs", holds="artifacts"),
    "keyvault:Vault": Holding(
        word="vault",
        holds="secrets (without `crypto-kek-passphrase` parts of the database cannot be read, and Azure keeps the "
        "vault's name for the days of its soft deletion)",
    ),
    "containerregistry:Registry": Holding(word="images", holds="images, the one that runs among them"),
    "operationalinsights:Workspace": Holding(word="logs", holds="logs"),
    "network:PublicIPAddress": Holding(word="outbound address", holds="an address that stands in others' allow-lists"),
}
"""By type without package. The order is that of a title."""


def data(plan: Plan) -> Iterator[Found]:
    """Resources with data that are recreated empty or deleted. A renamed one is reported apart: its data could stay."""
    renamed = {pair.gone.urn: pair for pair in renames(plan)}
    for pair in renamed.values():
        yield Reason(
            subject=Subject.DATA,
            verdict=Verdict.REFUSED,
            headline=f"would recreate renamed {HOLDINGS[pair.gone.kind].word} empty",
            phrase=[
                Code(pair.gone.name),
                " is deleted and ",
                Code(pair.made.name),
                " created with the same name on Azure, ",
                Code(pair.name),
                ". ",
                Strong("No data is moved."),
                " In the program the resource only got another name: give it an alias with the old one, ",
                Code(f'aliases=[pulumi.Alias(name="{pair.gone.name}")]'),
                ", and for another parent its `parent` too.",
            ],
            urn=pair.made.urn,
        )
    replaced = [(cause, _holding([cause.step, *cause.followers])) for cause in causes(plan)]
    headline = f"would recreate {_words([step for _, lost in replaced for step in lost])} empty"
    for cause, lost in replaced:
        if lost:
            yield _replaced(cause, lost, plan, headline)
    deleted = [step for step in _holding(plan.of(Op.DELETE)) if step.urn not in renamed]
    if deleted:
        yield Reason(
            subject=Subject.DATA,
            verdict=Verdict.REFUSED,
            headline=f"would delete {_words(deleted)}",
            phrase=[*listed(step.name for step in deleted), f" {_is(deleted)} deleted with ", _held(deleted), "."],
            urn=deleted[0].urn,
        )


@dataclass(frozen=True, kw_only=True)
class Rename:
    """A resource that is deleted while another one of its type is created under its name on Azure."""

    gone: Step
    made: Step
    name: str


def renames(plan: Plan) -> list[Rename]:
    """Each resource with data whose name in the program changes and whose name on Azure does not."""
    made = {(step.kind, physical_name(step.kind, step.new)): step for step in plan.of(Op.CREATE)}
    found = []
    for gone in _holding(plan.of(Op.DELETE)):
        name = physical_name(gone.kind, gone.old)
        other = made.get((gone.kind, name))
        if name and other is not None:
            found.append(Rename(gone=gone, made=other, name=name))
    return found


def _replaced(cause: Cause, lost: Sequence[Step], plan: Plan, headline: str) -> Reason:
    parts: list[Part] = []
    for index, difference in enumerate(cause.changed):
        parts += [", " if index else "", Code(f"{cause.step.name}.{difference.path}"), " "]
        parts += [value(difference.before), " → ", value(difference.after)]
    replaced = 1 + len(cause.followers)
    return Reason(
        subject=Subject.DATA,
        verdict=Verdict.REFUSED,
        headline=headline,
        phrase=[
            *(parts or [Code(cause.step.name)]),
            f" replaces {replaced} of {count(len(plan.steps), 'resource')}, with data: ",
            *listed(step.name for step in lost),
            ". ",
            Strong("No data is moved."),
            " Gone with them: ",
            _held(lost),
            ". Do not take the protection away for this: take the change back, or make a second stack and move the "
            "data.",
        ],
        urn=cause.step.urn,
    )


def _holding(steps: Sequence[Step]) -> list[Step]:
    order = list(HOLDINGS)
    return sorted((step for step in steps if step.kind in HOLDINGS), key=lambda step: order.index(step.kind))


def _words(steps: Sequence[Step]) -> str:
    found = {HOLDINGS[step.kind].word for step in steps if step.kind != _GROUP}
    words = [word for word in dict.fromkeys(one.word for one in HOLDINGS.values()) if word in found]
    if not words:
        return "the resource group"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _held(steps: Sequence[Step]) -> str:
    inside = [step for step in steps if step.kind != _GROUP] or steps
    return "; ".join(dict.fromkeys(HOLDINGS[step.kind].holds for step in inside))


def _is(steps: Sequence[Step]) -> str:
    return "is" if len(steps) == 1 else "are"
