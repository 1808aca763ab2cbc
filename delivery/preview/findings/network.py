"""Which networks may call which from now on."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from components.azure.network_plan import CALLERS_RULE
from delivery.preview.findings.settings import own_value
from delivery.preview.plan import Op, Plan, Step, is_unknown
from delivery.preview.reasons import Found, Reason, Row, Subject, Verdict
from delivery.preview.text import Code, Part, Phrase, Strong, count, listed, value

RULES = "network:NetworkSecurityGroup"
SUBNET = "network:Subnet"
NETWORK = "network:VirtualNetwork"
LINK = "privatedns:VirtualNetworkLink"
ENVIRONMENT = "app:ManagedEnvironment"
_SERVES: Final = frozenset({"app:ContainerApp", "kubernetes:apps/v1:Deployment"})
_ANYBODY: Final = frozenset({"*", "Internet", "0.0.0.0/0", "::/0"})


def network(plan: Plan) -> Iterator[Found]:
    """Rules that let somebody in or out who was not, or no longer. A first deployment has nothing to compare."""
    own = _own_ranges(plan)
    for step in plan.of(Op.UPDATE, Op.REPLACE):
        if step.kind == RULES:
            yield from _rules(step, own)


def cut_off(plan: Plan) -> Iterator[Found]:
    """Nodes of other networks that no longer reach the data, though services may run there.

    The engine deletes the previous services at the very end, and no plan says what runs on nodes of another owner.
    """
    if not any(step.kind in _SERVES and step.before for step in plan.steps):
        return
    lost: dict[ipaddress.IPv4Network, Step] = {}
    for step in plan.of(Op.UPDATE):
        was, now = (_ranges(_allowed(inputs).get(CALLERS_RULE)) for inputs in (step.old, step.new))
        for gone in _without(was, now):
            lost.setdefault(gone, step)
    for index, (gone, step) in enumerate(sorted(lost.items()), start=_caller_ranges(plan.config)):
        yield Reason(
            subject=Subject.OUTAGE,
            verdict=Verdict.DECIDE,
            headline="cuts nodes off from the data",
            phrase=[
                Strong("Outage."),
                " ",
                Code(str(gone)),
                " no longer reaches database and private endpoints, from the beginning of the update on. Services that "
                "run there fail. Let it in for as long as some do.",
            ],
            remedy=f"pulumi config set --path 'network.callerRanges[{index}]' {gone} -s {plan.stack}",
            urn=step.urn,
        )


def _ranges(rule: Mapping[str, Any] | None) -> list[ipaddress.IPv4Network]:
    found = []
    for address in _both(rule or {}, _SIDES[True]):
        # What somebody changed by hand need not be a range.
        with contextlib.suppress(ValueError):
            found.append(ipaddress.IPv4Network(address, strict=False))
    return found


def _without(
    ranges: Sequence[ipaddress.IPv4Network], others: Sequence[ipaddress.IPv4Network]
) -> list[ipaddress.IPv4Network]:
    """Return the addresses of ranges that no other range contains, as ranges."""
    left = [*ranges]
    for other in others:
        apart = [each for each in left if not each.overlaps(other)]
        parts = (each.address_exclude(other) for each in left if other.subnet_of(each))
        left = [*apart, *itertools.chain.from_iterable(parts)]
    return [*ipaddress.collapse_addresses(left)]


def _caller_ranges(config: Mapping[str, str]) -> int:
    """Return how many ranges of nodes the stack's file names."""
    try:
        return len(json.loads(own_value(config, "network") or "{}").get("callerRanges", ()))
    except (ValueError, TypeError, AttributeError):
        return 0


def links(plan: Plan) -> Iterator[Found]:
    """Other networks that resolve the stack's private names from now on, or no longer.

    One that is known after the update is another one, unless its value comes from the stack's own network.
    """
    own = {one.id.lower() for step in plan.steps if step.kind == NETWORK for one in (step.before, step.after) if one}
    for step in plan.of(Op.CREATE, Op.DELETE, Op.UPDATE, Op.REPLACE):
        if step.kind != LINK or plan.empty_before:
            continue
        was, now = _linked(step.old), _linked(step.new)
        is_own = now.lower() in {*own, ""} or (is_unknown(now) and _takes_own(step, plan))
        if was == now or (is_own and was.lower() in {*own, ""}):
            continue
        then: Part = value(now) if is_unknown(now) else Code(now)
        yield Row(
            subject=Subject.NETWORK,
            what=Code(step.name),
            now=[Code(was) if was else "none"],
            after=[then if now else "none"],
        )
        if not is_own:
            named: Phrase = ["A network that is ", then] if is_unknown(now) else [then]
            yield Reason(
                subject=Subject.NETWORK,
                verdict=Verdict.DECIDE,
                headline="lets another network resolve its names",
                phrase=[Strong("Network."), " ", *named, " resolves the stack's private names."],
                urn=step.urn,
            )


