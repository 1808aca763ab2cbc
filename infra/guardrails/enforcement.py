"""Runs the rules inside the program, by Pulumi's own transformations, before anything is registered.

A transformation sees each resource when the program makes it, and has its registration wait for the verdict. That comes
when the program has made them all: either nothing is wrong, or nothing is registered and one message has every problem.
An output whose value is known only while the engine runs is looked at then, before its resource is registered.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pulumi

from infra.guardrails import RULES, types
from infra.guardrails.resource import UNKNOWN, Facts, Resource, Stack, leaves
from infra.guardrails.rule import Broken, ResourceRule, ResourceScope, said
from infra.settings import guardrails
from infra.settings.azure import Exposure
from infra.settings.bootstrap import Bootstrap
from infra.settings.model import Settings
from infra.settings.problems import Problem, Problems, path

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_MADE_IN: Final = tuple(f"{_REPOSITORY / folder}/" for folder in ("components", "infra"))
_LOOKED_AT: Final = ("azure-native:", "kubernetes:", "pulumi-python:dynamic")
_WAIVED_DAYS: Final = 30
"""Of the waiver that a message offers."""
_UNDERSCORE: Final = re.compile(r"_([a-z0-9])")


def facts(settings: Settings | Bootstrap) -> Facts:
    """Return what the settings of a stack on Azure decide."""
    if isinstance(settings, Bootstrap):
        return Facts(bootstrap=True, private_registry=False, protect=settings.file.protect)
    azure = settings.azure
    if azure is None:
        raise ValueError(f"{settings.stack}: got a stack on one machine; expected one on Azure.")
    return Facts(
        public_gateway=azure.exposure is Exposure.PUBLIC,
        private_registry=azure.private_registry,
        protect=azure.protect,
        purge_protection=azure.purge_protection,
    )


def waived(settings: Settings | Bootstrap) -> Mapping[str, Mapping[str, str]]:
    """Return the waivers of rules over resources; the settings have refused wrong and expired ones."""
    given = settings.azure.waivers if isinstance(settings, Settings) and settings.azure else {}
    rules = {rule.id for rule in RULES}
    return {rule: waiver for rule, waiver in given.items() if rule in rules}


def passed(settings: Settings | Bootstrap) -> str:
    """Return the line by which the engine, and a report after it, has how many rules looked at the stack."""
    waivers: Mapping[str, Any] = {}
    if isinstance(settings, Bootstrap):
        looked = [rule.id for rule in RULES if rule.scope is ResourceScope.AZURE]
    else:
        waivers = settings.azure.waivers if settings.azure else {}
        looked = [rule.id for rule in guardrails.RULES if rule.applies(settings)] + [rule.id for rule in RULES]
    return f"guardrails: {len(looked) - len(waivers)} passed, {len(waivers)} waived"


@contextlib.contextmanager
def enforced(settings: Settings | Bootstrap) -> Iterator[None]:
    """Refuse, at the end of the block, what its resources break. A program that fails inside it registers nothing.

    Raises RunError with every problem. A stack on one machine has no resource that a rule looks at.
    """
    if isinstance(settings, Settings) and settings.azure is None:
        yield
        return
    watch = _Watch(settings)
    pulumi.runtime.register_stack_transformation(watch.meet)
    try:
        yield
        watch.decide()
        pulumi.log.info(passed(settings))
    except BaseException as error:
        watch.release(error)
        raise
    watch.release()


@dataclass(frozen=True, kw_only=True)
class _Met:
    """A resource as the program made it. It has an id of its own only after its constructor."""

    resource: Resource
    made: pulumi.Resource
    outputs: Mapping[str, pulumi.Output[Any]]


class _Watch:
    """The resources of one run."""

    def __init__(self, settings: Settings | Bootstrap) -> None:
        self._stack, self._facts, self._waivers = settings.stack, facts(settings), waived(settings)
        self._may_waive = isinstance(settings, Settings)
        self._met: list[_Met] = []
        self._decided: asyncio.Future[None] = asyncio.get_event_loop().create_future()
        self._verdict: pulumi.Output[Any] = pulumi.Output.from_input(self._decided)

    def meet(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
        """Note a resource that is made, and have it wait. One that is looked up is not made."""
        waits: list[Any] = [self._verdict]
        if args.type_.startswith(_LOOKED_AT) and args.opts.id is None:
            inputs = {_camel(name): _plain(value) for name, value in args.props.items()}
            resource = Resource(
                key=len(self._met),
                name=args.name,
                type=types.versionless(args.type_),
                inputs=inputs,
                protect=_protected(args.opts),
                parent=str(getattr(args.opts.parent, "_name", "")),
                place=_place(),
            )
            outputs = {at: value for at, value in leaves(inputs) if isinstance(value, pulumi.Output)}
            self._met.append(_Met(resource=resource, made=args.resource, outputs=outputs))
            if outputs:
                waits.append(self._later(resource, outputs))
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(depends_on=waits))
        return pulumi.ResourceTransformationResult(args.props, opts)

    def decide(self) -> None:
        """Raise RunError if a resource breaks a rule, or a waiver is of no use."""
        stack = Stack(facts=self._facts, resources=self._resources())
        problems, used = [], set()
        for resource in stack.resources:
            for rule, broken in found(resource, stack):
                used.add(rule.id)
                if rule.id not in self._waivers:
                    problems.append(self._problem(rule, resource, broken))
        refuse(self._stack, [*problems, *self._spare(used)])

    def release(self, error: BaseException | None = None) -> None:
        """Let the resources be registered, or none of them."""
        if error is None:
            self._decided.set_result(None)
        else:
            self._decided.set_exception(error)

    def _resources(self) -> list[Resource]:
        keys = {id(getattr(one.made, "id", None)): one.resource.key for one in self._met}
        return [
            replace(
                one.resource,
                inputs=_known(one.resource.inputs),
                refers={at: frozenset({keys[id(it)]}) for at, it in one.outputs.items() if id(it) in keys},
            )
            for one in self._met
        ]

    def _later(self, resource: Resource, outputs: Mapping[str, pulumi.Output[Any]]) -> pulumi.Output[None]:
        """Look again at a resource when the values of its outputs are known, which in a preview they may never be."""

        def look(values: list[Any]) -> None:
            given = dict(zip(outputs, values, strict=True))
            known = replace(resource, inputs=_filled(resource.inputs, given))
            alone = Stack(facts=self._facts)
            broken = [one for one in found(known, alone, whole=False) if one[0].id not in self._waivers]
            refuse(self._stack, [self._problem(rule, known, one) for rule, one in broken])

        return pulumi.Output.all(*outputs.values()).apply(look)

    def _problem(self, rule: ResourceRule, resource: Resource, broken: Broken) -> Problem:
        made = f" where it is made, {resource.place}" if resource.place else ""
        remedy = f"change it{made}"
        if rule.waivable and self._may_waive:
            remedy += f", or waive the rule: `{waiver_command(rule.id, self._stack)}`"
        return Problem(
            field=f"{resource.name}.{broken.path}",
            value=None if broken.value is None else said(broken.value),
            allowed=broken.allowed,
            remedy=remedy,
            rule=rule.id,
            link=rule.link,
        )

    def _spare(self, used: set[str]) -> list[Problem]:
        problems = Problems(self._stack, {})
        return [
            Problem(
                field=path("waivers", rule),
                value=dict(waiver),
                allowed="a guardrail that the stack breaks",
                remedy=problems.remove(path("waivers", rule)),
            )
            for rule, waiver in self._waivers.items()
            if rule not in used
        ]


def found(resource: Resource, stack: Stack, *, whole: bool = True) -> Iterator[tuple[ResourceRule, Broken]]:
    """Yield what a resource breaks; `whole` says whether the stack has all of its resources."""
    for rule in RULES:
        if whole or not rule.whole:
            for broken in rule.broken(resource, stack):
                yield rule, broken


def refuse(stack: str, problems: list[Problem]) -> None:
    """Raise RunError with all problems, if there is one."""
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise pulumi.RunError(f"The resources of stack {stack} cannot be made:\n{lines}")


def waiver_command(rule: str, stack: str, today: date | None = None) -> str:
    """Return the command that waives a rule for some weeks. Its words are to be replaced; every preview shows them."""
    until = (today or datetime.now(UTC).date()) + timedelta(days=_WAIVED_DAYS)
    words = {"owner": "TEAM", "reason": "why the stack needs it, and what ends that", "expires": str(until)}
    values = " ".join(f"--plaintext '{path('waivers', rule, key)}={value}'" for key, value in words.items())
    return f"pulumi config set-all --path {values} -s {stack}"


def _plain(value: Any) -> Any:
    """Return an input as the engine gets it, with outputs in it as they are."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if type(value).__module__.endswith("._inputs"):  # a class of the SDK: it keeps its values by their Python names
        return {_named(type(value), name): _plain(item) for name, item in vars(value).items() if item is not None}
    return value


