"""Images and sizes of the services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.azure.postgres_size import RESERVED_CONNECTIONS, max_connections
from components.mlflow.connections import Budget
from components.mlflow.roles import WITH_DATABASES, Role
from delivery.preview.plan import UNKNOWN, Op, Plan, State, Step, is_unknown
from delivery.preview.reasons import Figure, Found, Reason, Row, Subject, Verdict
from delivery.preview.text import Code, Phrase, Strong, count, listed, value

APP = "app:ContainerApp"
_IMPORT = ":ImageImport"
_SERVER = "dbforpostgresql:Server"
_POOL = "DATABASE_POOL_SIZE"


def image(plan: Plan) -> Iterator[Found]:
    """The image's digest where any workload gets another one, and from where it is imported."""
    before, after = digests(plan)
    # The address begins with the registry's, which is unknown while the registry changes.
    unknown = any(is_unknown(each.get("image")) for app in _states(plan, APP)[1] for each in _containers(app))
    if before and unknown:
        then = [*_digests(after), ", "] if after else []
        yield Row(subject=Subject.IMAGE, what="image", now=_digests(before), after=[*then, value(UNKNOWN)])
    elif before != after and after:
        yield Row(subject=Subject.IMAGE, what="image", now=_digests(before), after=_digests(after))
    for step in plan.of(Op.CREATE, Op.UPDATE, Op.REPLACE):
        if step.type.endswith(_IMPORT):
            yield Row(
                subject=Subject.IMAGE, what="image imported first", now=_import(step.old), after=_import(step.new)
            )
            was, now = (str(inputs.get("source") or "") for inputs in (step.old, step.new))
            if was != now and not plan.empty_before:
                yield Reason(
                    subject=Subject.IMAGE,
                    verdict=Verdict.DECIDE,
                    headline="takes its image from another registry",
                    phrase=[
                        *(Strong("Image."), " It comes from ", Code(now), ". Until now: "),
                        *([Code(was)] if was else ["what is pushed to the stack's own registry"]),
                        ". Whoever may push there decides what can be deployed.",
                    ],
                    urn=step.urn,
                )


def digests(plan: Plan) -> tuple[set[str], set[str]]:
    """Return the digests that the services run, and those that they get."""
    before, after = ({_digest(one) for one in states if _digest(one)} for states in _states(plan, APP))
    return before, after


def connections(plan: Plan) -> Iterator[Found]:
    """The database's connections at most: in a rolling update, where each replica has a successor beside it."""
    old, new = (
        _need(states, servers) for states, servers in zip(_states(plan, APP), _states(plan, _SERVER), strict=True)
    )
    if new is None:
        return
    if old == new:
        yield Figure(subject=Subject.CONNECTIONS, words=f"{new.budget.total:,} of {new.available:,}")
        return
    yield Row(
        subject=Subject.CONNECTIONS,
        what=f"connections at most, of {new.available:,}",
        now=[f"{old.budget.total:,}" if old else "none"],
        after=[f"{new.budget.total:,}"],
    )
    if new.budget.total > new.available:
        yield Reason(
            subject=Subject.CONNECTIONS,
            verdict=Verdict.REFUSED,
            headline="fails in a rolling update",
            phrase=[
                Strong(f"A rolling update at full size opens {new.budget.total:,} connections."),
                f" The database accepts {new.available:,}. Choose a smaller `limits.databasePool`, fewer replicas at "
                "most, or a larger `database.sku`.",
            ],
        )


def service_settings(plan: Plan) -> Iterator[Found]:
    """Which settings the services get otherwise, such as how many requests a replica answers at once.

    Those that are known after the update, such as addresses of what is updated or replaced, are one row.
    """
    moved: set[tuple[str, str, str]] = set()
    for step in plan.of(Op.UPDATE):
        if step.kind == APP and step.before and step.after:
            was, now = _environment(step.before), _environment(step.after)
            names = {name for name in was.keys() | now.keys() if was.get(name) != now.get(name) and name != _POOL}
            moved |= {(name, was.get(name, "none"), now.get(name, "none")) for name in names}
    unknown = {one for one in moved if is_unknown(one[-1])}
    for name, before, after in sorted(moved - unknown):
        yield Row(subject=Subject.SERVICES, what=Code(name), now=[value(before)], after=[value(after)])
    if unknown:
        names = {name for name, _, _ in unknown}
        what = f"{count(len(names), 'setting')} of the services"
        yield Row(subject=Subject.SERVICES, what=what, now=listed(sorted(names)), after=[value(UNKNOWN)])


def _environment(app: State) -> dict[str, str]:
    variables = [one for container in _containers(app) for one in container.get("env") or ()]
    return {str(one.get("name")): str(one.get("value", "")) for one in variables if isinstance(one, Mapping)}


@dataclass(frozen=True, kw_only=True)
class Need:
    """What the services may open, and what the server accepts from them."""

    budget: Budget
    available: int


def _states(plan: Plan, kind: str) -> tuple[list[State], list[State]]:
    steps: list[Step] = [step for step in plan.steps if step.kind == kind]
    return [step.before for step in steps if step.before], [step.after for step in steps if step.after]


def _need(apps: list[State], servers: list[State]) -> Need | None:
    replicas: dict[Role, int] = {}
    pools: set[int] = set()
    for app in apps:
        for container in _containers(app):
            role = next((one for one in WITH_DATABASES if one.value in (container.get("args") or ())), None)
            pool = next((env.get("value") for env in container.get("env") or () if _POOL in str(env.get("name"))), None)
            if role is not None and pool is not None:
                replicas[role] = replicas.get(role, 0) + int(_scale(app).get("maxReplicas", 1))
                pools.add(int(pool))
    if not replicas or not servers:
        return None
    sku = str((servers[0].inputs.get("sku") or {}).get("name", ""))
    try:
        available = max_connections(sku) - RESERVED_CONNECTIONS
    except ValueError:
        return None
    return Need(budget=Budget(replicas=replicas, pool=max(pools), rolling=True), available=available)


def _template(app: State) -> Mapping[str, Any]:
    template = app.inputs.get("template")
    return template if isinstance(template, Mapping) else {}


def _containers(app: State) -> list[Mapping[str, Any]]:
    return [one for one in _template(app).get("containers") or () if isinstance(one, Mapping)]


def _scale(app: State) -> Mapping[str, Any]:
    scale = _template(app).get("scale")
    return scale if isinstance(scale, Mapping) else {}


def _digest(app: State) -> str:
    images = [str(container.get("image", "")) for container in _containers(app)]
    return next((image.rpartition("@")[2] for image in images if "@" in image), "")


def _import(inputs: Mapping[str, Any]) -> Phrase:
    if not inputs:
        return ["none"]
    return [*_digests({str(inputs.get("digest", ""))}), " from ", Code(str(inputs.get("source", "")))]


def _digests(of: set[str]) -> Phrase:
    if not of:
        return ["none"]
    parts: list[Any] = []
    for index, digest in enumerate(sorted(of)):
        parts += [", " if index else "", Code(f"{digest.removeprefix('sha256:')[:8]}…")]
    return parts