def _linked(inputs: Mapping[str, Any]) -> str:
    return str((inputs.get("virtualNetwork") or {}).get("id") or "")


def _takes_own(step: Step, plan: Plan) -> bool:
    """Whether the network that a link names comes from the stack's own networks alone."""
    sources = [plan.at(urn) for urn in step.state.depends_on.get("virtualNetwork", ())]
    return bool(sources) and all(one is not None and one.kind == NETWORK for one in sources)


def _own_ranges(plan: Plan) -> set[str]:
    """The ranges of the stack's own subnets after the update."""
    return {str(step.new.get("addressPrefix")) for step in plan.steps if step.kind == SUBNET and step.after}


def _rules(step: Step, own: set[str]) -> Iterator[Found]:
    before, after = _allowed(step.old), _allowed(step.new)
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        yield Row(subject=Subject.NETWORK, what=Code(f"{step.name} {name}"), now=allowed(was), after=allowed(now))
        inbound = (now or {}).get("direction") == "Inbound"
        reached, reached_before = (_both(rule, _SIDES[inbound]) if rule else [] for rule in (now, was))
        gained = sorted(set(reached) - set(reached_before) - own)
        outside = [address for address in gained if _public(address)]
        # Which other parts of the network a service may call is the program's own.
        if not (gained if inbound else outside):
            continue
        yield Reason(
            subject=Subject.NETWORK,
            verdict=Verdict.DECIDE,
            headline=_headline(inbound=inbound, outside=bool(outside)),
            phrase=[
                Strong("Network."),
                " The rule ",
                Code(name),
                " of ",
                Code(step.name),
                " lets in " if inbound else " lets out to ",
                *listed(gained),
                *([": ", *listed(outside), " reach beyond private networks"] if outside else []),
                ". Until now: ",
                *(listed(reached_before) or ["nobody" if inbound else "none of them"]),
                ".",
            ],
            urn=step.urn,
        )


_SIDES: Final = {True: "sourceAddressPrefix", False: "destinationAddressPrefix"}
"""By whether a rule is of calls from outside, where it says who is outside."""


def _headline(*, inbound: bool, outside: bool) -> str:
    if not inbound:
        return "lets services out to the internet"
    return "opens the network to the internet" if outside else "opens the network"


def _allowed(inputs: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        str(rule["name"]): {key: value for key, value in rule.items() if key not in ("priority", "description")}
        for rule in inputs.get("securityRules") or ()
        if isinstance(rule, Mapping) and "name" in rule and rule.get("access") == "Allow"
    }


def allowed(rule: Mapping[str, Any] | None) -> Phrase:
    """What a rule lets through: from where to where, on which ports."""
    if rule is None:
        return ["none"]
    ports = _both(rule, "destinationPortRange")
    return [
        *(listed(_both(rule, "sourceAddressPrefix")) or ["nobody"]),
        " → ",
        *(listed(_both(rule, "destinationAddressPrefix")) or ["nobody"]),
        " port ",
        *listed(ports),
    ]


def _both(rule: Mapping[str, Any], field: str) -> list[str]:
    """A field of a rule, which Azure has once for one value and once for many."""
    many = rule.get(f"{field}es" if field.endswith("x") else f"{field}s") or ()
    one = rule.get(field)
    return [str(value) for value in ([one] if one else []) + list(many)]


def _public(address: str) -> bool:
    if address in _ANYBODY:
        return True
    try:
        return not ipaddress.ip_network(address, strict=False).is_private
    except ValueError:
        return False  # a service tag, such as VirtualNetwork


def first_exposure(plan: Plan) -> int:
    """How many rules of a first deployment let the internet in."""
    return sum(
        1
        for step in plan.of(Op.CREATE)
        if step.kind == RULES
        for rule in _allowed(step.new).values()
        if rule.get("direction") == "Inbound"
        and any(_public(address) for address in _both(rule, "sourceAddressPrefix"))
    )


def _is_public(step: Step) -> bool:
    """Return whether a step makes an environment whose gateway the internet calls, past all rules of the network."""
    return step.kind == ENVIRONMENT and step.new.get("publicNetworkAccess") == "Enabled"


def exposure(plan: Plan) -> Iterator[Found]:
    """A first deployment says what of it the internet reaches: the gateway, and what rules let in."""
    if plan.empty_before and any(step.kind == RULES for step in plan.steps):
        rules = first_exposure(plan)
        reached = [
            *(["the gateway"] if any(_is_public(step) for step in plan.of(Op.CREATE)) else []),
            *([f"what {count(rules, 'rule')} let in"] if rules else []),
        ]
        text = " and ".join(reached) or "nothing"
        yield Row(subject=Subject.NETWORK, what="reachable from the internet", now=["nothing"], after=[text])