def _named(kind: type, name: str) -> str:
    """Return Azure's name of a property, such as enableAzureRBAC, which its getter of the SDK carries."""
    getter = getattr(getattr(kind, name, None), "fget", None)
    return str(getattr(getter, "_pulumi_name", None) or _camel(name))


def _known(value: Any) -> Any:
    return _mapped(value, lambda _, leaf: UNKNOWN if isinstance(leaf, pulumi.Output) else leaf)


def _filled(value: Any, given: Mapping[str, Any]) -> Any:
    return _mapped(value, lambda at, leaf: given.get(at, leaf))


def _mapped(value: Any, change: Callable[[str, Any], Any], at: str = "") -> Any:
    """Return the same objects and lists with each leaf changed, by its path as in `leaves`."""
    if isinstance(value, Mapping):
        return {key: _mapped(item, change, f"{at}.{key}" if at else str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change, f"{at}[{index}]") for index, item in enumerate(value)]
    return change(at, value)


def _camel(name: str) -> str:
    return _UNDERSCORE.sub(lambda found: found[1].upper(), name)


def _place() -> str:
    """Return the line of the program that makes a resource, from the calls that are under way."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_MADE_IN):
            return f"{Path(file).relative_to(_REPOSITORY)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _protected(opts: pulumi.ResourceOptions) -> bool:
    """Whether the engine refuses to delete it. A resource that does not say so has it from its parent."""
    own = opts.protect
    return bool(getattr(opts.parent, "_protect", False) if own is None else own)
